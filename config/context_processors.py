"""What every template may use besides its own context."""

from django.conf import settings


def site(request):
    """The portal's name."""
    return {"site_name": settings.SITE_NAME}
