"""The cookie by which a sender is known again in their browser: signed, for one request's address alone."""

from django.conf import settings
from django.urls import reverse

from . import file_requests

NAME = "sender"
SALT = "fileshare.sender"
SECONDS = 180 * 24 * 3600


def known_sender(request, file_request, token):
    """The RequestSender that the browser's cookie names for this request at this address, or None."""
    cookie = request.get_signed_cookie(NAME, default=None, salt=SALT + token, max_age=SECONDS)
    return file_requests.sender_of(file_request, cookie)


def remember(response, token, secret):
    """Have the browser keep `secret`, as file_requests.start gave it."""
    response.set_signed_cookie(
        NAME,
        secret,
        salt=SALT + token,
        max_age=SECONDS,
        path=reverse("request", args=[token]),
        secure=settings.SITE_IS_SECURE,
        httponly=True,
        samesite="Lax",
    )


def forget(response, token):
    """Have the browser forget it."""
    response.delete_cookie(NAME, path=reverse("request", args=[token]), samesite="Lax")
