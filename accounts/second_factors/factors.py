"""The second factor: check whether a user has one or must have one, verify it, add and remove it.

An authenticator app or a passkey is a factor. With the first factor the user gets recovery codes, to use when a factor
is lost. A user whose role requires a factor, and who has none, reaches only the pages that set one up.
"""

import time

from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from accounts.contributions.actions import Action
from accounts.credentials import sessions
from accounts.models import Passkey, RolePolicy, TotpDevice, User
from accounts.notices import mail
from accounts.notices.notifications import notify
from accounts.people import roles
from audit.log import record
from config.access import get_visible
from config.drawing import qr
from config.errors import Conflict, Invalid, Refused
from config.outside import sealing

from . import passkeys, recovery_codes, totp

TOTP, RECOVERY_CODE, PASSKEY = "totp", "recovery_code", "passkey"
MAX_PASSKEYS = 20
# Session key of the encrypted secret that a browser is setting up, and for how many seconds it may be used.
PENDING = "totp-pending"
PENDING_SECONDS = 1800
# Event of the e-mail → event of the notice (SECURITY_EVENTS of accounts.contributions.notice_kinds), which is coarser.
NOTICES = {
    "app_added": "second_factor_added",
    "passkey_added": "second_factor_added",
    "app_removed": "second_factor_removed",
    "passkey_removed": "second_factor_removed",
    "removed_by_super": "second_factor_removed",
    "codes_made": "recovery_codes_made",
}


class SecondFactorNeeded(Refused):
    """403: a role of the user requires a second factor, and the user has none."""

    def __init__(self):
        super().__init__(
            403,
            "second_factor_required",
            _("Your role asks for a second factor. Log in on the portal's pages and set one up."),
        )


class CodeWrong(Refused):
    """401: the code is wrong, too old or used before."""

    def __init__(self):
        super().__init__(401, "code_invalid", _("That code is not right. A code is good once, and for a short time."))


# --- Who has one, who has to ------------------------------------------------------------------------


def methods(user):
    """The ways in which `user` can prove a second factor; an empty list when they have no factor."""
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
    """True when one of the user's roles requires a second factor."""
    return RolePolicy.objects.filter(requires_second_factor=True, role__user=user).exists()


def is_missing(user):
    """True while a role requires a factor that `user` lacks. Users from `with_second_factor` need no query."""
    known = getattr(user, "lacks_second_factor", None)
    if known is None:
        known = User.objects.with_second_factor().filter(pk=user.pk, lacks_second_factor=True).exists()
    return known


def demand(user):
    """Raises SecondFactorNeeded (403) while `user` lacks a required factor."""
    if is_missing(user):
        raise SecondFactorNeeded


# --- Proving ----------------------------------------------------------------------------------------


def prove(user, *, code="", recovery_code=""):
    """Check a code of the app or a recovery code. Returns TOTP or RECOVERY_CODE. Each code works once.

    Raises CodeWrong (401), or totp.TooManyGuesses (429) after several wrong codes in a row. The owner gets a notice and
    an e-mail when FREE_GUESSES codes of the app in a row were wrong.
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
    """The user whose passkey answered this browser's challenge. With `user`, it must be a passkey of theirs.

    Raises passkeys.PasskeyRefused (401). If the passkey seems to be a copy, record that and tell its owner.
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
    """Record a failed check of a second factor of `user`."""
    record(Action.SECOND_FACTOR_FAILED, user=user, method=method, **detail)


# --- Changing ---------------------------------------------------------------------------------------


def pending_secret(session, *, fresh=False):
    """The encrypted secret that this browser is setting up. Make one if there is none, or with `fresh`."""
    facts = session.get(PENDING)
    if fresh or not facts or time.time() - facts["at"] > PENDING_SECONDS:
        facts = session[PENDING] = {"secret": totp.new_secret(), "at": int(time.time())}
    return facts["secret"]


@transaction.atomic
def add_app(*, user, session, code):
    """Set up the app that has this browser's pending secret; `code` proves that it has. It replaces an earlier app.

    When this is the first factor, return the recovery codes and end every other log-in of the user, because only a
    password was needed for them. Otherwise return None. Raises Invalid (400) for a wrong code.
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
    """Add the passkey that answered this browser's challenge to `user`. Returns what add_app returns.

    Raises passkeys.PasskeyRefused (400). Raises Conflict (409) for a passkey that is registered already, or when the
    user has MAX_PASSKEYS.
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
    """Make ten new recovery codes; earlier ones stop working. Raises Conflict (409) when the user has no factor."""
    user = User.objects.select_for_update(no_key=True).get(pk=user.pk)
    if not is_set_up(user):
        raise Conflict(_("Set up an authenticator app or a passkey first."), code="no_second_factor")
    codes = recovery_codes.replace(user)
    record(Action.SECOND_FACTOR_ADDED, user=user, method=RECOVERY_CODE)
    _tell(user, "codes_made")
    return codes


@transaction.atomic
def remove_app(*, user):
    """Remove the user's authenticator app; do nothing without one.

    Raises Conflict (409) when it is the last factor and a role requires one.
    """
    user = User.objects.select_for_update(no_key=True).get(pk=user.pk)
    if TotpDevice.objects.filter(user=user).delete()[0]:
        _removed(user, TOTP, "app_removed")


@transaction.atomic
def remove_passkey(*, user, passkey_id):
    """Remove one of the user's own passkeys. Raises Http404, or Conflict (409) as remove_app does."""
    user = User.objects.select_for_update(no_key=True).get(pk=user.pk)
    passkey = get_visible(passkey_id, user.passkeys.all())
    name = passkey.name
    passkey.delete()
    _removed(user, PASSKEY, "passkey_removed", name=name)


def _removed(user, method, what, **detail):
    if not is_set_up(user):
        if is_required(user):
            # Raise inside the caller's transaction: the error rolls the removal back.
            raise Conflict(
                _("Your role asks for a second factor, and this is your last one. Add another first."),
                code="last_second_factor",
            )
        user.recovery_codes.all().delete()
    record(Action.SECOND_FACTOR_REMOVED, user=user, method=method, **detail)
    _tell(user, what)


@transaction.atomic
def remove_all(*, by, user_id):
    """Remove every factor of a user who is locked out; only a super may. Log the user out everywhere and e-mail them.

    Raises PermissionDenied unless `by` is a super, or Http404. Raises Conflict (409) for the super's own account, which
    has its security page, and for a user without a factor.
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
    """Send `user` a notice and an e-mail about a change of the way they log in."""
    notify(user, "security_changed", what=NOTICES.get(what, what))
    mail.post("second_factor_changed", to=user.email, user_id=str(user.pk), what=what)


def keep_readable():
    """Encrypt again, with the newest of LINK_KEYS, what an older one encrypted. Returns how many; safe to repeat."""
    return totp.reseal()


def setup_facts(session, user):
    """The context of the page that sets an app up: the QR code (SVG), and the key in groups of four characters."""
    sealed = pending_secret(session)
    try:
        key = totp.key_text(sealed)
    except sealing.SealBroken:
        sealed = pending_secret(session, fresh=True)
        key = totp.key_text(sealed)
    groups = " ".join(key[n : n + 4] for n in range(0, len(key), 4))
    return {"qr_code": qr.svg(totp.key_uri(sealed, email=user.email)), "key": groups}
