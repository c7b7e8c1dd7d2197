"""The API always answers in JSON, whatever the client's Accept header says."""

from rest_framework.negotiation import BaseContentNegotiation


class AlwaysJSON(BaseContentNegotiation):
    """Ignores the Accept header, so that a browser that opens an API address gets the answer and no 406."""

    def select_parser(self, request, parsers):
        """The first parser for the request's media type; None if there is none."""
        kind = (request.content_type or "").split(";")[0].strip().lower()
        return next((parser for parser in parsers if parser.media_type == kind), None)

    def select_renderer(self, request, renderers, format_suffix=None):
        """The only renderer."""
        return renderers[0], renderers[0].media_type
