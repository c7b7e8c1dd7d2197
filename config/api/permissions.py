"""Which users may call a view. Which rows they see is up to the view's queryset."""

import functools

from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from rest_framework.permissions import IsAuthenticated


class IsSuper(IsAuthenticated):
    """Lets supers in; 403 for other users."""

    def has_permission(self, request, view):
        return super().has_permission(request, view) and request.user.is_superuser


def super_only(view):
    """A page for supers: 403 for other users; visitors who are not signed in go to the log-in page."""

    @login_required
    @functools.wraps(view)
    def guarded(request, *args, **kwargs):
        if not request.user.is_superuser:
            raise PermissionDenied
        return view(request, *args, **kwargs)

    return guarded
