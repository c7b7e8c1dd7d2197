"""The cookie that identifies a sender in their browser. It is signed, and valid for one address of one request."""

from django.conf import settings
from django.urls import reverse

from . import senders

NAME = "sender"
SALT = "fileshare.sender"
SECONDS = 180 * 24 * 3600


def known_sender(request, file_request, token):
    """The RequestSender that the browser's cookie names for this request at this address, or None."""
    cookie = request.get_signed_cookie(NAME, default=None, salt=SALT + token, max_age=SECONDS)
    return senders.sender_of(file_request, cookie)


def remember(response, token, secret):
    """Set the cookie with `secret`, the text that senders.start returned."""
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
    """Delete the cookie."""
    response.delete_cookie(NAME, path=reverse("request", args=[token]), samesite="Lax")
