"""Encrypted download links: Fernet tokens (github.com/fernet/spec) that hold file, user and expiry.

A link opens one file for one user until it expires; a one-time link also bears a nonce that is spent
by its first use. LINK_KEYS are tried in turn and the first encrypts, so keys can be rotated.
"""

import json
import secrets
import time
import uuid
from dataclasses import dataclass

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.utils.translation import gettext as _

from config.errors import Refused

PURPOSE = "download"


class LinkForged(Refused):
    """400: not a link of ours, or one of another purpose."""

    def __init__(self):
        super().__init__(400, "link_invalid", _("This download link is not valid."))


class LinkExpired(Refused):
    """410: its time is over."""

    def __init__(self):
        super().__init__(410, "link_expired", _("This download link has expired. Make a new one."))


@dataclass(frozen=True)
class Link:
    """What a token says. `expires_at` in Unix seconds; `nonce` is "" unless the link is for one time."""

    file_id: uuid.UUID
    user_id: uuid.UUID
    expires_at: int
    nonce: str = ""

    @property
    def has_expired(self):
        """True from the second of `expires_at` on."""
        return time.time() >= self.expires_at


def _fernet():
    return MultiFernet([Fernet(key) for key in settings.LINK_KEYS])


def make(*, file_id, user_id, one_time=False):
    """A token for a link that is good for LINK_EXPIRY_SECONDS."""
    facts = {
        "p": PURPOSE,
        "f": str(file_id),
        "u": str(user_id),
        "e": int(time.time()) + settings.LINK_EXPIRY_SECONDS,
    }
    if one_time:
        facts["n"] = secrets.token_urlsafe(32)
    return _fernet().encrypt(json.dumps(facts).encode()).decode()


def read(token):
    """The Link of a token, whether or not it has expired. Raises LinkForged (400)."""
    try:
        facts = json.loads(_fernet().decrypt(token.encode()))
        if facts["p"] != PURPOSE:
            raise LinkForged
        return Link(uuid.UUID(str(facts["f"])), uuid.UUID(str(facts["u"])), int(facts["e"]), str(facts.get("n", "")))
    except (InvalidToken, ValueError, KeyError, TypeError):
        raise LinkForged from None
