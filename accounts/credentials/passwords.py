"""Passwords: checking one at log-in, changing it, and setting a new one by mail."""

from django.contrib.auth.hashers import make_password
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.translation import gettext as _

from accounts.addresses import clean_email
from accounts.contributions.actions import Action
from accounts.models import User
from accounts.notices import mail, mailed_links
from accounts.notices.notifications import notify
from audit.log import record
from config import context
from config.errors import Invalid, Refused
from config.http.throttling import is_used_up

from . import api_tokens, lockout, sessions

# Enough for any passphrase. Hashing a longer one, such as a megabyte, would only keep the processor busy.
MAX_PASSWORD_LENGTH = 256


class InvalidCredentials(Refused):
    """401, the same for an unknown address, a wrong password and an account switched off."""

    def __init__(self):
        super().__init__(401, "invalid_credentials", _("The address or the password is not right."))


class EmailNotVerified(Refused):
    """403: the password is right, but the user has not opened the mailed link yet."""

    def __init__(self):
        super().__init__(403, "email_not_verified", _("Open the link we mailed you first; then log in."))


class WeakPassword(Refused):
    """400 with the validators' messages under `field`."""

    def __init__(self, field, sentences):
        super().__init__(400, "invalid", sentences[0], errors={field: sentences})


def check_new(password, *, user=None, field="password"):
    """Raises WeakPassword (400) for a password that the validators refuse, or longer than MAX_PASSWORD_LENGTH."""
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
    """Raises Invalid (400) under `field` unless `password` is the user's own."""
    if not is_right(user, password):
        raise Invalid(field, _("This is not your password."))


def authenticate(*, email, password):
    """The active user of these credentials.

    It computes one hash for an unknown address too, so that the time of the answer does not show which addresses have
    accounts. Raises InvalidCredentials (401) or EmailNotVerified (403) and records the failure.
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
    """Mail a link for a new password to the owner of an active account; send nothing to any other address.

    Both cases write the same rows, so that the caller cannot tell them apart; the worker drops an e-mail without a
    user. When RATE_RESET_LETTERS is used up, no further e-mail goes out, and the caller gets the same answer: the
    links mailed before still work.
    """
    email = clean_email(email)
    user = User.objects.filter(email=email, is_active=True).first()
    record(Action.PASSWORD_RESET_REQUESTED, user=user, email=email)
    if not is_used_up("reset_letters", email):
        mail.post("reset_password", to=email, user_id=None if user is None else str(user.pk))


@transaction.atomic
def reset(*, token, new_password):
    """Set the password by a mailed token. Returns the User.

    It ends every session, refresh family and API token of the user, and a lock on log-ins. Raises LinkBad (400),
    LinkExpired or LinkUsed (410), or WeakPassword (400), after which the link still works.
    """
    user = mailed_links.read_link_token(token, mailed_links.RESET, users=User.objects.select_for_update(no_key=True))
    _set(user, new_password, field="new_password")
    api_tokens.revoke_all(user)
    address = context.current().address
    transaction.on_commit(lambda: lockout.lift(user.email, address=address), robust=True)
    return user


@transaction.atomic
def change(*, user, current_password, new_password):
    """Change the password of `user`, who knows the current one. Returns the User, read again from the database.

    It ends every session and refresh family; API tokens stay. The caller keeps the session of the present browser
    (sign_in.change_password). Raises Invalid (400) under `current_password`, or WeakPassword (400).
    """
    user = User.objects.select_for_update(no_key=True).get(pk=user.pk)
    prove(user, current_password, field="current_password")
    _set(user, new_password, field="new_password")
    return user


def _set(user, new_password, *, field):
    check_new(new_password, user=user, field=field)
    user.set_password(new_password)
    # Cancel a pending change of the address: the new password makes its mailed link stale.
    user.pending_email = ""
    user.save(update_fields=["password", "pending_email", "updated_at"])
    sessions.end_all(user)
    record(Action.PASSWORD_CHANGED, user=user)
    notify(user, "security_changed", what="password_changed")
    mail.post("password_changed", to=user.email, user_id=str(user.pk))
