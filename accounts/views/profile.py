"""The signed-in user's own pages."""

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import FileResponse, Http404
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from config.access import get_visible, is_uuid
from config.forms import attempt
from config.pagination import keyset_page

from .. import avatars, notifications, profiles, registration, roles, sign_in
from ..forms import AvatarForm, EmailForm, PasswordForm, ProfileForm
from ..models import Notification, User


@sensitive_post_parameters("current_password", "new_password")
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def profile(request):
    """Name and bio, address, password and picture, each a form of its own."""
    chosen = request.POST.get("form", "") if request.method == "POST" else ""
    forms = {
        "profile_form": ProfileForm(request.POST if chosen == "profile" else None, instance=_copy(request.user)),
        "email_form": EmailForm(request.POST if chosen == "email" else None),
        "password_form": PasswordForm(request.POST if chosen == "password" else None),
        "avatar_form": AvatarForm(*((request.POST, request.FILES) if chosen == "avatar" else ())),
    }
    form = forms.get(f"{chosen}_form")
    if form is not None and form.is_valid():
        facts = form.cleaned_data
        match chosen:
            case "profile":
                done, _result = attempt(form, profiles.change, user=request.user, **facts)
                text = _("Saved.")
            case "email":
                done, _result = attempt(form, registration.request_email_change, user=request.user, **facts)
                text = _("We mailed a link to the new address. Open it to confirm the change.")
            case "password":
                done, _result = attempt(form, sign_in.change_password, request=request, **facts)
                text = _("Your password is changed. Everywhere else you are logged out.")
            case _other:
                done, _result = attempt(form, avatars.set_avatar, user=request.user, image=facts["avatar"])
                text = _("Your picture is set.")
        if done:
            messages.success(request, text)
            return redirect("profile")
    context = {**forms, "roles": roles.role_names(request.user)}
    return render(request, "accounts/profile.html", context, status=400 if form is not None else 200)


def _copy(user):
    """A row for the form to scribble on, so that a refused name never shows as the user's."""
    return User(pk=user.pk, name=user.name, bio=user.bio, email=user.email)


@login_required
@require_GET
def avatar(request, user_id):
    """A user's picture, for anybody signed in; its address changes with it, so it may be kept."""
    user = get_visible(user_id, User.objects.filter(is_active=True).exclude(avatar=""))
    try:
        image = user.avatar.open("rb")
    except FileNotFoundError:
        raise Http404 from None
    response = FileResponse(image, content_type="image/png")
    response["Cache-Control"] = "private, max-age=86400"
    return response


@login_required
@require_GET
def notices(request):
    """The user's notices, newest first."""
    page = keyset_page(
        Notification.objects.filter(user=request.user), request=request, time_field="created_at", default_limit=50
    )
    for notice in page.results:
        notice.text, notice.url = notifications.sentence(notice), notifications.url(notice)
    return render(request, "accounts/notifications.html", {"page": page})


@login_required
@require_POST
def mark_notices_read(request):
    """Mark the chosen notices, or all, read."""
    ids = [text for text in request.POST.getlist("ids")[:1000] if is_uuid(text)]
    notifications.mark_read(user=request.user, ids=ids, everything=bool(request.POST.get("all")))
    return redirect("notifications")
