"""The signed-in user's own pages."""

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import FileResponse, Http404
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods
from rest_framework.permissions import IsAuthenticated

from accounts.people import avatars, profiles, registration, roles
from accounts.scopes import Scope
from accounts.signing_in import sign_in
from accounts.signing_in.scopes import NEVER
from config.access import get_visible
from config.forms import attempt
from config.http.script_pages import ScriptPage
from config.http.throttling import throttle

from ..forms import AvatarForm, EmailForm, ProfileForm
from ..models import User


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def profile(request):
    """Three forms: name and bio, e-mail address, picture. The field `form` says which one was sent."""
    chosen = request.POST.get("form", "") if request.method == "POST" else ""
    forms = {
        "profile_form": ProfileForm(request.POST if chosen == "profile" else None, instance=_copy(request.user)),
        "email_form": EmailForm(request.POST if chosen == "email" else None),
        "avatar_form": AvatarForm(*((request.POST, request.FILES) if chosen == "avatar" else ())),
    }
    form = forms.get(f"{chosen}_form")
    if chosen == "email":
        if not sign_in.is_fresh(request):
            return sign_in.confirm_first(request, "profile")
        throttle(request, "letters")
    elif chosen == "avatar":
        throttle(request, "avatar")
    elif chosen == "no-avatar":
        avatars.remove_avatar(user=request.user)
        messages.success(request, _("Your picture is removed."))
        return redirect("profile")
    if form is not None and form.is_valid():
        facts = form.cleaned_data
        match chosen:
            case "profile":
                done, _result = attempt(form, profiles.change, user=request.user, **facts)
                text = _("Saved.")
            case "email":
                done, _result = attempt(form, registration.request_email_change, user=request.user, **facts)
                text = _("We mailed a link to the new address. Open it to confirm the change.")
            case _other:
                done, _result = attempt(form, avatars.set_avatar, user=request.user, image=facts["avatar"])
                text = _("Your picture is set.")
        if done:
            messages.success(request, text)
            return redirect("profile")
    context = {**forms, "roles": roles.role_names(request.user)}
    return render(request, "accounts/profile.html", context, status=400 if form is not None else 200)


def _copy(user):
    """A copy of the user for the form to change. Otherwise the page would show a refused name as the user's."""
    return User(pk=user.pk, name=user.name, bio=user.bio, email=user.email)


class Avatar(ScriptPage):
    """A user's picture, for every signed-in user: by the session, or by the token of a script that was told its URL."""

    permission_classes = [IsAuthenticated]
    token_scopes = (Scope.ACCOUNT_READ, NEVER)
    # A token that may only write is told the URL by the call that sets the picture.
    also_takes = (Scope.ACCOUNT_WRITE,)

    def get(self, request, user_id):
        """Send the picture. Its URL changes with the picture, so the browser may cache it."""
        user = get_visible(user_id, User.objects.filter(is_active=True).exclude(avatar=""))
        try:
            image = user.avatar.open("rb")
        except FileNotFoundError:
            raise Http404 from None
        response = FileResponse(image, content_type="image/png")
        response["Cache-Control"] = "private, max-age=86400"
        return response
