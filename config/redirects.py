"""Where an answer may send the browser on to."""

from django.utils.http import url_has_allowed_host_and_scheme


def safe_path(request, text):
    """The page of this portal that `text`, which came with the request, names, or "": no other site's address."""
    hosts = {"allowed_hosts": {request.get_host()}, "require_https": request.is_secure()}
    # A bare word would be taken for the name of a view.
    if text.startswith("/") and text.isprintable() and url_has_allowed_host_and_scheme(text, **hosts):
        return text
    return ""
