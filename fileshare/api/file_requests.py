"""File requests: for scripts of their owners, and the calls by which the sender's page sends files."""

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.authentication import BaseAuthentication, SessionAuthentication
from rest_framework.permissions import AllowAny
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.passwords import MAX_PASSWORD_LENGTH
from config.access import get_visible
from config.pagination import answer, keyset_page, page_of
from config.schema import PAGE_PARAMETERS
from config.serializers import InputSerializer, read
from config.throttling import throttle

from .. import file_requests, uploads
from ..models import FileRequest, ReceivedFile, RequestState, TypePolicy
from ..models.requests import MAX_BYTES, MAX_FILES
from ..sender_cookies import known_sender
from .serializers import (
    AbortInput,
    CompleteInput,
    FileFactsInput,
    FolderNameSerializer,
    InitiateInput,
    PlainIntegerField,
    SubfolderNameSerializer,
)
from .uploads import answers_for, body

NOTE_LENGTH = 2000


class FileRequestSerializer(serializers.ModelSerializer):
    """A file request as its owner sees it; `url` is what senders open."""

    folder = FolderNameSerializer(read_only=True, allow_null=True)
    subfolder = SubfolderNameSerializer(read_only=True, allow_null=True)
    state = serializers.ChoiceField(RequestState.values, read_only=True)
    type_policy = serializers.ChoiceField(TypePolicy.choices, read_only=True)
    has_password = serializers.SerializerMethodField()
    url = serializers.SerializerMethodField()

    class Meta:
        model = FileRequest
        fields = [
            "id",
            "url",
            "title",
            "note",
            "state",
            "folder",
            "subfolder",
            "deadline",
            "max_files",
            "max_bytes",
            "received_files",
            "received_bytes",
            "type_policy",
            "has_password",
            "asks_name",
            "asks_email",
            "created_at",
            "closed_at",
        ]

    def get_has_password(self, row) -> bool:
        return bool(row.password)

    def get_url(self, row) -> str:
        return file_requests.address(row)


class SenderSerializer(serializers.Serializer):
    """Who somebody said they are; "" for what they did not say."""

    name = serializers.CharField()
    email = serializers.CharField()


class ReceivedFileSerializer(serializers.ModelSerializer):
    """What came by a request. `file_id` is null once the file is deleted for good, `sha256` "" until it is known."""

    file_id = serializers.UUIDField(allow_null=True, read_only=True)
    sha256 = serializers.SerializerMethodField()
    sender = SenderSerializer(read_only=True)

    class Meta:
        model = ReceivedFile
        fields = ["id", "file_id", "filename", "size_bytes", "sha256", "sender", "received_at"]

    def get_sha256(self, row) -> str:
        return row.fingerprint or ""


class ReceiptSerializer(ReceivedFileSerializer):
    """The same, as its sender sees it."""

    class Meta(ReceivedFileSerializer.Meta):
        fields = ["id", "filename", "size_bytes", "sha256", "received_at"]


class FileRequestChangeInput(InputSerializer):
    title = serializers.CharField(max_length=200, required=False)
    note = serializers.CharField(max_length=NOTE_LENGTH, allow_blank=True, required=False)
    deadline = serializers.DateTimeField(required=False)
    max_files = PlainIntegerField(min_value=1, max_value=MAX_FILES, required=False)
    max_bytes = PlainIntegerField(min_value=1, max_value=MAX_BYTES, required=False)
    type_policy = serializers.ChoiceField(TypePolicy.choices, required=False)
    password = serializers.CharField(
        max_length=MAX_PASSWORD_LENGTH, allow_blank=True, trim_whitespace=False, required=False
    )
    asks_name = serializers.BooleanField(required=False)
    asks_email = serializers.BooleanField(required=False)
    closed = serializers.BooleanField(required=False)


class FileRequestInput(FileRequestChangeInput):
    folder_id = serializers.UUIDField(required=False)
    subfolder_id = serializers.UUIDField(required=False, allow_null=True)
    title = serializers.CharField(max_length=200)
    deadline = serializers.DateTimeField()
    max_files = PlainIntegerField(min_value=1, max_value=MAX_FILES)
    max_bytes = PlainIntegerField(min_value=1, max_value=MAX_BYTES)
    closed = None


def _rows(user):
    return FileRequest.objects.visible_to(user).with_right().select_related("folder", "subfolder")


class FileRequests(APIView):
    @extend_schema(parameters=PAGE_PARAMETERS, responses=page_of(FileRequestSerializer))
    def get(self, request):
        """The caller's file requests, newest first; a super's answer has everybody's."""
        page = keyset_page(_rows(request.user), request=request, time_field="created_at")
        return answer(page, FileRequestSerializer)

    @extend_schema(request=FileRequestInput, responses={201: FileRequestSerializer})
    def post(self, request):
        """Ask people without an account for files, into the caller's own folder unless another is named."""
        row = file_requests.create(user=request.user, **read(FileRequestInput, request))
        return Response(FileRequestSerializer(row).data, status=201)


class OneFileRequest(APIView):
    @extend_schema(responses=FileRequestSerializer)
    def get(self, request, request_id):
        """One file request, with the address that senders open."""
        return Response(FileRequestSerializer(get_visible(request_id, _rows(request.user))).data)

    @extend_schema(request=FileRequestChangeInput, responses=FileRequestSerializer)
    def patch(self, request, request_id):
        """Change a file request, close it or open it again."""
        facts = read(FileRequestChangeInput, request)
        return Response(
            FileRequestSerializer(file_requests.change(user=request.user, request_id=request_id, **facts)).data
        )

    @extend_schema(responses={204: None})
    def delete(self, request, request_id):
        """Close a file request. What came stays; what is on its way is given up."""
        file_requests.close(user=request.user, request_id=request_id)
        return Response(status=204)


class ReceivedFiles(APIView):
    @extend_schema(parameters=PAGE_PARAMETERS, responses=page_of(ReceivedFileSerializer))
    def get(self, request, request_id):
        """What came by a file request and from whom, newest first."""
        row = get_visible(request_id, FileRequest.objects.visible_to(request.user))
        rows = row.received.select_related("sender", "file")
        return answer(keyset_page(rows, request=request, time_field="received_at"), ReceivedFileSerializer)


# --- The sender's page ------------------------------------------------------------------------------


class Stranger(BaseAuthentication):
    """Nobody is signed in, and yet the page's token against forged requests is asked for."""

    def authenticate(self, request):
        """Raises PermissionDenied (403) without the token."""
        SessionAuthentication().enforce_csrf(request)


class SenderView(APIView):
    """A call of the sender's page, below the request's address."""

    authentication_classes = [Stranger]
    permission_classes = [AllowAny]
    schema = None

    def sender(self, request, token):
        """The RequestSender of this browser. Raises Http404 for no such address, SenderUnknown (403)."""
        sender = known_sender(request, file_requests.by_token(token), token)
        if sender is None:
            raise file_requests.SenderUnknown
        return sender


class SenderInitiateInput(InitiateInput):
    """As of the API, but the place is the request's, and tags are for those who know the folder."""

    folder_id = None
    subfolder_id = None
    tags = None


class SenderInitiate(SenderView):
    def post(self, request, token):
        """Promise a file, or up to 100."""
        sender = self.sender(request, token)
        throttle(request, "initiate")
        facts = read(SenderInitiateInput, request)
        if "files" in facts:
            answers = answers_for(
                request,
                facts["files"],
                lambda files: file_requests.initiate_many(sender=sender, files=files),
                shape=FileFactsInput,
            )
            return Response({"uploads": answers}, status=201)
        upload = file_requests.initiate(
            sender=sender,
            filename=facts["filename"],
            size_bytes=facts["size_bytes"],
            content_type=facts["content_type"],
        )
        return Response(body(request, uploads.begin([upload])[0]), status=201)


class SenderUpload(SenderView):
    def get(self, request, token, file_id):
        """What an upload has received, and fresh URLs for what is missing."""
        found = file_requests.resume(sender=self.sender(request, token), file_id=file_id)
        if isinstance(found, ReceivedFile):
            return Response({"file_id": str(found.pk), "status": "complete"})
        received = [
            {"part_number": part.part_number, "etag": part.etag, "size_bytes": part.size_bytes}
            for part in found.received
        ]
        return Response({**body(request, found), "status": found.upload.status, "received": received})


class SenderComplete(SenderView):
    def post(self, request, token):
        """Make the upload a file."""
        sender = self.sender(request, token)
        row = file_requests.complete(sender=sender, **read(CompleteInput, request))
        return Response(ReceiptSerializer(row).data)


class SenderAbort(SenderView):
    def post(self, request, token):
        """Give an upload up."""
        file_requests.abort(sender=self.sender(request, token), **read(AbortInput, request))
        return Response(status=204)
