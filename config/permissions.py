"""Who may use a call at all; which rows they get is the queryset's business."""

from rest_framework.permissions import IsAuthenticated


class IsSuper(IsAuthenticated):
    """403 for everybody but a super."""

    def has_permission(self, request, view):
        return super().has_permission(request, view) and request.user.is_superuser
