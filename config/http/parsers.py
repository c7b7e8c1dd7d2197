"""A JSON parser that refuses bodies that would make REST framework fail."""

from rest_framework.exceptions import ParseError
from rest_framework.parsers import JSONParser

# No call needs more levels than a few. A deeper body could overflow the stack of code that walks it, such as a field or
# the log.
MAX_DEPTH = 20


class StrictJSONParser(JSONParser):
    """JSON by RFC 8259: UTF-8, no NaN, at most MAX_DEPTH levels. Other bodies get a 400, not a 500."""

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
    """Raises ParseError (400) for data nested deeper than MAX_DEPTH."""
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
