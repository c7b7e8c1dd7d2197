"""Log lines: one line each, with the request they belong to, and without anybody's secrets."""

import logging
import re

from . import context

# Links that let their bearer in: in a path after these words, or in a query as `token`.
_TOKENS = re.compile(r"(/(?:store|secure-download|share|payments/cb)/|[?&]token=)[^\s/?&\"']+")


def redact(text):
    """`text` with the tokens of links replaced by […] and line breaks made visible."""
    return _TOKENS.sub(r"\1[…]", text).replace("\r", "\\r").replace("\n", "\\n")


class RequestFilter(logging.Filter):
    """Adds `request_id` to each record ("-" outside a request) and redacts its message."""

    def filter(self, record):
        record.request_id = context.current().request_id or "-"
        record.msg, record.args = redact(record.getMessage()), ()
        return True
