"""Direct uploads and downloads for the page's uploader and for scripts: the same calls whichever store is behind."""

from django.conf import settings
from drf_spectacular.utils import PolymorphicProxySerializer, extend_schema
from rest_framework.exceptions import ValidationError
from rest_framework.response import Response
from rest_framework.views import APIView

from config.access import exists
from config.errors import Refused
from config.pagination import answer, keyset_page, page_of
from config.refusals import payload_of, refusal_of
from config.schema import PAGE_PARAMETERS
from config.serializers import read
from config.throttling import throttle

from .. import completion, downloads, uploads
from ..models import File, Upload
from . import serializers
from .files import shown


def body(request, transfer):
    """The contract's answer for a Transfer, its URLs absolute."""
    upload = transfer.upload
    facts = {"file_id": str(upload.pk), "method": "MULTIPART" if upload.is_multipart else "PUT"}
    if upload.is_multipart:
        facts |= {
            "upload_id": upload.store_upload_id,
            "part_size": upload.part_size,
            "parts": [
                {**part, "upload_url": request.build_absolute_uri(part["upload_url"])} for part in transfer.parts
            ],
        }
    else:
        facts |= {"upload_url": request.build_absolute_uri(transfer.url), "headers": transfer.headers}
    return facts | {"expires_in": transfer.expires_in}


def answers_for(request, files, promise, *, shape):
    """The contract's answers for several files, in order.

    `files` are as they came, each to be read by the serializer `shape`; `promise` is called with those that
    can be read and returns, in order, an Upload or a Refused for each.
    """
    read_files = [shape(data=facts) for facts in files]
    promised = promise([serializer.validated_data for serializer in read_files if serializer.is_valid()])
    transfers = iter(uploads.begin([one for one in promised if isinstance(one, Upload)]))
    told = iter([one if isinstance(one, Refused) else next(transfers) for one in promised])
    return [_answer_for(request, serializer, told) for serializer in read_files]


def _answer_for(request, serializer, told):
    if serializer.errors:
        errors = refusal_of(ValidationError(serializer.errors)).errors
        first = next(iter(errors.values()))[0]
        return payload_of(Refused(400, "invalid", first, errors=errors))
    answer = next(told)
    return payload_of(answer) if isinstance(answer, Refused) else body(request, answer)


class Initiate(APIView):
    @extend_schema(
        request=serializers.InitiateInput,
        responses={
            201: PolymorphicProxySerializer(
                component_name="InitiateAnswer",
                serializers=[serializers.TransferSerializer, serializers.BatchAnswer],
                resource_type_field_name=None,
            )
        },
    )
    def post(self, request):
        """Promise a file, or up to 100: its space is reserved, and the answer says where its bytes go."""
        throttle(request, "initiate")
        facts = read(serializers.InitiateInput, request)
        place = uploads.place_for(
            user=request.user, folder_id=facts["folder_id"], subfolder_id=facts.get("subfolder_id")
        )
        tag_names = facts.get("tag_names", [])
        if "files" in facts:
            answers = answers_for(
                request,
                facts["files"],
                lambda files: uploads.initiate_many(user=request.user, place=place, files=files, tag_names=tag_names),
                shape=serializers.TaggedFileFactsInput,
            )
            return Response({"uploads": answers}, status=201)
        upload = uploads.initiate(
            user=request.user,
            place=place,
            filename=facts["filename"],
            size_bytes=facts["size_bytes"],
            content_type=facts["content_type"],
            tag_names=tag_names,
        )
        return Response(body(request, uploads.begin([upload])[0]), status=201)


class OneUpload(APIView):
    @extend_schema(responses=serializers.ResumedTransferSerializer)
    def get(self, request, file_id):
        """What an upload has received, and fresh URLs for what is missing: to resume after a reload."""
        if exists(file_id, File.objects.visible_to(request.user).filter(uploaded_by=request.user)):
            return Response({"file_id": str(file_id), "status": "complete", "received": []})
        transfer = uploads.resume(user=request.user, file_id=file_id)
        received = serializers.PartSerializer(transfer.received, many=True).data
        return Response({**body(request, transfer), "status": transfer.upload.status, "received": received})


class Complete(APIView):
    @extend_schema(request=serializers.CompleteInput, responses=serializers.FileSerializer)
    def post(self, request):
        """Make the upload a file: its bytes are counted and looked at. Again: the same answer."""
        file = completion.complete(user=request.user, **read(serializers.CompleteInput, request))
        return Response(shown(request.user, file))


class Abort(APIView):
    @extend_schema(request=serializers.AbortInput, responses={204: None})
    def post(self, request):
        """Give an upload up; its space is free at once."""
        uploads.abort(user=request.user, **read(serializers.AbortInput, request))
        return Response(status=204)


class Uploads(APIView):
    @extend_schema(parameters=PAGE_PARAMETERS, responses=page_of(serializers.UploadSerializer))
    def get(self, request):
        """The caller's unfinished uploads, newest first."""
        rows = Upload.objects.of(request.user).select_related("folder", "subfolder")
        return answer(keyset_page(rows, request=request, time_field="created_at"), serializers.UploadSerializer)


class DownloadUrl(APIView):
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
