"""Between the two steps of a log-in: the user has given the password, but not the second factor yet.

A browser stores this in its session; a script gets a token. Both allow only the second step. Both end after a few
minutes, and when the password changes.
"""

import secrets
import time
from dataclasses import dataclass

from django.core import signing
from django.core.exceptions import ValidationError
from django.utils.crypto import constant_time_compare, salted_hmac
from django.utils.translation import gettext as _

from accounts.models import User
from config.errors import Refused

from . import proofs

KEY = "halfway"
SALT = "accounts.halfway"
BROWSER_SECONDS = 600
TOKEN_SECONDS = 300


class HalfwayOver(Refused):
    """401: the first step is too old or used, or the password has changed. The user has to enter the password again."""

    def __init__(self):
        super().__init__(401, "mfa_token_invalid", _("That took too long, or it was used before. Log in again."))


@dataclass(frozen=True)
class Halfway:
    """The user whose password was right, and the page to show after the log-in."""

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
    """Store in the session that the password of `user` was right; give the session a new key."""
    request.session.cycle_key()
    request.session[KEY] = {"user": str(user.pk), "state": _state(user), "at": int(time.time()), "next": target}


def of(request):
    """The Halfway of this browser. Raises HalfwayOver (401)."""
    facts = request.session.get(KEY)
    if not facts or time.time() - facts["at"] > BROWSER_SECONDS:
        raise HalfwayOver
    return Halfway(_user(facts["user"], facts["state"]), facts["next"])


def forget(request):
    """Forget the first step of the log-in in this browser's session."""
    request.session.pop(KEY, None)


def token_for(user):
    """A token for the second step of a script. It works once, for TOKEN_SECONDS."""
    facts = {"u": str(user.pk), "s": _state(user), "n": secrets.token_urlsafe(16)}
    return signing.dumps(facts, salt=SALT)


def read(token):
    """The user of an unused token. Raises HalfwayOver (401)."""
    try:
        facts = signing.loads(str(token)[:2000], salt=SALT, max_age=TOKEN_SECONDS)
        user_id, state = facts["u"], facts["s"]
    except (signing.BadSignature, KeyError, TypeError, ValueError):
        raise HalfwayOver from None
    if proofs.is_spent(f"{SALT}:{facts['n']}"):
        raise HalfwayOver
    return _user(user_id, state)


def spend(token):
    """Use up a token that `read` accepted, in the caller's transaction.

    Of several requests at once one succeeds; for the others it raises HalfwayOver (401).
    """
    nonce = signing.loads(token, salt=SALT)["n"]
    if not proofs.spend(f"{SALT}:{nonce}", lifetime=TOKEN_SECONDS):
        raise HalfwayOver
