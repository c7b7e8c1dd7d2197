"""Checks the address that a redirect sends the browser to."""

from django.utils.http import url_has_allowed_host_and_scheme


def safe_path(request, text):
    """`text` from the request if it is a path of this portal, else "". Prevents redirects to other sites."""
    hosts = {"allowed_hosts": {request.get_host()}, "require_https": request.is_secure()}
    # Demand a leading slash: redirect() takes a bare word for the name of a view.
    if text.startswith("/") and text.isprintable() and url_has_allowed_host_and_scheme(text, **hosts):
        return text
    return ""
