"""Between the password and the second factor: somebody has proved the first and nothing else yet.

A browser keeps it in its session, a script gets a token. Neither opens anything but the second step; both end
after a few minutes, and with the password they were made under.
"""

import secrets
import time
from dataclasses import dataclass

from django.core import signing
from django.core.exceptions import ValidationError
from django.utils.crypto import constant_time_compare, salted_hmac
from django.utils.translation import gettext as _

from config.errors import Refused

from . import proofs
from .models import User

KEY = "halfway"
SALT = "accounts.halfway"
BROWSER_SECONDS = 600
TOKEN_SECONDS = 300


class HalfwayOver(Refused):
    """401: too long ago, used, or of a password that has changed; begin with the password again."""

    def __init__(self):
        super().__init__(401, "mfa_token_invalid", _("That took too long, or it was used before. Log in again."))


@dataclass(frozen=True)
class Halfway:
    """Whose password was right, and where the browser was going."""

    user: User
    target: str


def _state(user):
    facts = f"{user.pk}:{user.get_session_auth_hash()}"
    return salted_hmac(SALT, facts, algorithm="sha256").hexdigest()[:32]


def _user(user_id, state):
    try:
        user = User.objects.with_company().with_second_factor().get(pk=user_id, is_active=True)
    except (User.DoesNotExist, ValidationError, ValueError, TypeError):
        raise HalfwayOver from None
    if not constant_time_compare(str(state), _state(user)):
        raise HalfwayOver
    return user


def begin(request, user, *, target):
    """Remember in the browser's session, under a fresh key, whose password was right."""
    request.session.cycle_key()
    request.session[KEY] = {"user": str(user.pk), "state": _state(user), "at": int(time.time()), "next": target}


def of(request):
    """The Halfway of this browser. Raises HalfwayOver (401)."""
    facts = request.session.get(KEY)
    if not facts or time.time() - facts["at"] > BROWSER_SECONDS:
        raise HalfwayOver
    return Halfway(_user(facts["user"], facts["state"]), facts["next"])


def forget(request):
    """Nobody is half-way in this browser."""
    request.session.pop(KEY, None)


def token_for(user):
    """A token for the second step of a script: five minutes, once."""
    facts = {"u": str(user.pk), "s": _state(user), "n": secrets.token_urlsafe(16)}
    return signing.dumps(facts, salt=SALT)


def read(token):
    """The user of a token that nobody has spent. Raises HalfwayOver (401)."""
    try:
        facts = signing.loads(str(token)[:2000], salt=SALT, max_age=TOKEN_SECONDS)
        user_id, state = facts["u"], facts["s"]
    except (signing.BadSignature, KeyError, TypeError, ValueError):
        raise HalfwayOver from None
    if proofs.is_spent(f"{SALT}:{facts['n']}"):
        raise HalfwayOver
    return _user(user_id, state)


def spend(token):
    """Trade in a token that `read` took, in the caller's transaction. Raises HalfwayOver for all but the first."""
    nonce = signing.loads(token, salt=SALT)["n"]
    if not proofs.spend(f"{SALT}:{nonce}", lifetime=TOKEN_SECONDS):
        raise HalfwayOver
