"""API calls for the caller's notices."""

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema, inline_serializer
from rest_framework import serializers as fields
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.notices import kinds, notifications, preferences
from accounts.scopes import ACCOUNT
from config.api.pagination import answer, keyset_page, page_of
from config.api.schema import PAGE_PARAMETERS
from config.api.serializers import read, read_flag

from ..models import Notification
from . import serializers


class Notifications(APIView):
    token_scopes = ACCOUNT

    @extend_schema(
        parameters=[OpenApiParameter("unread", OpenApiTypes.BOOL), *PAGE_PARAMETERS],
        responses=page_of(serializers.NotificationSerializer),
    )
    def get(self, request):
        """The caller's notices, newest first."""
        mine = Notification.objects.filter(user=request.user)
        if read_flag(request.GET, "unread"):
            mine = mine.filter(is_read=False)
        page = keyset_page(mine, request=request, time_field="created_at")
        return answer(page, serializers.NotificationSerializer)


class MarkRead(APIView):
    token_scopes = ACCOUNT

    @extend_schema(
        request=serializers.MarkReadInput, responses=inline_serializer("Marked", {"marked": fields.IntegerField()})
    )
    def post(self, request):
        """Mark some or all of the caller's notices read."""
        facts = read(serializers.MarkReadInput, request)
        marked = notifications.mark_read(
            user=request.user, ids=facts.get("ids", ()), everything=facts.get("all", False)
        )
        return Response({"marked": marked})


class Preferences(APIView):
    token_scopes = ACCOUNT

    @extend_schema(responses=serializers.PreferencesSerializer)
    def get(self, request):
        """When the caller gets each kind of notice by mail."""
        return Response(_preferences(preferences.chosen(request.user)))

    @extend_schema(request=serializers.PreferencesInput, responses=serializers.PreferencesSerializer)
    def put(self, request):
        """Set some kinds or all; the others keep their setting. Notices about security cannot be switched off."""
        facts = read(serializers.PreferencesInput, request)
        return Response(_preferences(preferences.choose(user=request.user, wishes=facts["mail"])))


def _preferences(chosen):
    choices = [
        {
            "kind": kind.name,
            "label": str(kind.label),
            "group": kind.group,
            "default": kind.mail,
            "choices": kind.choices,
        }
        for kind in kinds.KINDS.values()
        if kind.choices
    ]
    return {"mail": chosen, "kinds": choices}
