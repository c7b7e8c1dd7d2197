"""The API's schema and its page, from files of this portal alone."""

from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView


class Schema(SpectacularAPIView):
    """OpenAPI 3, as YAML or JSON."""


class Docs(SpectacularSwaggerSplitView):
    """The schema as a page to read and try; its script and pictures come from here."""

    url_name = "api-schema"
