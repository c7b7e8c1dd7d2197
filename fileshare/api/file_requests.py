"""File requests, for scripts of the users who make them."""

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.credentials.passwords import MAX_PASSWORD_LENGTH
from config.access import get_visible
from config.api.pagination import answer, keyset_page, page_of
from config.api.schema import PAGE_PARAMETERS
from config.api.serializers import InputSerializer, read
from fileshare.contributions import scopes
from fileshare.requests import addresses, file_requests

from ..models import FileRequest, ReceivedFile, RequestState, TypePolicy
from ..models.requests import MAX_BYTES, MAX_FILES
from .serializers import (
    FolderNameSerializer,
    PlainIntegerField,
    SentAsSerializer,
    SubfolderNameSerializer,
    sent_as,
)

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
        return addresses.address(row)


class SenderSerializer(serializers.Serializer):
    """What the sender said about themselves; "" when they said nothing."""

    name = serializers.CharField()
    email = serializers.CharField()


class ReceivedFileSerializer(SentAsSerializer, serializers.ModelSerializer):
    """A file that a sender sent. `file_id` is null when it is deleted for good, `sha256` is "" until it is known."""

    file_id = serializers.UUIDField(allow_null=True, read_only=True)
    sha256 = serializers.SerializerMethodField()
    sender = SenderSerializer(read_only=True)

    class Meta:
        model = ReceivedFile
        fields = ["id", "file_id", "filename", "size_bytes", "sha256", "sender", "received_at", "sent_as", "note"]

    def get_sha256(self, row) -> str:
        return row.fingerprint or ""

    def to_representation(self, row):
        return super().to_representation(row) | sent_as(row.file)


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
    token_scopes = scopes.SHARES

    @extend_schema(parameters=PAGE_PARAMETERS, responses=page_of(FileRequestSerializer))
    def get(self, request):
        """The caller's file requests, newest first; a super sees the requests of all users."""
        page = keyset_page(_rows(request.user), request=request, time_field="created_at")
        return answer(page, FileRequestSerializer)

    @extend_schema(request=FileRequestInput, responses={201: FileRequestSerializer})
    def post(self, request):
        """Ask people without an account for files. They go to the caller's own folder unless another is named."""
        row = file_requests.create(user=request.user, **read(FileRequestInput, request))
        return Response(FileRequestSerializer(row).data, status=201)


class OneFileRequest(APIView):
    token_scopes = scopes.SHARES

    @extend_schema(responses=FileRequestSerializer)
    def get(self, request, request_id):
        """One file request, with the address at which people send files."""
        return Response(FileRequestSerializer(get_visible(request_id, _rows(request.user))).data)

    @extend_schema(request=FileRequestChangeInput, responses=FileRequestSerializer)
    def patch(self, request, request_id):
        """Change, close or reopen a file request."""
        facts = read(FileRequestChangeInput, request)
        return Response(
            FileRequestSerializer(file_requests.change(user=request.user, request_id=request_id, **facts)).data
        )

    @extend_schema(responses={204: None})
    def delete(self, request, request_id):
        """Close a file request. Received files stay; unfinished uploads end."""
        file_requests.close(user=request.user, request_id=request_id)
        return Response(status=204)


class ReceivedFiles(APIView):
    token_scopes = scopes.SHARES

    @extend_schema(parameters=PAGE_PARAMETERS, responses=page_of(ReceivedFileSerializer))
    def get(self, request, request_id):
        """The files that a file request received and their senders, newest first."""
        row = get_visible(request_id, FileRequest.objects.visible_to(request.user))
        rows = row.received.select_related("sender", "file")
        return answer(keyset_page(rows, request=request, time_field="received_at"), ReceivedFileSerializer)
