"""The page of the user's own API tokens."""

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from accounts.credentials import api_tokens
from accounts.signing_in import sign_in
from config.api.pagination import keyset_page
from config.forms import attempt
from config.http.view_facts import says

from ..forms import ApiTokenForm
from ..models import ApiToken

PAGE = 50


@says(shows_secret=True)
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def tokens(request):
    """List the user's tokens, with a form for a new one. Only the answer to that form shows the new token."""
    if request.method == "POST" and not sign_in.is_fresh(request):
        return sign_in.confirm_first(request, "profile-tokens")
    form = ApiTokenForm(request.POST or None, user=request.user)
    made = None
    if request.method == "POST" and form.is_valid():
        done, result = attempt(form, api_tokens.create, user=request.user, **form.cleaned_data)
        if done:
            made = result
            form = ApiTokenForm(user=request.user)
    rows = ApiToken.objects.of(request.user)
    page = keyset_page(rows, request=request, time_field="created_at", default_limit=PAGE)
    context = {
        "form": form,
        "made": made and {"token": made[0], "raw": made[1]},
        "page": page,
        "most": api_tokens.MAX_LIVE,
    }
    return render(request, "accounts/profile_tokens.html", context, status=400 if form.errors else 200)


@login_required
@require_POST
def revoke(request, token_id):
    """Revoke a token."""
    token = api_tokens.revoke(user=request.user, token_id=token_id)
    messages.success(
        request, _("“%(name)s” is revoked. What still uses it is refused from now on.") % {"name": token.name}
    )
    return redirect("profile-tokens")
