"""The page behind the link of an invitation."""

from django.contrib import messages
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from accounts.credentials import passwords
from accounts.notices import mailed_links
from accounts.people import joining
from accounts.signing_in import sign_in
from config.errors import Refused
from config.forms import attempt

from ..forms import InvitationForm
from .auth import link_state


@sensitive_post_parameters("new_password")
@require_http_methods(["GET", "HEAD", "POST"])
def invitation(request):
    """Choose a password for an account that a super made, and be signed in. Only opening it leaves the link valid."""
    joining.assert_invitations()
    state, status, user = "ask", 200, None
    token = request.POST.get("token", "") if request.method == "POST" else request.GET.get("token", "")
    form = InvitationForm(request.POST or None, initial={"token": token})
    try:
        user = mailed_links.read_link_token(token, mailed_links.INVITE)
        if request.method == "POST":
            status = 400
            if form.is_valid():
                done, refusal = attempt(form, sign_in.accept_invitation, request=request, **form.cleaned_data)
                if done:
                    messages.success(request, _("Your account is ready."))
                    return redirect("home")
                if not isinstance(refusal, passwords.WeakPassword):
                    raise refusal
    except Refused as refusal:
        state, status = link_state(refusal), refusal.status
    context = {"form": form, "state": state, "invited": user}
    return render(request, "accounts/invitation.html", context, status=status)
