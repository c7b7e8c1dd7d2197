"""Search for files, for scripts."""

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.views import APIView

from config.api.pagination import Keyset, answer, page_of
from config.api.schema import PAGE_PARAMETERS
from fileshare.contributions import scopes
from fileshare.search.find import find

from ..forms.search import SearchForm
from ..models import File
from . import serializers


class Search(APIView):
    token_scopes = scopes.FILES

    @extend_schema(
        parameters=[
            OpenApiParameter("q", OpenApiTypes.STR, description="Words, each in the name or at the start of a tag."),
            OpenApiParameter("tags", OpenApiTypes.STR, description="Comma-separated; the file has all of them."),
            OpenApiParameter("type", OpenApiTypes.STR, description="An ending like `pdf`, or a kind like `image`."),
            OpenApiParameter("folder_id", OpenApiTypes.UUID),
            OpenApiParameter("uploaded_after", OpenApiTypes.STR, description="A date or RFC 3339 time; included."),
            OpenApiParameter(
                "uploaded_before", OpenApiTypes.STR, description="A date (included) or a time (excluded)."
            ),
            OpenApiParameter("min_size", OpenApiTypes.INT, description="Bytes; included."),
            OpenApiParameter("max_size", OpenApiTypes.INT, description="Bytes; included."),
            *PAGE_PARAMETERS,
        ],
        responses=page_of(serializers.FileSerializer),
    )
    def get(self, request):
        """Files the caller may download, by name, type and tags, newest first."""
        wanted = SearchForm(request.GET).wanted()
        pages = Keyset(request, model=File, time_field="uploaded_at")
        return answer(find(user=request.user, wanted=wanted, pages=pages), serializers.FileSerializer)
