"""The log in the API, for supers."""

from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.views import APIView

from config.api.pagination import answer, offset_page, page_of
from config.api.permissions import IsSuper

from . import reading
from .filters import EventFilter
from .models import Event


class EventSerializer(serializers.ModelSerializer):
    """One row of the log."""

    user_email = serializers.CharField(source="actor_email")
    ip_address = serializers.IPAddressField(source="address", allow_null=True)

    class Meta:
        model = Event
        fields = [
            "id",
            "action",
            "user_email",
            "target_type",
            "target_id",
            "target_name",
            "folder_slug",
            "subfolder_slug",
            "size_bytes",
            "detail",
            "ip_address",
            "user_agent",
            "request_id",
            "created_at",
            "seq",
            "hash",
        ]


FILTERS = [
    OpenApiParameter("user_email", OpenApiTypes.STR, description="A part of the address."),
    OpenApiParameter(
        "action", OpenApiTypes.STR, description="As in the rows; `bulk_download` finds downloads in a ZIP."
    ),
    OpenApiParameter("folder_slug", OpenApiTypes.STR),
    OpenApiParameter("target_id", OpenApiTypes.STR, description="The id of a file, folder, user …"),
    OpenApiParameter("start_date", OpenApiTypes.STR, description="A date, or an RFC 3339 time; included."),
    OpenApiParameter("end_date", OpenApiTypes.STR, description="A date (included) or a time (excluded)."),
    OpenApiParameter("limit", OpenApiTypes.INT, description="1 to 500, 100 unless told."),
    OpenApiParameter("offset", OpenApiTypes.INT),
]


class AllEvents(APIView):
    """Every action, newest first."""

    permission_classes = [IsSuper]
    events = Event.objects.all()

    @extend_schema(parameters=FILTERS, responses=page_of(EventSerializer))
    def get(self, request):
        """The log, newest first. For supers."""
        filters = EventFilter(request.GET)
        # Fix the end for the following pages: rows logged meanwhile, such as this reading itself, must not shift the
        # offsets.
        now = timezone.now().isoformat()
        found = reading.read(user=request.user, filters=filters, events=self.events.all(), way="api")
        return answer(offset_page(found, request=request, end_date=now), EventSerializer)
