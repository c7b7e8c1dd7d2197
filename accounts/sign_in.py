"""Signing in and out, by browser or by script."""

from django.contrib.auth import login, logout, update_session_auth_hash
from django.db import transaction
from django.utils import timezone

from audit.log import record
from audit.models import Action

from . import passwords, tokens
from .models import User


def sign_in_script(*, email, password):
    """{"access", "refresh", "user"} for right credentials; raises what passwords.authenticate raises."""
    user = passwords.authenticate(email=email, password=password)
    with transaction.atomic():
        _entered(user, by="api")
        return {**tokens.open_family(user), "user": user}


def sign_in_browser(request, *, email, password):
    """Open a fresh session for right credentials; raises what passwords.authenticate raises.

    The one operation that takes a request: the session is part of it.
    """
    user = passwords.authenticate(email=email, password=password)
    with transaction.atomic():
        login(request, user, backend="django.contrib.auth.backends.ModelBackend")
        _entered(user, by="browser")
    return user


def sign_out_browser(request):
    """End this browser's session."""
    if request.user.is_authenticated:
        record(Action.LOGOUT, user=request.user)
    logout(request)


def change_password(request, *, current_password, new_password):
    """passwords.change, keeping this very session."""
    user = passwords.change(user=request.user, current_password=current_password, new_password=new_password)
    update_session_auth_hash(request, user)


def _entered(user, *, by):
    User.objects.filter(pk=user.pk).update(last_login=timezone.now())
    record(Action.LOGIN, user=user, by=by)
