"""Request bodies REST framework would trip over."""

from rest_framework.exceptions import ParseError
from rest_framework.parsers import JSONParser


class StrictJSONParser(JSONParser):
    """JSON as RFC 8259 has it: UTF-8, no NaN; one that is too deep to read is malformed, not a fault."""

    strict = True

    def parse(self, stream, media_type=None, parser_context=None):
        """Raises ParseError (400)."""
        try:
            return super().parse(stream, media_type, {**(parser_context or {}), "encoding": "utf-8"})
        except RecursionError:
            raise ParseError("The JSON is nested too deeply.") from None
