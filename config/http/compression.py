"""Pages and lists of the API are compressed; never where an attacker could learn a secret from the length.

Who sees how long a compressed page is, and can put words into it, can guess what else is in it (BREACH). So these go
as they are: what a query string other than of paging may have brought words into; answers to a form; pages whose
address holds a token; and views that say `shows_secret` (config.http.view_facts). Django also adds a random length,
and masks the token of its forms.
"""

from django.middleware.gzip import GZipMiddleware

from .view_facts import fact_of

KINDS = ("text/html", "application/json", "application/vnd.oai.openapi")
LEAST_BYTES = 1000
"""A shorter answer fits into one packet anyway."""
PAGING = {"cursor", "limit", "offset"}


class CompressionMiddleware(GZipMiddleware):
    """Django's, for whole pages and lists only: a file, a range or an archive would lose its length."""

    def process_response(self, request, response):
        """The same response, compressed where that is safe and worth it."""
        if (
            request.method != "GET"
            or response.streaming
            or response.status_code != 200
            or len(response.content) < LEAST_BYTES
            or not response.get("Content-Type", "").startswith(KINDS)
            or not PAGING.issuperset(request.GET)
        ):
            return response
        match = request.resolver_match
        if match is None or "token" in match.kwargs or fact_of(match.func, "shows_secret", False):
            return response
        return super().process_response(request, response)
