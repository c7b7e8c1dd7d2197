"""What the API answers in: JSON, whatever a client says it prefers."""

from rest_framework.negotiation import BaseContentNegotiation


class AlwaysJSON(BaseContentNegotiation):
    """A browser that opens a link of the API gets its answer, not a 406."""

    def select_parser(self, request, parsers):
        """The first parser that reads the request's media type, as REST framework chooses it."""
        kind = (request.content_type or "").split(";")[0].strip().lower()
        return next((parser for parser in parsers if parser.media_type == kind), None)

    def select_renderer(self, request, renderers, format_suffix=None):
        """The one there is."""
        return renderers[0], renderers[0].media_type
