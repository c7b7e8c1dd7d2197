"""The second factor: whether somebody has one, has to have one, proves it, and changes it.

An authenticator app or a passkey is a factor; recovery codes stand in for a lost one and come with the first.
Whoever holds a role that asks for a factor reaches nothing but the pages that add one until they have it.
"""

import time

from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from audit.log import record
from audit.models import Action
from config import qr, sealing
from config.access import get_visible
from config.errors import Conflict, Invalid, Refused

from . import mail, passkeys, recovery_codes, roles, sessions, totp
from .models import Passkey, RolePolicy, TotpDevice, User
from .notifications import notify

TOTP, RECOVERY_CODE, PASSKEY = "totp", "recovery_code", "passkey"
MAX_PASSKEYS = 20
# Where a browser keeps the secret it is setting up, sealed; and for how long.
PENDING = "totp-pending"
PENDING_SECONDS = 1800
# What a letter tells in detail, a notice (accounts.notices) tells in one of these words.
NOTICES = {
    "app_added": "second_factor_added",
    "passkey_added": "second_factor_added",
    "app_removed": "second_factor_removed",
    "passkey_removed": "second_factor_removed",
    "removed_by_super": "second_factor_removed",
    "codes_made": "recovery_codes_made",
}


class SecondFactorNeeded(Refused):
    """403: a role asks for a second factor, and there is none yet."""

    def __init__(self):
        super().__init__(
            403,
            "second_factor_required",
            _("Your role asks for a second factor. Log in on the portal's pages and set one up."),
        )


class CodeWrong(Refused):
    """401: a wrong, old or used code."""

    def __init__(self):
        super().__init__(401, "code_invalid", _("That code is not right. A code is good once, and for a short time."))


# --- Who has one, who has to ------------------------------------------------------------------------


def methods(user):
    """The ways in which `user` can prove a second factor; none when they have none."""
    found = [TOTP] if TotpDevice.objects.filter(user=user).exists() else []
    if Passkey.objects.filter(user=user).exists():
        found.append(PASSKEY)
    if found and recovery_codes.left(user):
        found.insert(1 if found[0] == TOTP else 0, RECOVERY_CODE)
    return found


def is_set_up(user):
    """True when `user` has an authenticator app or a passkey."""
    return TotpDevice.objects.filter(user=user).exists() or Passkey.objects.filter(user=user).exists()


def is_required(user):
    """True when one of the user's roles asks for a second factor."""
    return RolePolicy.objects.filter(requires_second_factor=True, role__user=user).exists()


def is_missing(user):
    """True while a role asks for a factor that is not there; free of a query for users from `with_second_factor`."""
    known = getattr(user, "lacks_second_factor", None)
    if known is None:
        known = User.objects.with_second_factor().filter(pk=user.pk, lacks_second_factor=True).exists()
    return known


def demand(user):
    """Raises SecondFactorNeeded (403) while one is missing."""
    if is_missing(user):
        raise SecondFactorNeeded


# --- Proving ----------------------------------------------------------------------------------------


def prove(user, *, code="", recovery_code=""):
    """Take a code of the app or a recovery code; returns which it was. Each counts once.

    Raises CodeWrong (401), or totp.TooManyGuesses (429) after wrong codes in a row; the owner is told of those.
    """
    if recovery_code:
        with transaction.atomic():
            if recovery_codes.spend(user, recovery_code):
                left = recovery_codes.left(user)
                record(Action.RECOVERY_CODE_USED, user=user, left=left)
                _tell(user, "recovery_code_used")
                return RECOVERY_CODE
        failed(user, RECOVERY_CODE)
        raise CodeWrong
    right, failures = totp.check(user, code)
    if right:
        return TOTP
    failed(user, TOTP)
    if failures == totp.FREE_GUESSES:
        with transaction.atomic():
            _tell(user, "wrong_codes")
    raise CodeWrong


def prove_by_passkey(session, credential, *, purpose, user=None):
    """The user whose passkey answered this browser's challenge; `user` alone counts if given.

    Raises passkeys.PasskeyRefused (401). A passkey that was copied is recorded and its owner told.
    """
    try:
        passkey = passkeys.use(credential, passkeys.take_challenge(session, purpose, user), user=user)
    except passkeys.PasskeyCopied:
        owner = user or Passkey.objects.select_related("user").get(credential_id=passkeys.id_in(credential)).user
        failed(owner, PASSKEY, reason="sign_count")
        with transaction.atomic():
            _tell(owner, "passkey_copied")
        raise
    except passkeys.PasskeyRefused:
        if user is not None:
            failed(user, PASSKEY)
        raise
    return passkey.user


def failed(user, method, **detail):
    """Record that somebody did not prove it."""
    record(Action.SECOND_FACTOR_FAILED, user=user, method=method, **detail)


# --- Changing ---------------------------------------------------------------------------------------


def pending_secret(session, *, fresh=False):
    """The sealed secret that this browser is setting up, made if there is none."""
    facts = session.get(PENDING)
    if fresh or not facts or time.time() - facts["at"] > PENDING_SECONDS:
        facts = session[PENDING] = {"secret": totp.new_secret(), "at": int(time.time())}
    return facts["secret"]


@transaction.atomic
def add_app(*, user, session, code):
    """Make the app that shows `code` for this browser's pending secret the user's one; an earlier one counts no more.

    Returns the recovery codes when this is the first factor, else None; then whoever was logged in elsewhere by
    the password alone is logged out. Raises Invalid (400) for a wrong code.
    """
    user = User.objects.select_for_update(no_key=True).get(pk=user.pk)
    secret = pending_secret(session)
    step = totp.matching_step(secret, code)
    if step is None:
        raise Invalid("code", _("That is not the code the app shows now. Check the time of your phone, and try again."))
    first = not is_set_up(user)
    TotpDevice.objects.filter(user=user).delete()
    TotpDevice.objects.create(user=user, secret=secret, last_step=step)
    session.pop(PENDING, None)
    return _added(user, TOTP, "app_added", first=first, session=session)


def register_passkey(*, user, session, name, credential):
    """Make the passkey that answered this browser's challenge one of the user's. Returns as add_app.

    Raises passkeys.PasskeyRefused (400), or Conflict (409) for one known already or one too many.
    """
    challenge = passkeys.take_challenge(session, passkeys.REGISTER, user)
    credential_id, public_key, sign_count = passkeys.verify_new(credential, challenge)
    return _add_passkey(user, session, name, credential_id, public_key, sign_count)


@transaction.atomic
def _add_passkey(user, session, name, credential_id, public_key, sign_count):
    user = User.objects.select_for_update(no_key=True).get(pk=user.pk)
    first = not is_set_up(user)
    if user.passkeys.count() >= MAX_PASSKEYS:
        raise Conflict(_("These are passkeys enough; remove one first."), code="too_many_passkeys")
    name = " ".join("".join(letter if letter.isprintable() else " " for letter in name).split())[:60]
    try:
        with transaction.atomic():
            passkey = Passkey.objects.create(
                user=user,
                name=name or _("Passkey"),
                credential_id=credential_id,
                public_key=public_key,
                sign_count=sign_count,
            )
    except IntegrityError:
        raise Conflict(_("This passkey is registered already."), code="passkey_known") from None
    return _added(user, PASSKEY, "passkey_added", first=first, session=session, target=passkey)


def _added(user, method, what, *, first, session, target=None):
    record(Action.SECOND_FACTOR_ADDED, user=user, target=target, method=method)
    _tell(user, what)
    if not first:
        return None
    sessions.end_others(user=user, keep=session.session_key)
    return recovery_codes.replace(user)


@transaction.atomic
def new_codes(*, user):
    """Ten new recovery codes; earlier ones open nothing any more. Raises Conflict (409) without a factor."""
    user = User.objects.select_for_update(no_key=True).get(pk=user.pk)
    if not is_set_up(user):
        raise Conflict(_("Set up an authenticator app or a passkey first."), code="no_second_factor")
    codes = recovery_codes.replace(user)
    record(Action.SECOND_FACTOR_ADDED, user=user, method=RECOVERY_CODE)
    _tell(user, "codes_made")
    return codes


@transaction.atomic
def remove_app(*, user):
    """Remove the user's authenticator app; nothing happens without one. Raises Conflict (409) for the last factor
    while a role asks for one."""
    user = User.objects.select_for_update(no_key=True).get(pk=user.pk)
    if TotpDevice.objects.filter(user=user).delete()[0]:
        _removed(user, TOTP, "app_removed")


@transaction.atomic
def remove_passkey(*, user, passkey_id):
    """Remove one of the user's own passkeys. Raises Http404, or Conflict (409) as remove_app."""
    user = User.objects.select_for_update(no_key=True).get(pk=user.pk)
    passkey = get_visible(passkey_id, user.passkeys.all())
    name = passkey.name
    passkey.delete()
    _removed(user, PASSKEY, "passkey_removed", name=name)


def _removed(user, method, what, **detail):
    if not is_set_up(user):
        if is_required(user):
            # Raised inside the caller's transaction: nothing was removed.
            raise Conflict(
                _("Your role asks for a second factor, and this is your last one. Add another first."),
                code="last_second_factor",
            )
        user.recovery_codes.all().delete()
    record(Action.SECOND_FACTOR_REMOVED, user=user, method=method, **detail)
    _tell(user, what)


@transaction.atomic
def remove_all(*, by, user_id):
    """A super takes every factor from somebody who is locked out; they are logged out everywhere and told by mail.

    Raises PermissionDenied unless `by` is a super, Http404, or Conflict (409) for oneself, which goes by one's own
    page, and for somebody without a factor.
    """
    roles.assert_super(by)
    user = get_visible(user_id, User.objects.select_for_update(no_key=True))
    if user.pk == by.pk:
        raise Conflict(_("Change your own second factor on your security page."), code="own_second_factor")
    if not is_set_up(user):
        raise Conflict(_("There is no second factor to remove."), code="no_second_factor")
    TotpDevice.objects.filter(user=user).delete()
    user.passkeys.all().delete()
    user.recovery_codes.all().delete()
    sessions.end_all(user)
    record(Action.SECOND_FACTOR_REMOVED, user=by, target=user, method="all")
    _tell(user, "removed_by_super")


def _tell(user, what):
    """A notice and a letter of what was done to the way somebody logs in."""
    notify(user, "security_changed", what=NOTICES.get(what, what))
    mail.post("second_factor_changed", to=user.email, user_id=str(user.pk), what=what)


def keep_readable():
    """Seal anew what an older key of LINK_KEYS sealed. Returns how many; safe to repeat."""
    return totp.reseal()


def setup_facts(session, user):
    """What the page needs that sets an app up: the QR code (SVG) and the key in groups of four."""
    sealed = pending_secret(session)
    try:
        key = totp.key_text(sealed)
    except sealing.SealBroken:
        sealed = pending_secret(session, fresh=True)
        key = totp.key_text(sealed)
    groups = " ".join(key[n : n + 4] for n in range(0, len(key), 4))
    return {"qr_code": qr.svg(totp.key_uri(sealed, email=user.email)), "key": groups}
