"""Pages for signing up, in and out."""

from django.conf import settings
from django.contrib import messages
from django.http import HttpResponseRedirect
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from accounts.credentials import lockout, passwords
from accounts.notices import mailed_links
from accounts.people import joining, registration
from accounts.second_factors import passkeys
from accounts.signing_in import sign_in
from config.errors import Refused
from config.forms import attempt
from config.http.redirects import safe_path
from config.http.throttling import throttle

from ..forms import ForgotPasswordForm, LoginForm, ResetPasswordForm, SignupForm

get_or_post = require_http_methods(["GET", "HEAD", "POST"])


def safe_next(request):
    """The page of this portal that `next` names; "" for another site's address (no open redirects)."""
    return safe_path(request, request.POST.get("next") or request.GET.get("next", ""))


@sensitive_post_parameters("password")
@get_or_post
def signup(request):
    """Sign up; the answer is the same whether or not the address is taken."""
    if request.user.is_authenticated:
        return redirect("home")
    joining.assert_open()
    form = SignupForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        throttle(request, "signup")
        done, link = attempt(form, registration.sign_up, **form.cleaned_data)
        if done:
            context = {
                "email": form.cleaned_data["email"],
                "verification_link": link if settings.EXPOSE_VERIFICATION_LINK else None,
                "mail_folder": _mail_folder(),
            }
            return render(request, "accounts/signup_done.html", context)
    return render(request, "accounts/signup.html", {"form": form}, status=400 if form.errors else 200)


def _mail_folder():
    """The folder with the portal's mail, in a demo on the user's own computer; elsewhere None."""
    if settings.EMAIL_BACKEND_KIND == "file" and settings.SITE_IS_LOCAL and settings.DEMO:
        return settings.EMAIL_FILE_PATH
    return None


@sensitive_post_parameters("password")
@get_or_post
def login(request):
    """Log in and go where `next` says."""
    target = safe_next(request)
    if request.user.is_authenticated:
        return redirect(target or "home")
    form = LoginForm(request.POST or None)
    status, headers = 200, {}
    if request.method == "POST":
        status = 400
        if form.is_valid():
            throttle(request, "login_address")
            throttle(request, "login", account=form.cleaned_data["email"])
            try:
                done, result = attempt(
                    form, sign_in.sign_in_browser, request=request, target=target, **form.cleaned_data
                )
            except lockout.LoginLocked as refusal:
                # Show the refusal on the log-in page, next to the link for a new password.
                form.add_error(None, refusal.message)
                done, result, headers = False, refusal, {"Retry-After": str(refusal.retry_after)}
            if done:
                return HttpResponseRedirect((target or reverse("home")) if result else reverse("login-second-factor"))
            status = result.status
    response = render(request, "accounts/login.html", login_context(form, target), status=status)
    for name, value in headers.items():
        response[name] = value
    return response


def login_context(form, target, passkey_form=None):
    """The context of the log-in page; `passkey_form` holds the errors of a passkey that did not work."""
    return {
        "form": form,
        "next": target,
        "passkey_form": passkey_form,
        "passkeys_possible": passkeys.are_possible(),
    }


@get_or_post
def logout(request):
    """End this browser's session by a POST; a GET shows a page with the button for it."""
    if request.method != "POST":
        return render(request, "accounts/logout.html") if request.user.is_authenticated else redirect("home")
    sign_in.sign_out_browser(request)
    messages.info(request, _("You are logged out."))
    return redirect("home")


def _confirm(request, *, purpose, operation, success, title):
    """A page with a button that uses up a mailed link. Only opening it, as a mail scanner does, changes nothing."""
    token = request.POST.get("token", "") if request.method == "POST" else request.GET.get("token", "")
    state, status = "ask", 200
    try:
        if request.method == "POST":
            # The link proves that the user owns the mailbox, so a lock on log-ins must not stop this browser.
            lockout.remember(request, operation(token=token))
            state = "done"
            messages.success(request, success)
        else:
            mailed_links.read_link_token(token, purpose)
    except Refused as refusal:
        state, status = link_state(refusal), refusal.status
    context = {"token": token if state == "ask" else "", "state": state, "title": title}
    return render(request, "accounts/verify_email.html", context, status=status)


def link_state(refusal):
    """The word for the template: a link is "expired", "used" or "bad". Raises any other refusal again."""
    match refusal:
        case mailed_links.LinkExpired():
            return "expired"
        case mailed_links.LinkUsed():
            return "used"
        case mailed_links.LinkBad():
            return "bad"
    raise refusal


@get_or_post
def verify_email(request):
    """Activate a new account."""
    return _confirm(
        request,
        purpose=mailed_links.VERIFY,
        operation=registration.verify_email,
        success=_("Your address is confirmed. You can log in now."),
        title=_("Confirm your address"),
    )


@get_or_post
def change_email(request):
    """Confirm a new address."""
    return _confirm(
        request,
        purpose=mailed_links.CHANGE_EMAIL,
        operation=registration.confirm_email_change,
        success=_("Your new address is confirmed."),
        title=_("Confirm your new address"),
    )


@get_or_post
def forgot_password(request):
    """Ask for a link to set a new password."""
    form = ForgotPasswordForm(request.POST or None)
    sent, status = False, 200
    if request.method == "POST":
        if form.is_valid():
            throttle(request, "forgot_password")
            passwords.request_reset(email=form.cleaned_data["email"])
            sent = True
        else:
            status = 400
    return render(request, "accounts/forgot_password.html", {"form": form, "sent": sent}, status=status)


@sensitive_post_parameters("new_password")
@get_or_post
def reset_password(request):
    """Set a new password by a mailed link."""
    state, status = "ask", 200
    form = ResetPasswordForm(request.POST or None, initial={"token": request.GET.get("token", "")})
    try:
        if request.method == "POST":
            throttle(request, "reset_password")
            if form.is_valid():
                done, result = attempt(form, passwords.reset, **form.cleaned_data)
                if not done and isinstance(result, passwords.WeakPassword):
                    status = 400
                elif not done:
                    raise result
                else:
                    state = "done"
                    # The link proves that the user owns the mailbox, as in _confirm.
                    lockout.remember(request, result)
            else:
                status = 400
        else:
            mailed_links.read_link_token(request.GET.get("token", ""), mailed_links.RESET)
    except Refused as refusal:
        state, status = link_state(refusal), refusal.status
    return render(request, "accounts/reset_password.html", {"form": form, "state": state}, status=status)
