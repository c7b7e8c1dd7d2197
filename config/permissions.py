"""Who may use a call at all; which rows they get is the queryset's business."""

import functools

from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from rest_framework.permissions import IsAuthenticated


class IsSuper(IsAuthenticated):
    """403 for everybody but a super."""

    def has_permission(self, request, view):
        return super().has_permission(request, view) and request.user.is_superuser


def super_only(view):
    """A page for supers: 403 for everybody else, the log-in for nobody."""

    @login_required
    @functools.wraps(view)
    def guarded(request, *args, **kwargs):
        if not request.user.is_superuser:
            raise PermissionDenied
        return view(request, *args, **kwargs)

    return guarded
