"""Encrypted download links: Fernet tokens (github.com/fernet/spec) that hold file, user and expiry.

A link gives one file to one user until it expires. A one-time link also holds a nonce, which its first use spends.
The first of LINK_KEYS encrypts; all of them are tried to decrypt, so that keys can be rotated.
"""

import json
import secrets
import time
import uuid
from dataclasses import dataclass

from cryptography.fernet import Fernet, InvalidToken
from django.conf import settings
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from config.errors import Refused
from config.outside.sealing import decrypted

PURPOSE = "download"


class LinkForged(Refused):
    """400: the portal did not make this link, or made it for another purpose."""

    title = gettext_lazy("This link is not valid")

    def __init__(self):
        super().__init__(400, "link_invalid", _("This download link is not valid."))


class LinkExpired(Refused):
    """410: the link has expired."""

    def __init__(self):
        super().__init__(410, "link_expired", _("This download link has expired. Make a new one."))


@dataclass(frozen=True)
class Link:
    """The content of a token. `expires_at` is in Unix seconds; `nonce` is "" unless it is a one-time link."""

    file_id: uuid.UUID
    user_id: uuid.UUID
    expires_at: int
    nonce: str = ""

    @property
    def has_expired(self):
        """True from the second of `expires_at` on."""
        return time.time() >= self.expires_at


def make(*, file_id, user_id, one_time=False):
    """The token of a new link, valid for LINK_EXPIRY_SECONDS."""
    facts = {
        "p": PURPOSE,
        "f": str(file_id),
        "u": str(user_id),
        "e": int(time.time()) + settings.LINK_EXPIRY_SECONDS,
    }
    if one_time:
        facts["n"] = secrets.token_urlsafe(32)
    return Fernet(settings.LINK_KEYS[0]).encrypt(json.dumps(facts).encode()).decode()


def read(token):
    """The Link of a token, even when it has expired. Raises LinkForged (400), also for another spelling of a token."""
    try:
        facts = json.loads(decrypted(token.encode()))
        if facts["p"] != PURPOSE:
            raise LinkForged
        return Link(uuid.UUID(str(facts["f"])), uuid.UUID(str(facts["u"])), int(facts["e"]), str(facts.get("n", "")))
    except (InvalidToken, ValueError, KeyError, TypeError):
        raise LinkForged from None
