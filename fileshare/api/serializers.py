"""The shapes of folders, files and uploads in the API."""

from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiExample, extend_schema_field, extend_schema_serializer
from rest_framework import serializers

from accounts.api.serializers import CompanySerializer
from config.serializers import InputSerializer, PlainIntegerField

from ..models import File, Folder, FolderPermission, PermissionType, Subfolder, Tag, TypePolicy, Upload, Visibility
from ..models.folders import MAX_RETENTION_DAYS

MAX_FILES_AT_ONCE = 100
# Names may be absurd (a megabyte, a path); filenames.clean makes them plain. Only what no name needs is refused.
MAX_RAW_NAME = 1_000_000
INT64 = 2**63 - 1


class SubfolderSerializer(serializers.ModelSerializer):
    class Meta:
        model = Subfolder
        fields = ["id", "name", "slug"]


class FolderSerializer(serializers.ModelSerializer):
    """A folder row with_rights of the caller; `quota_bytes` is what holds now, bought space included."""

    quota_bytes = serializers.IntegerField(source="room_bytes", read_only=True)
    company = CompanySerializer(read_only=True, allow_null=True)
    kind = serializers.ChoiceField(["documents", "company", "special", "personal"], read_only=True)
    can_download = serializers.BooleanField(read_only=True)
    can_upload = serializers.BooleanField(read_only=True)
    can_manage = serializers.BooleanField(read_only=True)
    subfolders = SubfolderSerializer(many=True, read_only=True)

    class Meta:
        model = Folder
        fields = [
            "id",
            "name",
            "slug",
            "description",
            "company",
            "kind",
            "type_policy",
            "retention_days",
            "quota_bytes",
            "used_bytes",
            "can_download",
            "can_upload",
            "can_manage",
            "subfolders",
            "created_at",
        ]


class FolderNameSerializer(serializers.ModelSerializer):
    class Meta:
        model = Folder
        fields = ["id", "slug", "name"]


class SubfolderNameSerializer(serializers.ModelSerializer):
    class Meta:
        model = Subfolder
        fields = ["id", "slug", "name"]


class UploaderSerializer(serializers.Serializer):
    id = serializers.UUIDField()
    name = serializers.CharField(source="get_full_name")


class TagSerializer(serializers.ModelSerializer):
    class Meta:
        model = Tag
        fields = ["id", "name"]


class FileSerializer(serializers.ModelSerializer):
    """A file row with_details of the caller."""

    folder = FolderNameSerializer(read_only=True)
    subfolder = SubfolderNameSerializer(read_only=True, allow_null=True)
    uploaded_by = UploaderSerializer(read_only=True, allow_null=True)
    tags = TagSerializer(many=True, read_only=True, source="tag_list")
    can_delete = serializers.BooleanField(read_only=True)

    class Meta:
        model = File
        fields = [
            "id",
            "filename",
            "size_bytes",
            "content_type",
            "sha256",
            "folder",
            "subfolder",
            "uploaded_by",
            "visibility",
            "tags",
            "uploaded_at",
            "expires_at",
            "download_count",
            "can_delete",
        ]

    def to_representation(self, row):
        """The same as field by field, spelled out: a page has a hundred of them, and fields cost most of its time."""
        return {
            "id": str(row.pk),
            "filename": row.filename,
            "size_bytes": row.size_bytes,
            "content_type": row.content_type,
            "sha256": row.sha256,
            "folder": _place(row.folder),
            "subfolder": _place(row.subfolder),
            "uploaded_by": row.uploaded_by and {"id": str(row.uploaded_by_id), "name": row.uploaded_by.get_full_name()},
            "visibility": row.visibility,
            "tags": [{"id": str(tag.pk), "name": tag.name} for tag in row.tag_list],
            "uploaded_at": _moment(row.uploaded_at),
            "expires_at": _moment(row.expires_at),
            "download_count": row.download_count,
            "can_delete": row.can_delete,
        }


def _place(row):
    return row and {"id": str(row.pk), "slug": row.slug, "name": row.name}


_moment = serializers.DateTimeField().to_representation


class TrashedFileSerializer(FileSerializer):
    """A file in the trash that the caller may restore until `purge_at`."""

    purge_at = serializers.DateTimeField(read_only=True)

    class Meta(FileSerializer.Meta):
        fields = [*FileSerializer.Meta.fields, "deleted_at", "purge_at"]

    def to_representation(self, row):
        """A file's, and when it was deleted and goes for good."""
        return super().to_representation(row) | {
            "deleted_at": _moment(row.deleted_at),
            "purge_at": _moment(row.purge_at),
        }


class PermissionHolderSerializer(serializers.Serializer):
    id = serializers.UUIDField()
    email = serializers.EmailField()
    name = serializers.CharField(source="get_full_name")


class FolderPermissionSerializer(serializers.ModelSerializer):
    user = PermissionHolderSerializer(allow_null=True, read_only=True)
    role = serializers.CharField(source="role.name", allow_null=True, read_only=True, default=None)
    granted_by = PermissionHolderSerializer(allow_null=True, read_only=True)

    class Meta:
        model = FolderPermission
        fields = ["id", "user", "role", "permission_type", "granted_by", "granted_at"]


class PartSerializer(serializers.Serializer):
    part_number = serializers.IntegerField()
    etag = serializers.CharField()
    size_bytes = serializers.IntegerField()


class PartUrlSerializer(serializers.Serializer):
    part_number = serializers.IntegerField()
    upload_url = serializers.URLField()


class UploadSerializer(serializers.ModelSerializer):
    """An unfinished upload."""

    file_id = serializers.UUIDField(source="pk")
    method = serializers.SerializerMethodField()
    folder = FolderNameSerializer(read_only=True)
    subfolder = SubfolderNameSerializer(read_only=True, allow_null=True)

    class Meta:
        model = Upload
        fields = [
            "file_id",
            "method",
            "filename",
            "size_bytes",
            "content_type",
            "folder",
            "subfolder",
            "status",
            "created_at",
            "expires_at",
        ]

    def get_method(self, upload) -> str:
        return "MULTIPART" if upload.is_multipart else "PUT"


class TransferSerializer(serializers.Serializer):
    """How to send a file: a single PUT, or the parts of a multipart upload."""

    file_id = serializers.UUIDField()
    method = serializers.ChoiceField(["PUT", "MULTIPART"])
    upload_url = serializers.URLField(required=False, help_text="With PUT.")
    headers = serializers.DictField(child=serializers.CharField(), required=False, help_text="With PUT: send these.")
    upload_id = serializers.CharField(required=False, help_text="With MULTIPART.")
    part_size = serializers.IntegerField(required=False, help_text="With MULTIPART; bytes.")
    parts = PartUrlSerializer(many=True, required=False)
    expires_in = serializers.IntegerField(help_text="Seconds.")


class ResumedTransferSerializer(TransferSerializer):
    """What an unfinished upload still lacks; of a finished one only its id and status."""

    method = serializers.ChoiceField(["PUT", "MULTIPART"], required=False)
    expires_in = serializers.IntegerField(required=False)
    status = serializers.ChoiceField(["pending", "completing", "complete"])
    received = PartSerializer(many=True, required=False)


class BatchAnswer(serializers.Serializer):
    uploads = TransferSerializer(many=True, help_text="In order; one that was refused is {detail, code}.")


# --- What is sent -----------------------------------------------------------------------------------


class RawNameField(serializers.CharField):
    """A file name as somebody's computer has it; what it becomes is filenames.clean's business."""

    def __init__(self, **kwargs):
        super().__init__(trim_whitespace=False, max_length=MAX_RAW_NAME, **kwargs)
        # NUL and lone surrogates are stripped with the rest that no name should have.
        self.validators = [
            validator for validator in self.validators if not type(validator).__name__.startswith("Prohibit")
        ]


class TagListField(serializers.ListField):
    """Tags as somebody wrote them, several in one text too; what they become is tags.clean_names' business."""

    child = serializers.CharField(max_length=2000, allow_blank=True)

    def __init__(self, **kwargs):
        super().__init__(max_length=200, **kwargs)


class FileFactsInput(InputSerializer):
    null_is_left_out = True

    filename = RawNameField()
    size_bytes = PlainIntegerField(min_value=1, max_value=INT64)
    content_type = serializers.CharField(max_length=255, allow_blank=True, required=False, default="")


class TaggedFileFactsInput(FileFactsInput):
    tags = TagListField(required=False, source="tag_names")


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "one file",
            value={
                "folder_id": "8c0e6a52-7c39-4f0f-9c85-6f3c2e0f5a11",
                "filename": "report.docx",
                "size_bytes": 48213,
                "content_type": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
                "tags": ["draft", "2026"],
            },
        )
    ]
)
class InitiateInput(InputSerializer):
    null_is_left_out = True

    folder_id = serializers.UUIDField()
    subfolder_id = serializers.UUIDField(required=False, allow_null=True)
    filename = RawNameField(required=False)
    size_bytes = PlainIntegerField(min_value=1, max_value=INT64, required=False)
    content_type = serializers.CharField(max_length=255, allow_blank=True, required=False, default="")
    files = serializers.ListField(
        required=False,
        min_length=1,
        max_length=MAX_FILES_AT_ONCE,
        help_text="Instead of one file: up to 100 {filename, size_bytes, content_type, tags}.",
    )
    tags = TagListField(
        required=False, source="tag_names", help_text="Tags of the file; with `files` of each, besides its own."
    )

    def validate(self, data):
        if "files" in data:
            if "filename" in data or "size_bytes" in data:
                raise serializers.ValidationError(_("Give either one file or files."))
        else:
            missing = {name: [_("This field is required.")] for name in ("filename", "size_bytes") if name not in data}
            if missing:
                raise serializers.ValidationError(missing)
        return data


class PartInput(InputSerializer):
    """A part as its PUT's answer or the upload's state names it; which of them fit is the store's to say (409)."""

    part_number = PlainIntegerField()
    etag = serializers.CharField(max_length=200, allow_blank=True)
    size_bytes = PlainIntegerField(required=False, help_text="As in `received`; the store knows it better.")


class CompleteInput(InputSerializer):
    null_is_left_out = True

    file_id = serializers.UUIDField()
    upload_id = serializers.CharField(max_length=300, required=False)
    parts = PartInput(many=True, required=False)


class BulkInput(InputSerializer):
    file_ids = serializers.ListField(child=serializers.UUIDField(), min_length=1, max_length=1000)
    partial = serializers.BooleanField(required=False, default=False)


class AbortInput(InputSerializer):
    file_id = serializers.UUIDField()


class FolderInput(InputSerializer):
    null_is_left_out = True

    name = serializers.CharField(max_length=200)
    slug = serializers.SlugField(max_length=100, required=False)
    description = serializers.CharField(max_length=2000, allow_blank=True, required=False)
    company_id = serializers.UUIDField(required=False, allow_null=True)
    quota_bytes = PlainIntegerField(min_value=0, max_value=INT64, required=False)
    retention_days = PlainIntegerField(min_value=1, max_value=MAX_RETENTION_DAYS, required=False, allow_null=True)
    type_policy = serializers.ChoiceField(TypePolicy.choices, required=False)


class SubfolderInput(InputSerializer):
    null_is_left_out = True

    name = serializers.CharField(max_length=200)
    slug = serializers.SlugField(max_length=100, required=False)


class GrantInput(InputSerializer):
    null_is_left_out = True

    user_id = serializers.UUIDField(required=False)
    role = serializers.CharField(max_length=150, required=False)
    permission_type = serializers.ChoiceField(PermissionType.choices)


class FileChangeInput(InputSerializer):
    visibility = serializers.ChoiceField(Visibility.choices, required=False)
    filename = RawNameField(required=False)


class TagsInput(InputSerializer):
    tags = TagListField(min_length=1)


class TagsAnswer(serializers.Serializer):
    results = TagSerializer(many=True)


class FormUploadInput(InputSerializer):
    """A form with one file."""

    file = serializers.FileField(allow_empty_file=True, max_length=None)
    folder_id = serializers.UUIDField(required=False)
    subfolder_id = serializers.UUIDField(required=False)


class TaggedFormUploadInput(FormUploadInput):
    tags = TagListField(required=False)
    visibility = serializers.ChoiceField(Visibility.choices, required=False)


@extend_schema_field({"type": "string"})
class DownloadLinkField(serializers.CharField):
    """A path of this portal."""


class LinkAnswer(serializers.Serializer):
    message = serializers.CharField()
    expires_in = serializers.IntegerField()

    def get_fields(self):
        return {"download-link": DownloadLinkField(), **super().get_fields()}


class DownloadUrlAnswer(serializers.Serializer):
    download_url = serializers.URLField()
    expires_in = serializers.IntegerField()
