"""Variables that every template can use besides its own context."""

from django.conf import settings


def site(request):
    """The portal's name, and the path before its addresses ("" for none)."""
    return {"site_name": settings.SITE_NAME, "site_path": settings.SITE_PATH}
