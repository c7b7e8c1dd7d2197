"""The user's own data: copy them, and close the account."""

from django.conf import settings
from django.contrib.auth import logout
from django.contrib.auth.decorators import login_required
from django.shortcuts import render
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from accounts.privacy import subject_rights
from accounts.privacy.sending import as_download
from config.forms import attempt
from config.http.throttling import throttle

from ..forms import CloseAccountForm, ExportForm


@sensitive_post_parameters("password")
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def own_data(request):
    """The page about the user's data; a POST with the password downloads a copy as JSON."""
    form = ExportForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        throttle(request, "data_export")
        done, blocks = attempt(form, subject_rights.export, user=request.user, **form.cleaned_data)
        if done:
            return as_download(blocks)
    context = {"form": form, "archives": subject_rights.archives_of(request.user)}
    return render(request, "accounts/profile_data.html", context, status=400 if form.errors else 200)


@sensitive_post_parameters("password")
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def close_account(request):
    """Explain what closing the account means, and close it by a POST."""
    form = CloseAccountForm(request.POST or None)
    status = 200
    if request.method == "POST":
        status = 400
        if form.is_valid():
            throttle(request, "account_closure")
            done, result = attempt(form, subject_rights.close_account, user=request.user, **form.cleaned_data)
            if done:
                logout(request)
                return render(
                    request, "accounts/close_account_done.html", {"erased_on": subject_rights.erased_on(result)}
                )
            status = result.status
    context = {"form": form, "days": settings.ACCOUNT_CLOSURE_DAYS}
    return render(request, "accounts/close_account.html", context, status=status)
