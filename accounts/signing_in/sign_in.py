"""Signing in and out, by browser or by script. With a second factor, signing in takes two steps.

These operations take a request, unlike others, because they change its session.
"""

import time

from django.conf import settings
from django.contrib import messages
from django.contrib.auth import login, logout, update_session_auth_hash
from django.db import transaction
from django.shortcuts import redirect, resolve_url
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode
from django.utils.translation import gettext as _

from accounts.contributions.actions import Action
from accounts.credentials import lockout, passwords, tokens
from accounts.models import User
from accounts.notices.notifications import notify
from accounts.people import invitations, languages
from accounts.second_factors import factors, half_signed_in, passkeys
from audit.log import record
from config.errors import Refused

PASSWORD = "password"  # noqa: S105 - the name of a way to log in
# Session key: when the user of this browser last proved who they are, in seconds since 1970. A change of security
# settings demands a proof that is at most FRESH_SECONDS old.
PROVED_AT = "proved-at"
FRESH_SECONDS = 600


class MfaRequired(Refused):
    """401: the password is right. The script sends the token and a code to the second step to log in."""

    def __init__(self, user, methods):
        super().__init__(
            401,
            "mfa_required",
            _("The password is right. Send a code of your second factor with the mfa_token."),
            extra={
                "mfa_token": half_signed_in.token_for(user),
                "methods": methods,
                "expires_in": half_signed_in.TOKEN_SECONDS,
            },
        )


class ConfirmFirst(Refused):
    """403: a change of security settings demands that the user has just proved who they are."""

    def __init__(self):
        super().__init__(403, "confirmation_needed", _("Confirm that it is you first."))


# --- By script --------------------------------------------------------------------------------------


def sign_in_script(*, email, password, device=""):
    """{"access", "refresh", "user"} for right credentials. `device` is the lockout cookie, or "".

    Raises what passwords.authenticate raises, and lockout.LoginLocked (429). Raises MfaRequired (401) for a user with a
    second factor, and factors.SecondFactorNeeded (403) for a user who must set one up first.
    """
    with lockout.guarded(email=email, device=device):
        user = passwords.authenticate(email=email, password=password)
    if methods := factors.methods(user):
        raise MfaRequired(user, methods)
    factors.demand(user)
    with transaction.atomic():
        _entered(user, by="api", method=PASSWORD)
        return {**tokens.open_family(user), "user": user}


def finish_script(*, mfa_token, code="", recovery_code=""):
    """The second step: {"access", "refresh", "user"}. Each `mfa_token` works once.

    Raises half_signed_in.HalfwayOver (401), or what factors.prove raises: then the token still works.
    """
    user = half_signed_in.read(mfa_token)
    method = factors.prove(user, code=code, recovery_code=recovery_code)
    with transaction.atomic():
        half_signed_in.spend(mfa_token)
        _entered(user, by="api", method=method)
        return {**tokens.open_family(user), "user": user}


def refresh_script(*, refresh):
    """Exchange a refresh token as tokens.rotate does; when it is used a second time, notify its owner.

    Raises tokens.TokenInvalid or tokens.TokenReused (401).
    """
    with transaction.atomic():
        try:
            return tokens.rotate(refresh=refresh)
        except tokens.TokenReused as refusal:
            reused = refusal
            if refusal.owner is not None:
                notify(refusal.owner, "security_changed", what="token_reused")
    # Raise after the transaction. Inside it, the error would roll back the end of the family.
    raise reused


# --- By browser -------------------------------------------------------------------------------------


def sign_in_browser(request, *, email, password, target=""):
    """Sign the user in with a new session. Returns True.

    For a user with a second factor it returns False: the user is not signed in yet, and the browser goes on to the
    second step and from there to `target`. Raises what passwords.authenticate raises, and lockout.LoginLocked (429).
    """
    with lockout.guarded(email=email, device=request.COOKIES.get(lockout.COOKIE_NAME, "")):
        user = passwords.authenticate(email=email, password=password)
    if factors.is_set_up(user):
        half_signed_in.begin(request, user, target=target)
        return False
    _enter(request, user, method=PASSWORD)
    return True


def accept_invitation(request, *, token, new_password):
    """Accept the invitation of a mailed token and sign the new user in: they own the mailbox and chose a password.

    Raises what invitations.accept raises.
    """
    with transaction.atomic():
        user = invitations.accept(token=token, new_password=new_password)
        half_signed_in.forget(request)
        _enter(request, user, method=PASSWORD)


def finish_browser(request, *, code="", recovery_code="", passkey=""):
    """The second step of a browser. Returns the `target` that the first step stored.

    Raises half_signed_in.HalfwayOver (401), or what factors.prove and factors.prove_by_passkey raise.
    """
    half = half_signed_in.of(request)
    if passkey:
        factors.prove_by_passkey(request.session, passkey, purpose=passkeys.SECOND_STEP, user=half.user)
        method = factors.PASSKEY
    else:
        method = factors.prove(half.user, code=code, recovery_code=recovery_code)
    half_signed_in.forget(request)
    _enter(request, half.user, method=method)
    return half.target


def sign_in_by_passkey(request, *, passkey):
    """Sign in the owner of the passkey that answered. The authenticator must have verified them (PIN, finger, face).

    Raises passkeys.PasskeyRefused (401), also for an account that is switched off.
    """
    user = factors.prove_by_passkey(request.session, passkey, purpose=passkeys.LOGIN)
    if not user.is_active:
        record(Action.LOGIN_FAILED, user=user, reason="off")
        raise passkeys.PasskeyRefused
    half_signed_in.forget(request)
    _enter(request, user, method=factors.PASSKEY)


def sign_out_browser(request):
    """End this browser's session."""
    if request.user.is_authenticated:
        record(Action.LOGOUT, user=request.user)
    logout(request)


def change_password(request, *, current_password, new_password):
    """Change the password by passwords.change, and keep this browser's session."""
    user = passwords.change(user=request.user, current_password=current_password, new_password=new_password)
    update_session_auth_hash(request, user)


def _enter(request, user, *, method):
    # Ask this before login(), which sets `last_login`.
    is_new = user.last_login is not None and not lockout.knows(request, user)
    with transaction.atomic():
        login(request, user, backend="accounts.signing_in.authentication.SessionBackend")
        request.session[PROVED_AT] = int(time.time())
        # Restore the usual lifetime: passkey_options may have set a short one.
        request.session.set_expiry(None)
        _entered(user, by="browser", method=method)
        if is_new:
            notify(user, "security_changed", what="new_browser")
    lockout.remember(request, user)
    # Show this browser in the language that the user chose in another browser.
    languages.remember(request, user.language)


def _entered(user, *, by, method):
    User.objects.filter(pk=user.pk).update(last_login=timezone.now())
    record(Action.LOGIN, user=user, by=by, method=method)


# --- Once more, before something that matters -------------------------------------------------------


def is_fresh(request):
    """True when the user of this browser proved within FRESH_SECONDS who they are."""
    age = time.time() - request.session.get(PROVED_AT, 0)
    return -settings.CLOCK_SKEW_SECONDS <= age < FRESH_SECONDS


def demand_fresh(request):
    """Raises ConfirmFirst (403) unless is_fresh(request)."""
    if not is_fresh(request):
        raise ConfirmFirst


def confirm_first(request, target):
    """Redirect to the page that asks for a proof. From there the user goes to `target`, a path or a page's name."""
    if request.method == "POST":
        messages.info(request, _("Confirm that it is you, then choose that again."))
    return redirect(f"{reverse('security-confirm')}?{urlencode({'next': resolve_url(target)})}")


def confirm(request, *, password="", code="", passkey=""):
    """Prove again who the user is, by one of password, code or passkey.

    Raises Refused (400, `wrong_password`), or what factors.prove and factors.prove_by_passkey raise.
    """
    user = request.user
    if passkey:
        factors.prove_by_passkey(request.session, passkey, purpose=passkeys.CONFIRM, user=user)
    elif code:
        factors.prove(user, code=code)
    elif not passwords.is_right(user, password):
        record(Action.LOGIN_FAILED, user=user, reason="confirmation")
        raise Refused(400, "wrong_password", _("That is not your password."))
    request.session[PROVED_AT] = int(time.time())
