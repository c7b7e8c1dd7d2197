"""The signed URLs of the local store. A URL itself holds what it allows; the portal stores nothing about it.

They are signed with HMAC-SHA256 by django.core.signing, keyed by SECRET_KEY; older URLs stay valid while their key is
in SECRET_KEY_FALLBACKS. A token is valid only for the purpose it was signed for.
"""

import time

from django.core import signing
from django.urls import reverse
from django.utils.translation import gettext as _

from config.errors import Refused
from config.http.site_path import absolute

PURPOSES = ("put", "part", "get")


def sign(purpose, claims, *, expires_in):
    """A URL-safe token that holds `claims` (JSON values), valid for this purpose for `expires_in` seconds."""
    claims = {**claims, "exp": int(time.time()) + expires_in}
    return f"{purpose}.{_signer(purpose).sign_object(claims)}"


def verify(token, *purposes):
    """(purpose, claims) of a token signed for one of `purposes`.

    Raises Refused 403, as S3 does: `signature_invalid` when the portal did not sign it for one of these
    purposes, `url_expired` when it has expired.
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


def url(token, *, base_url=None):
    """The address of a token: absolute at the host of SITE_URL, or with `base_url` when given; "" gives a bare path."""
    path = reverse("store-object", args=[token])
    return absolute(path) if base_url is None else base_url.rstrip("/") + path


def _signer(purpose):
    return signing.Signer(salt=f"store.{purpose}")


def invalid():
    return Refused(403, "signature_invalid", _("This URL or what was sent to it is not what was signed."))
