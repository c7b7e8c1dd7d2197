"""Direct uploads, for the uploader of the pages and for scripts. The calls are the same for both kinds of store."""

from drf_spectacular.utils import PolymorphicProxySerializer, extend_schema
from rest_framework.exceptions import ValidationError
from rest_framework.response import Response
from rest_framework.views import APIView

from config.api.pagination import answer, keyset_page, page_of
from config.api.schema import PAGE_PARAMETERS
from config.api.serializers import read
from config.errors import Refused
from config.http.refusals import payload_of, refusal_of
from config.http.throttling import throttle
from fileshare.contributions import scopes
from fileshare.incoming import completion, uploads

from ..models import File, Upload
from . import serializers
from .files import shown


def body(request, transfer):
    """The answer of the API for a Transfer, with absolute URLs."""
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
    """The answers of the API for several files, in order.

    `files` is the list that the client sent. The serializer `shape` reads each item. `promise` is called with the
    valid items and returns, in order, an Upload or a Refused for each.
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
    token_scopes = scopes.SENDING

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
        """Announce a file, or up to 100: the portal reserves their space and answers where to send the bytes."""
        throttle(request, "initiate")
        facts = read(serializers.InitiateInput, request)
        place = uploads.place_for(
            user=request.user, folder_id=facts["folder_id"], subfolder_id=facts.get("subfolder_id")
        )
        options = {"tag_names": facts.get("tag_names", []), "part_size": facts.get("part_size")}
        if "files" in facts:
            answers = answers_for(
                request,
                facts["files"],
                lambda files: uploads.initiate_many(user=request.user, place=place, files=files, **options),
                shape=serializers.TaggedFileFactsInput,
            )
            return Response({"uploads": answers}, status=201)
        upload = uploads.initiate(
            user=request.user,
            place=place,
            filename=facts["filename"],
            size_bytes=facts["size_bytes"],
            content_type=facts["content_type"],
            **options,
        )
        return Response(body(request, uploads.begin([upload])[0]), status=201)


class OneUpload(APIView):
    token_scopes = scopes.SENDING

    @extend_schema(responses=serializers.ResumedTransferSerializer)
    def get(self, request, file_id):
        """The parts an upload has received, and fresh URLs for the missing ones, to resume the upload."""
        transfer = completion.resume(user=request.user, file_id=file_id)
        if isinstance(transfer, File):
            done = {"file_id": str(file_id), "status": "complete", "received": []}
            return Response(done | serializers.sent_as(transfer))
        received = serializers.PartSerializer(transfer.received, many=True).data
        return Response({**body(request, transfer), "status": transfer.upload.status, "received": received})


class Complete(APIView):
    token_scopes = scopes.SENDING

    @extend_schema(request=serializers.CompleteInput, responses=serializers.FileSerializer)
    def post(self, request):
        """Complete an upload: the portal checks its size and content, and makes it a file. It may be repeated."""
        file = completion.complete(user=request.user, **read(serializers.CompleteInput, request))
        return Response(shown(request.user, file))


class Abort(APIView):
    token_scopes = scopes.SENDING

    @extend_schema(request=serializers.AbortInput, responses={204: None})
    def post(self, request):
        """Cancel an upload; its space is free at once."""
        uploads.abort(user=request.user, **read(serializers.AbortInput, request))
        return Response(status=204)


class Uploads(APIView):
    token_scopes = scopes.LISTS

    @extend_schema(parameters=PAGE_PARAMETERS, responses=page_of(serializers.UploadSerializer))
    def get(self, request):
        """The caller's unfinished uploads, newest first."""
        rows = Upload.objects.of(request.user).select_related("folder", "subfolder")
        return answer(keyset_page(rows, request=request, time_field="created_at"), serializers.UploadSerializer)
