"""A portal under a path of its host, such as https://example.org/portal: the path before each address.

The proxy in front passes the whole path on. It is split here into SCRIPT_NAME and PATH_INFO (PEP 3333), so the rest of
the portal reads addresses as if it had the host to itself, and Django puts the path before each address it makes.
"""

from django.conf import settings

PROBES = ("/healthz", "/readyz", "/metrics")
"""Addresses that also answer without the path: those who ask them talk to the process itself, not to the proxy."""


def absolute(path):
    """The URL at SITE_URL's host of a path that `reverse` made, which begins with SITE_URL's own."""
    return settings.SITE_URL.rstrip("/").removesuffix(settings.SITE_PATH) + path


def under(path, application):
    """`application` (WSGI) under `path`, "" or such as "/portal". Other addresses of the host are 404."""
    if not path:
        return application

    def serve(environ, start_response):
        asked = environ.get("PATH_INFO", "")
        if asked == path and environ["REQUEST_METHOD"] in ("GET", "HEAD"):
            start_response("308 Permanent Redirect", [("Location", f"{path}/"), ("Content-Length", "0")])
            return []
        if asked.startswith(f"{path}/"):
            return application({**environ, "SCRIPT_NAME": path, "PATH_INFO": asked[len(path) :]}, start_response)
        if asked in PROBES:
            return application(environ, start_response)
        text = f"The portal is under {path}/. A proxy in front must pass the whole path on, and not cut it off.\n"
        said = text.encode()
        head = [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(said)))]
        start_response("404 Not Found", [*head, ("X-Content-Type-Options", "nosniff")])
        return [b"" if environ["REQUEST_METHOD"] == "HEAD" else said]

    return serve
