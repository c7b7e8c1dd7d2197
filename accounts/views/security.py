"""Pages about how the user logs in, and where they are logged in."""

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST

from accounts.credentials import sessions
from accounts.second_factors import factors, passkeys, recovery_codes
from accounts.signing_in import sign_in
from config.forms import attempt
from config.http.throttling import throttle

from ..forms import ConfirmForm, PasswordForm
from ..models import TotpDevice
from .auth import safe_next

get_or_post = require_http_methods(["GET", "HEAD", "POST"])


@sensitive_post_parameters("current_password", "new_password")
@login_required
@get_or_post
def security(request):
    """The security page: password, second factor, recovery codes, and the browsers and scripts that are logged in."""
    form = PasswordForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        throttle(request, "second_factor")
        done, _result = attempt(form, sign_in.change_password, request=request, **form.cleaned_data)
        if done:
            messages.success(request, _("Your password is changed. Everywhere else you are logged out."))
            return redirect("profile-security")
    user = request.user
    app, keys = TotpDevice.objects.filter(user=user).first(), list(user.passkeys.all())
    number = len(keys) + (app is not None)
    left = recovery_codes.left(user) if number else 0
    required = factors.is_required(user)
    context = {
        "password_form": form,
        "app": app,
        "passkeys": keys,
        "passkeys_possible": passkeys.are_possible(),
        "has_factor": number > 0,
        "required": required,
        "may_remove": number > 1 or not required,
        "codes_left": left,
        "few_codes": left <= recovery_codes.FEW,
        "browsers": _browsers(request),
        "scripts": _scripts(user),
    }
    return render(request, "accounts/profile_security.html", context, status=400 if form.errors else 200)


def _browsers(request):
    here = sessions.hash_of(request.session.session_key)
    rows = list(sessions.browsers_of(request.user))
    for row in rows:
        row.is_here, row.words = row.key_hash == here, sessions.agent_words(row.user_agent)
    return sorted(rows, key=lambda row: not row.is_here)


def _scripts(user):
    rows = list(sessions.scripts_of(user))
    for row in rows:
        row.words = sessions.agent_words(row.user_agent)
    return rows


@sensitive_post_parameters("password", "code", "passkey")
@login_required
@get_or_post
def confirm(request):
    """Ask the user to prove again who they are, then go on to `next`."""
    target = safe_next(request)
    methods = factors.methods(request.user)
    form = ConfirmForm(request.POST or None)
    form.fields["password"].required = not methods
    status = 200
    if request.method == "POST":
        status = 400
        if form.is_valid():
            throttle(request, "second_factor")
            done, result = attempt(form, sign_in.confirm, request=request, **form.cleaned_data)
            if done:
                return redirect(target or "profile-security")
            status = result.status
    context = {"form": form, "next": target, "methods": methods}
    return render(request, "accounts/security_confirm.html", context, status=status)


@login_required
@require_POST
def end_session(request, session_id):
    """End one browser's session or one script's log-in."""
    sessions.end(user=request.user, session_id=session_id)
    messages.success(request, _("Logged out there."))
    return redirect("profile-security")


@login_required
@require_POST
def end_other_sessions(request):
    """End every log-in of the user except this browser's session."""
    count = sessions.end_others(user=request.user, keep=request.session.session_key)
    text = ngettext("Logged out in %(count)d other place.", "Logged out in %(count)d other places.", count)
    messages.success(request, text % {"count": count})
    return redirect("profile-security")
