"""The signed URLs of the local store: what they allow is written in them, and nothing else is needed.

HMAC-SHA256 by django.core.signing, keyed by SECRET_KEY; SECRET_KEY_FALLBACKS still open older
URLs. A token opens for the one purpose it was signed for.
"""

import hashlib
import time

from django.conf import settings
from django.core import signing
from django.urls import reverse
from django.utils.translation import gettext as _

from config.errors import Refused

PURPOSES = ("put", "part", "get")


def sign(purpose, claims, *, expires_in):
    """A URL-safe token holding `claims` (JSON values), good for `expires_in` seconds for this purpose."""
    claims = {**claims, "exp": int(time.time()) + expires_in}
    return f"{purpose}.{_signer(purpose).sign_object(claims)}"


def verify(token, *purposes):
    """(purpose, claims) of a token signed for one of `purposes`.

    Raises Refused 403, as S3 does: `signature_invalid` when it was not signed here for such a
    purpose, `url_expired` when its time is over.
    """
    purpose, _dot, signed = token.partition(".")
    if purpose not in purposes or purpose not in PURPOSES:
        raise invalid()
    try:
        claims = _signer(purpose).unsign_object(signed)
    except (signing.BadSignature, ValueError):
        raise invalid() from None
    if claims.pop("exp") <= time.time():
        raise Refused(403, "url_expired", _("This URL has expired; ask for a new one."))
    return purpose, claims


def mark_of(key):
    """What tells one object key from others and shows nothing of it: whoever is outside learns no folder's name."""
    return hashlib.sha256(key.encode()).hexdigest()


def url(token, *, base_url=None):
    """The address of a token: absolute with SITE_URL, or with `base_url` when given; "" gives a bare path."""
    base = settings.SITE_URL if base_url is None else base_url
    return base.rstrip("/") + reverse("store-object", args=[token])


def _signer(purpose):
    return signing.Signer(salt=f"store.{purpose}")


def invalid():
    return Refused(403, "signature_invalid", _("This URL or what was sent to it is not what was signed."))
