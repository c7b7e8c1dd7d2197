"""Downloads, for scripts: links and signed URLs to a file's bytes."""

from django.conf import settings
from django.http import HttpResponseRedirect
from django.utils.translation import gettext as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.response import Response
from rest_framework.views import APIView

from config.api.serializers import read_flag
from config.http.throttling import throttle
from fileshare.contributions import scopes
from fileshare.outgoing import downloads

from . import serializers


class ClientDownload(APIView):
    token_scopes = scopes.LISTS

    @extend_schema(
        parameters=[OpenApiParameter("one_time", OpenApiTypes.BOOL, description="Good for one download.")],
        responses=serializers.LinkAnswer,
    )
    def get(self, request, file_id):
        """An encrypted link to the file that works for the caller only."""
        throttle(request, "download_url")
        link = downloads.link_for(user=request.user, file_id=file_id, one_time=read_flag(request.GET, "one_time"))
        return Response(
            {"download-link": link, "message": "success", "expires_in": settings.LINK_EXPIRY_SECONDS},
            headers={"Cache-Control": "no-store"},
        )


class FileDownload(APIView):
    token_scopes = scopes.FILES

    @extend_schema(responses={302: OpenApiResponse(description=_("To a signed URL, in Location."))})
    def get(self, request, file_id):
        """Redirects to a signed URL."""
        throttle(request, "download_url")
        url = downloads.presigned_url(user=request.user, file_id=file_id)
        return HttpResponseRedirect(request.build_absolute_uri(url))


class DownloadUrl(APIView):
    token_scopes = scopes.READING

    @extend_schema(request=None, responses=serializers.DownloadUrlAnswer)
    def post(self, request, file_id):
        """A signed URL of the file's bytes."""
        throttle(request, "download_url")
        url = downloads.presigned_url(user=request.user, file_id=file_id)
        return Response(
            {
                "download_url": request.build_absolute_uri(url),
                "expires_in": settings.PRESIGNED_URL_EXPIRY_SECONDS,
            }
        )
