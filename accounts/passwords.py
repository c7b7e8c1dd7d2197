"""Passwords: checking one at log-in, changing it, and setting a new one by mail."""

from django.contrib.auth.hashers import make_password
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.translation import gettext as _

from audit.log import record
from audit.models import Action
from config import context
from config.errors import Invalid, Refused
from config.throttling import is_used_up

from . import api_tokens, lockout, mail, sessions, tokens
from .addresses import clean_email
from .models import User
from .notifications import notify

# Long enough for any passphrase; a megabyte would only keep the hasher busy.
MAX_PASSWORD_LENGTH = 256


class InvalidCredentials(Refused):
    """401, the same for an unknown address, a wrong password and an account switched off."""

    def __init__(self):
        super().__init__(401, "invalid_credentials", _("The address or the password is not right."))


class EmailNotVerified(Refused):
    """403: the password is right, but the mailed link was never opened."""

    def __init__(self):
        super().__init__(403, "email_not_verified", _("Open the link we mailed you first; then log in."))


class WeakPassword(Refused):
    """400 with the validators' sentences under `field`."""

    def __init__(self, field, sentences):
        super().__init__(400, "invalid", sentences[0], errors={field: sentences})


def check_new(password, *, user=None, field="password"):
    """Raises WeakPassword (400) for a password the validators refuse or that is too long to hash."""
    if len(password) > MAX_PASSWORD_LENGTH:
        raise WeakPassword(field, [_("A password has at most %(most)d characters.") % {"most": MAX_PASSWORD_LENGTH}])
    try:
        validate_password(password, user=user)
    except ValidationError as error:
        raise WeakPassword(field, list(error.messages)) from None


def is_right(user, password):
    """True for the user's own password."""
    return user.check_password(password[: MAX_PASSWORD_LENGTH + 1])


def prove(user, password, *, field="password"):
    """Raises Invalid (400) under `field` for what is not the user's own password."""
    if not is_right(user, password):
        raise Invalid(field, _("This is not your password."))


def authenticate(*, email, password):
    """The active user of these credentials.

    Takes the time of one hash for an unknown address as for a known one. Raises InvalidCredentials
    (401) or EmailNotVerified (403); both are recorded.
    """
    user = User.objects.with_company().filter(email=email.strip().lower()).first()
    password = password[: MAX_PASSWORD_LENGTH + 1]
    if user is None:
        make_password(password)
        matches = False
    else:
        matches = user.check_password(password)
    if matches and user.is_active:
        return user
    if not matches:
        reason = "unknown" if user is None else "password"
    else:
        reason = "off" if user.is_verified else "unverified"
    record(Action.LOGIN_FAILED, user=user, email=email, reason=reason)
    if reason == "unverified":
        raise EmailNotVerified
    raise InvalidCredentials


@transaction.atomic
def request_reset(*, email):
    """Mail a link for a new password to the owner of an active account; silent for any other address.

    The same rows are written either way; a letter for nobody is dropped in the background. Beyond RATE_RESET_LETTERS
    the earlier ones have to do: whoever asks is told the same.
    """
    email = clean_email(email)
    user = User.objects.filter(email=email, is_active=True).first()
    record(Action.PASSWORD_RESET_REQUESTED, user=user, email=email)
    if not is_used_up("reset_letters", email):
        mail.post("reset_password", to=email, user_id=None if user is None else str(user.pk))


@transaction.atomic
def reset(*, token, new_password):
    """Set the password by a mailed token; every session, refresh family and API token of the user ends, and so does
    a lock on log-ins. Returns the User.

    Raises LinkBad (400), LinkExpired or LinkUsed (410), WeakPassword (400, which spends nothing).
    """
    user = tokens.read_link_token(token, tokens.RESET, users=User.objects.select_for_update(no_key=True))
    _set(user, new_password, field="new_password")
    api_tokens.revoke_all(user)
    address = context.current().address
    transaction.on_commit(lambda: lockout.lift(user.email, address=address), robust=True)
    return user


@transaction.atomic
def change(*, user, current_password, new_password):
    """Change one's own password; every other session and every refresh family ends, API tokens stay.

    Returns the fresh User. Raises Invalid (400) under `current_password`, or WeakPassword (400).
    """
    user = User.objects.select_for_update(no_key=True).get(pk=user.pk)
    prove(user, current_password, field="current_password")
    _set(user, new_password, field="new_password")
    return user


def _set(user, new_password, *, field):
    check_new(new_password, user=user, field=field)
    user.set_password(new_password)
    # The link to a new address, which this makes stale, is no longer waited for.
    user.pending_email = ""
    user.save(update_fields=["password", "pending_email", "updated_at"])
    sessions.end_all(user)
    record(Action.PASSWORD_CHANGED, user=user)
    notify(user, "security_changed", what="password_changed")
    mail.post("password_changed", to=user.email, user_id=str(user.pk))
