"""Many files at once for scripts."""

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.views import APIView

from config.serializers import read, read_flag
from config.throttling import throttle

from .. import archives
from ..views.archives import send_archive
from . import serializers

ZIP = {(200, "application/zip"): OpenApiTypes.BINARY}


class Bulk(APIView):
    @extend_schema(
        parameters=[OpenApiParameter("partial", OpenApiTypes.BOOL, description="The same as in the body.")],
        request=serializers.BulkInput,
        responses=ZIP,
    )
    def post(self, request):
        """Up to 1,000 files as one stored ZIP of exact length; the Link header says where to resume it.

        All or nothing, unless `partial` is asked for: then SKIPPED.txt lists what was left out.
        """
        throttle(request, "download_url")
        facts = read(serializers.BulkInput, request)
        partial = facts["partial"] or read_flag(request.GET, "partial")
        stream = archives.make(user=request.user, file_ids=facts["file_ids"], partial=partial)
        return send_archive(request, stream, headers={})


class BulkAgain(APIView):
    @extend_schema(responses={**ZIP, (206, "application/zip"): OpenApiTypes.BINARY})
    def get(self, request, archive_id):
        """The caller's archive of the last ten minutes, ranges served."""
        stream = archives.again(user=request.user, archive_id=archive_id)
        return send_archive(request, stream, headers=request.headers)
