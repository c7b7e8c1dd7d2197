"""The address of a share link.

The token is an HMAC of the link's id. So the portal can compute it when it sends the e-mail, and the database holds no
tokens. Links are found by the SHA-256 of their token, so links that were given out keep working when SECRET_KEY
changes.
"""

import base64
import hashlib
import re

from django.conf import settings
from django.http import Http404
from django.urls import reverse
from django.utils.crypto import constant_time_compare, salted_hmac

from config.access import get_visible
from config.http.site_path import absolute
from fileshare.models import ShareLink

SALT = "fileshare.shares"
_TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")


def address_of(token):
    """The absolute address of a token's page."""
    return absolute(reverse("share", args=[token]))


def new_token(pk):
    """(the token of a new link, the hash of it to store)."""
    token = _token(pk, settings.SECRET_KEY)
    return token, _hash(token)


def found(token, links):
    """The link with this token in the queryset `links`, or None."""
    return links.filter(token_hash=_hash(token)).first() if _TOKEN.fullmatch(token) else None


def token_of(link):
    """The token of a link, or None when it was made with a key that is not in the settings any more."""
    for key in [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]:
        token = _token(link.pk, key)
        if constant_time_compare(_hash(token), link.token_hash):
            return token
    return None


def token_for_recipient(*, user, share_id):
    """The token of a link that was mailed to `user`, for a user who comes from a notice instead of the e-mail.

    Raises Http404 for other users, and for a link whose key is not in the settings any more: then only the e-mail
    holds its address.
    """
    token = token_of(get_visible(share_id, ShareLink.objects.mailed_to(user)))
    if token is None:
        raise Http404
    return token


def token_to_send(link):
    """The token to put into a link's e-mail. Replaces the link's token when the old one cannot be computed any more."""
    token = token_of(link)
    if token is None:
        # The link was made with a key that is not in the settings any more. Give it a new token: the old one has not
        # been sent to the recipient.
        token = _token(link.pk, settings.SECRET_KEY)
        ShareLink.objects.filter(pk=link.pk).update(token_hash=_hash(token))
    return token


def _token(pk, key):
    digest = salted_hmac(SALT, str(pk), secret=key, algorithm="sha256").digest()
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def _hash(token):
    return hashlib.sha256(token.encode()).hexdigest()
