"""Encrypts small secrets that must be readable again, with LINK_KEYS and for one purpose each.

The first key encrypts; all keys decrypt. A sealed text begins with a mark of its key. By the mark, texts of an older
key are found and sealed again before that key is removed.
"""

import base64
import hashlib
import json

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings


def decrypted(token, *, max_age=None):
    """The bytes that a Fernet token (bytes) of one of our keys holds. Raises InvalidToken.

    Exactly one spelling of a token is good. Base64 decoders skip foreign characters, and stop at the padding: without
    this check, a token with bytes added, or written twice, would open too. So what was used up or logged under one
    spelling could be asked for under another.
    """
    try:
        is_exact = base64.urlsafe_b64encode(base64.urlsafe_b64decode(token)) == token
    except ValueError:
        is_exact = False
    if not is_exact:
        raise InvalidToken
    return MultiFernet([Fernet(key) for key in settings.LINK_KEYS]).decrypt(token, ttl=max_age)


class SealBroken(ValueError):
    """The text was not sealed by any of our keys, was sealed for another purpose, or is too old."""


def mark():
    """The first characters of every text sealed with the newest key."""
    return f"{hashlib.sha256(settings.LINK_KEYS[0].encode()).hexdigest()[:8]}."


def seal(purpose, secret):
    """`secret` (bytes) as a text that only `unseal` with the same purpose opens."""
    facts = json.dumps({"p": f"seal:{purpose}", "s": base64.b64encode(secret).decode()})
    return mark() + Fernet(settings.LINK_KEYS[0]).encrypt(facts.encode()).decode()


def unseal(purpose, text, *, max_age=None):
    """The bytes of a sealed text that is at most `max_age` seconds old. Raises SealBroken."""
    token = str(text).partition(".")[2].encode("ascii", "replace")
    try:
        facts = json.loads(decrypted(token, max_age=max_age))
        if facts["p"] == f"seal:{purpose}":
            return base64.b64decode(facts["s"])
    except (InvalidToken, ValueError, KeyError, TypeError):
        pass
    raise SealBroken
