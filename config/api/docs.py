"""The API's schema and the page that shows it; the browser loads files from this portal only."""

from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView
from rest_framework.negotiation import DefaultContentNegotiation


class Schema(SpectacularAPIView):
    """OpenAPI 3, as YAML, or as JSON for `?format=json` and for an Accept header that asks for it."""

    content_negotiation_class = DefaultContentNegotiation


class Docs(SpectacularSwaggerSplitView):
    """The schema as a page to read and try; its script and pictures come from here."""

    url_name = "api-schema"
