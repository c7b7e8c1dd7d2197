"""Signing in and out, by browser or by script; with a second factor in two steps.

The operations that take a request: the session is part of it.
"""

import time

from django.contrib.auth import login, logout, update_session_auth_hash
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from audit.log import record
from audit.models import Action
from config.errors import Refused

from . import halfway, languages, lockout, passkeys, passwords, second_factor, tokens
from .models import User
from .notifications import notify

PASSWORD = "password"  # noqa: S105 - the name of a way to log in
# When this browser last proved who sits there, in seconds; settings of security ask for it to be recent.
PROVED_AT = "proved-at"
FRESH_SECONDS = 600


class MfaRequired(Refused):
    """401: the password is right; the token and a code, at the second step, log in."""

    def __init__(self, user, methods):
        super().__init__(
            401,
            "mfa_required",
            _("The password is right. Send a code of your second factor with the mfa_token."),
            extra={
                "mfa_token": halfway.token_for(user),
                "methods": methods,
                "expires_in": halfway.TOKEN_SECONDS,
            },
        )


class ConfirmFirst(Refused):
    """403: what protects an account is changed only by somebody who has just proved to be its owner."""

    def __init__(self):
        super().__init__(403, "confirmation_needed", _("Confirm that it is you first."))


# --- By script --------------------------------------------------------------------------------------


def sign_in_script(*, email, password, device=""):
    """{"access", "refresh", "user"} for right credentials; `device` is the cookie of lockout, if it sent one.

    Raises what passwords.authenticate raises, lockout.LoginLocked (429), MfaRequired (401) for somebody with a
    second factor, and second_factor.SecondFactorNeeded (403) for somebody who has to set one up first.
    """
    with lockout.guarded(email=email, device=device):
        user = passwords.authenticate(email=email, password=password)
    if methods := second_factor.methods(user):
        raise MfaRequired(user, methods)
    second_factor.demand(user)
    with transaction.atomic():
        _entered(user, by="api", method=PASSWORD)
        return {**tokens.open_family(user), "user": user}


def finish_script(*, mfa_token, code="", recovery_code=""):
    """The second step: {"access", "refresh", "user"}, once for a token.

    Raises halfway.HalfwayOver (401), or what second_factor.prove raises, which leaves the token good.
    """
    user = halfway.read(mfa_token)
    method = second_factor.prove(user, code=code, recovery_code=recovery_code)
    with transaction.atomic():
        halfway.spend(mfa_token)
        _entered(user, by="api", method=method)
        return {**tokens.open_family(user), "user": user}


def refresh_script(*, refresh):
    """Trade a refresh token for {"access", "refresh"}, as tokens.rotate; whose token is shown twice is told of it.

    Raises tokens.TokenInvalid or tokens.TokenReused (401).
    """
    with transaction.atomic():
        try:
            return tokens.rotate(refresh=refresh)
        except tokens.TokenReused as refusal:
            reused = refusal
            if refusal.owner is not None:
                notify(refusal.owner, "security_changed", what="token_reused")
    # Raised outside, so that the end of the family is committed.
    raise reused


# --- By browser -------------------------------------------------------------------------------------


def sign_in_browser(request, *, email, password, target=""):
    """Open a fresh session for right credentials.

    Raises what passwords.authenticate raises, and lockout.LoginLocked (429). Returns False for somebody with a
    second factor: nobody is signed in yet, and the browser may go on to the second step, which will lead to `target`.
    """
    with lockout.guarded(email=email, device=request.COOKIES.get(lockout.COOKIE_NAME, "")):
        user = passwords.authenticate(email=email, password=password)
    if second_factor.is_set_up(user):
        halfway.begin(request, user, target=target)
        return False
    _enter(request, user, method=PASSWORD)
    return True


def finish_browser(request, *, code="", recovery_code="", passkey=""):
    """The second step of a browser. Returns where it was going.

    Raises halfway.HalfwayOver (401), or what second_factor.prove and prove_by_passkey raise.
    """
    half = halfway.of(request)
    if passkey:
        second_factor.prove_by_passkey(request.session, passkey, purpose=passkeys.SECOND_STEP, user=half.user)
        method = second_factor.PASSKEY
    else:
        method = second_factor.prove(half.user, code=code, recovery_code=recovery_code)
    halfway.forget(request)
    _enter(request, half.user, method=method)
    return half.target


def sign_in_by_passkey(request, *, passkey):
    """Open a fresh session for whoever's passkey answers, its owner verified by PIN, finger or face.

    Raises passkeys.PasskeyRefused (401), also for an account that is switched off.
    """
    user = second_factor.prove_by_passkey(request.session, passkey, purpose=passkeys.LOGIN)
    if not user.is_active:
        record(Action.LOGIN_FAILED, user=user, reason="off")
        raise passkeys.PasskeyRefused
    halfway.forget(request)
    _enter(request, user, method=second_factor.PASSKEY)


def sign_out_browser(request):
    """End this browser's session."""
    if request.user.is_authenticated:
        record(Action.LOGOUT, user=request.user)
    logout(request)


def change_password(request, *, current_password, new_password):
    """passwords.change, keeping this very session."""
    user = passwords.change(user=request.user, current_password=current_password, new_password=new_password)
    update_session_auth_hash(request, user)


def _enter(request, user, *, method):
    # Asked before Django's own log-in, which writes down that there was one.
    is_new = user.last_login is not None and not lockout.knows(request, user)
    with transaction.atomic():
        login(request, user, backend="accounts.authentication.SessionBackend")
        request.session[PROVED_AT] = int(time.time())
        # It may have begun as the short one of a log-in page.
        request.session.set_expiry(None)
        _entered(user, by="browser", method=method)
        if is_new:
            notify(user, "security_changed", what="new_browser")
    lockout.remember(request, user)
    # A browser they have not used before learns what they chose elsewhere.
    languages.remember(request, user.language)


def _entered(user, *, by, method):
    User.objects.filter(pk=user.pk).update(last_login=timezone.now())
    record(Action.LOGIN, user=user, by=by, method=method)


# --- Once more, before something that matters -------------------------------------------------------


def is_fresh(request):
    """True when this browser proved within ten minutes who sits there."""
    return 0 <= time.time() - request.session.get(PROVED_AT, 0) < FRESH_SECONDS


def demand_fresh(request):
    """Raises ConfirmFirst (403) unless that is so."""
    if not is_fresh(request):
        raise ConfirmFirst


def confirm(request, *, password="", code="", passkey=""):
    """Prove once more who sits there, by any of the three.

    Raises passwords.WeakPassword-like 400 for a wrong password, or what second_factor.prove and
    prove_by_passkey raise.
    """
    user = request.user
    if passkey:
        second_factor.prove_by_passkey(request.session, passkey, purpose=passkeys.CONFIRM, user=user)
    elif code:
        second_factor.prove(user, code=code)
    elif not passwords.is_right(user, password):
        record(Action.LOGIN_FAILED, user=user, reason="confirmation")
        raise Refused(400, "wrong_password", _("That is not your password."))
    request.session[PROVED_AT] = int(time.time())
