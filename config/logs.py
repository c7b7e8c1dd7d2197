"""Log lines that say which request they belong to."""

import logging

from . import context


class RequestFilter(logging.Filter):
    """Adds `request_id` to each record ("-" outside a request) and keeps a record on one line."""

    def filter(self, record):
        record.request_id = context.current().request_id or "-"
        if isinstance(record.msg, str) and not record.args:
            record.msg = record.msg.replace("\r", "\\r").replace("\n", "\\n") if "\n" in record.msg else record.msg
        return True
