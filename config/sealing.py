"""Small secrets that have to be read again: encrypted at rest under LINK_KEYS, each for one purpose.

The first key seals and all of them open. A sealed text begins with a mark of its key, so that those of an
older key can be found and sealed anew before that key is taken out.
"""

import base64
import hashlib
import json

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings


class SealBroken(ValueError):
    """Not sealed by any key we have, for another purpose, or too old."""


def mark():
    """How every text begins that the newest key sealed."""
    return f"{hashlib.sha256(settings.LINK_KEYS[0].encode()).hexdigest()[:8]}."


def seal(purpose, secret):
    """`secret` (bytes) as a text that only `unseal` with the same purpose opens."""
    facts = json.dumps({"p": f"seal:{purpose}", "s": base64.b64encode(secret).decode()})
    return mark() + Fernet(settings.LINK_KEYS[0]).encrypt(facts.encode()).decode()


def unseal(purpose, text, *, max_age=None):
    """The bytes of a sealed text that is at most `max_age` seconds old. Raises SealBroken."""
    fernet = MultiFernet([Fernet(key) for key in settings.LINK_KEYS])
    token = str(text).partition(".")[2].encode("ascii", "replace")
    try:
        facts = json.loads(fernet.decrypt(token, ttl=max_age))
        if facts["p"] == f"seal:{purpose}":
            return base64.b64decode(facts["s"])
    except (InvalidToken, ValueError, KeyError, TypeError):
        pass
    raise SealBroken
