"""Pages of the second factor: the second step of a log-in, log-in by passkey, adding and removing factors."""

from functools import wraps

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST

from accounts.second_factors import factors, half_signed_in, passkeys
from accounts.signing_in import sign_in
from config.forms import attempt
from config.http.refusals import wants_json
from config.http.throttling import throttle
from config.http.view_facts import says

from ..forms import CodeForm, LoginForm, PasskeyForm, RecoveryCodeForm, SecondStepForm
from .auth import login_context, safe_next

get_or_post = require_http_methods(["GET", "HEAD", "POST"])


def needs_proof(view):
    """Let the view run only if this browser proved lately who uses it; otherwise ask for that first.

    A script gets ConfirmFirst (403).
    """

    @wraps(view)
    def asked(request, *args, **kwargs):
        if sign_in.is_fresh(request):
            return view(request, *args, **kwargs)
        if wants_json(request):
            raise sign_in.ConfirmFirst
        return sign_in.confirm_first(request, request.path if request.method == "GET" else "profile-security")

    return asked


# --- Logging in -------------------------------------------------------------------------------------


def _begin_again(request, refusal):
    half_signed_in.forget(request)
    messages.error(request, refusal.message)
    return redirect("login")


@sensitive_post_parameters("code", "recovery_code", "passkey")
@get_or_post
def login_second_step(request):
    """The second step of a log-in: a code, a recovery code or a passkey."""
    if request.user.is_authenticated:
        return redirect("home")
    try:
        user = half_signed_in.of(request).user
    except half_signed_in.HalfwayOver as refusal:
        return _begin_again(request, refusal)
    form = SecondStepForm(request.POST or None)
    status = 200
    if request.method == "POST":
        status = 400
        if form.is_valid():
            throttle(request, "login_address")
            throttle(request, "second_factor", account=user.email)
            done, result = attempt(form, sign_in.finish_browser, request=request, **form.cleaned_data)
            if done:
                return redirect(result or "home")
            if isinstance(result, half_signed_in.HalfwayOver):
                return _begin_again(request, result)
            status = result.status
    methods = factors.methods(user)
    if not methods:
        # A super removed the factors meanwhile. The password is enough now; the user enters it again.
        return _begin_again(request, half_signed_in.HalfwayOver())
    context = {
        "methods": methods,
        "form": form,
        "code_form": CodeForm(),
        "recovery_form": RecoveryCodeForm(),
    }
    return render(request, "accounts/second_factor_login.html", context, status=status)


@sensitive_post_parameters("passkey")
@require_POST
def login_passkey(request):
    """Log in with a passkey and no password."""
    target = safe_next(request)
    if request.user.is_authenticated:
        return redirect(target or "home")
    form = PasskeyForm(request.POST)
    status = 400
    if form.is_valid():
        throttle(request, "passkey")
        done, result = attempt(form, sign_in.sign_in_by_passkey, request=request, passkey=form.cleaned_data["passkey"])
        if done:
            return redirect(target or "home")
        status = result.status
    return render(request, "accounts/login.html", login_context(LoginForm(), target, form), status=status)


@require_POST
def passkey_options(request, purpose):
    """The options for the browser's passkey dialog, as JSON. Store their challenge in the session."""
    if purpose not in passkeys.PURPOSES or not passkeys.are_possible():
        raise Http404
    throttle(request, "passkey")
    if purpose == passkeys.LOGIN:
        if not request.user.is_authenticated:
            # Expire soon. Otherwise each visit to the log-in page would leave a session for weeks.
            request.session.set_expiry(half_signed_in.BROWSER_SECONDS)
        options = passkeys.assertion_options(request.session, purpose)
    elif purpose == passkeys.SECOND_STEP:
        options = passkeys.assertion_options(request.session, purpose, half_signed_in.of(request).user)
    elif not request.user.is_authenticated:
        raise Http404
    elif purpose == passkeys.CONFIRM:
        options = passkeys.assertion_options(request.session, purpose, request.user)
    else:
        sign_in.demand_fresh(request)
        options = passkeys.registration_options(request.session, request.user)
    return HttpResponse(options, content_type="application/json")


# --- Setting up -------------------------------------------------------------------------------------


@login_required
@require_http_methods(["GET", "HEAD"])
def choose(request):
    """Choose which second factor to set up. Users whose role asks for one, and who have none, are sent here."""
    context = {
        "methods": factors.methods(request.user),
        "required": factors.is_required(request.user),
        "passkeys_possible": passkeys.are_possible(),
    }
    return render(request, "accounts/second_factor.html", context)


@says(shows_secret=True)
@sensitive_post_parameters("code")
@login_required
@get_or_post
@needs_proof
def authenticator(request):
    """Set up an authenticator app: show the QR code, and take a code of the app as proof."""
    form = CodeForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        throttle(request, "second_factor")
        done, result = attempt(
            form, factors.add_app, user=request.user, session=request.session, code=form.cleaned_data["code"]
        )
        if done:
            return _after_adding(request, result, _("Your authenticator app is set up."))
    facts = factors.setup_facts(request.session, request.user)
    context = {**facts, "form": form, "replaces": factors.TOTP in factors.methods(request.user)}
    return render(request, "accounts/second_factor_app.html", context, status=400 if form.errors else 200)


@sensitive_post_parameters("passkey")
@login_required
@get_or_post
@needs_proof
def add_passkey(request):
    """Make a passkey with a name."""
    form = PasskeyForm(request.POST or None)
    status = 200
    if request.method == "POST":
        status = 400
        if form.is_valid():
            done, result = attempt(
                form,
                factors.register_passkey,
                user=request.user,
                session=request.session,
                name=form.cleaned_data["name"],
                credential=form.cleaned_data["passkey"],
            )
            if done:
                return _after_adding(request, result, _("Your passkey is set up."))
            status = result.status
    context = {"form": form, "passkeys_possible": passkeys.are_possible()}
    return render(request, "accounts/passkey_add.html", context, status=status)


def _after_adding(request, codes, text):
    messages.success(request, text)
    if codes is None:
        return redirect("profile-security")
    return _show_codes(request, codes)


def _show_codes(request, codes):
    """Show new recovery codes in the answer to the POST: the portal stores only their hashes."""
    return render(request, "accounts/second_factor_codes.html", {"codes": codes})


@login_required
@require_POST
@needs_proof
def new_recovery_codes(request):
    """Make ten new recovery codes and show them once."""
    return _show_codes(request, factors.new_codes(user=request.user))


@login_required
@require_POST
@needs_proof
def remove_authenticator(request):
    """Remove the authenticator app."""
    factors.remove_app(user=request.user)
    messages.success(request, _("Your authenticator app is removed."))
    return redirect("profile-security")


@login_required
@require_POST
@needs_proof
def remove_passkey(request, passkey_id):
    """Remove a passkey."""
    factors.remove_passkey(user=request.user, passkey_id=passkey_id)
    messages.success(request, _("The passkey is removed."))
    return redirect("profile-security")
