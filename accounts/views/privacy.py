"""One's own data: a copy of them, and the end of the account."""

from django.conf import settings
from django.contrib.auth import logout
from django.contrib.auth.decorators import login_required
from django.http import StreamingHttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from config.forms import attempt
from config.throttling import throttle

from .. import privacy
from ..forms import CloseAccountForm, ExportForm


@sensitive_post_parameters("password")
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def own_data(request):
    """What one may do with one's data; with the password, a copy of them as a JSON document."""
    form = ExportForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        throttle(request, "data_export")
        done, blocks = attempt(form, privacy.export, user=request.user, **form.cleaned_data)
        if done:
            return as_download(blocks)
    context = {"form": form, "archives": privacy.archives_of(request.user)}
    return render(request, "accounts/profile_data.html", context, status=400 if form.errors else 200)


def as_download(blocks):
    """The answer that sends a copy of somebody's data, `blocks` of bytes, as a file."""
    response = StreamingHttpResponse(blocks, content_type="application/json")
    response["Content-Disposition"] = f'attachment; filename="portal-data-{timezone.now():%Y-%m-%d}.json"'
    response["X-Content-Type-Options"] = "nosniff"
    # nginx would gather it in a file before a slow client has read it.
    response["X-Accel-Buffering"] = "no"
    return response


@sensitive_post_parameters("password")
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def close_account(request):
    """What closing the account means, and the form that does it."""
    form = CloseAccountForm(request.POST or None)
    status = 200
    if request.method == "POST":
        status = 400
        if form.is_valid():
            throttle(request, "account_closure")
            done, result = attempt(form, privacy.close_account, user=request.user, **form.cleaned_data)
            if done:
                logout(request)
                return render(request, "accounts/close_account_done.html", {"erased_on": privacy.erased_on(result)})
            status = result.status
    context = {"form": form, "days": settings.ACCOUNT_CLOSURE_DAYS}
    return render(request, "accounts/close_account.html", context, status=status)
