"""Request bodies REST framework would trip over."""

from rest_framework.exceptions import ParseError
from rest_framework.parsers import JSONParser

# No call takes more than a few; whoever reads deeper data, a field or the log, need not fear for its stack.
MAX_DEPTH = 20


class StrictJSONParser(JSONParser):
    """JSON as RFC 8259 has it: UTF-8, no NaN, at most MAX_DEPTH deep; anything else is malformed, not a fault."""

    strict = True

    def parse(self, stream, media_type=None, parser_context=None):
        """Raises ParseError (400)."""
        try:
            data = super().parse(stream, media_type, {**(parser_context or {}), "encoding": "utf-8"})
        except RecursionError:
            raise ParseError("The JSON is nested too deeply.") from None
        assert_shallow(data)
        return data


def assert_shallow(data):
    """Raises ParseError (400) for what is nested deeper than MAX_DEPTH."""
    layer = [data]
    for _depth in range(MAX_DEPTH + 1):
        layer = [
            inner
            for outer in layer
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
        if not layer:
            return
    raise ParseError("The JSON is nested too deeply.")
