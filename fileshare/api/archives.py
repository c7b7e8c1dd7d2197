"""Download several files as one ZIP, for scripts."""

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.views import APIView

from config.api.serializers import read, read_flag
from config.http.throttling import throttle
from fileshare.contributions import scopes
from fileshare.outgoing import archives
from fileshare.outgoing.sending import PLAIN_BYTES, ZIP_TYPE, send_archive

from . import serializers

# A generator leaves an answer out if it knows none of its media types (findings/openapi-client-raises-for-a-zip.sh).
ZIP = {(200, kind): OpenApiTypes.BINARY for kind in (ZIP_TYPE, PLAIN_BYTES)}


class Bulk(APIView):
    token_scopes = scopes.READING

    @extend_schema(
        parameters=[OpenApiParameter("partial", OpenApiTypes.BOOL, description="The same as in the body.")],
        request=serializers.BulkInput,
        responses=ZIP,
    )
    def post(self, request):
        """Download up to 1,000 files as one uncompressed ZIP.

        Its length is known, and the Link header holds the URL that resumes the download. If one of the files cannot be
        downloaded, the call is refused. With `partial` the ZIP contains the others, and SKIPPED.txt lists the files
        that are left out.
        """
        throttle(request, "download_url")
        facts = read(serializers.BulkInput, request)
        partial = facts["partial"] or read_flag(request.GET, "partial")
        stream = archives.make(user=request.user, file_ids=facts["file_ids"], partial=partial)
        return send_archive(request, stream, headers={})


class BulkAgain(APIView):
    token_scopes = scopes.READING

    @extend_schema(responses={**ZIP, **{(206, kind): described for (_status, kind), described in ZIP.items()}})
    def get(self, request, archive_id):
        """Resume one of the caller's archives of the last ten minutes. Ranges are supported."""
        stream = archives.again(user=request.user, archive_id=archive_id)
        return send_archive(request, stream, headers=request.headers)
