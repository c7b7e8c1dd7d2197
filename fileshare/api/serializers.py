"""Folders, files and uploads as the API reads and writes them."""

from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiExample, extend_schema_field, extend_schema_serializer
from rest_framework import serializers

from accounts.api.serializers import CompanySerializer
from config.api.serializers import InputSerializer, PlainIntegerField

from ..models import File, Folder, FolderPermission, PermissionType, Subfolder, Tag, TypePolicy, Upload, Visibility
from ..models.folders import MAX_RETENTION_DAYS

MAX_FILES_AT_ONCE = 100
MOST_FILES = 1000
"""Of one ZIP, move, copy, deletion or change of tags."""
# A name may be as odd as a megabyte of text or a path: filenames.clean repairs it. Longer names are refused.
MAX_RAW_NAME = 1_000_000
INT64 = 2**63 - 1
_SENT_AS = "Only of a picture that was sent under the ending of another kind of picture: the name it was sent with."


class SubfolderSerializer(serializers.ModelSerializer):
    class Meta:
        model = Subfolder
        fields = ["id", "name", "slug"]


class FolderSerializer(serializers.ModelSerializer):
    """A folder, loaded with_rights of the caller. `quota_bytes` is the present quota, bought space included."""

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


class SentAsSerializer(serializers.Serializer):
    """The fields that `sent_as` adds to an answer, for the schema."""

    sent_as = serializers.CharField(required=False, help_text=_SENT_AS)
    note = serializers.CharField(required=False, help_text="With `sent_as`: the same in a sentence.")


class FileSerializer(SentAsSerializer, serializers.ModelSerializer):
    """A file, loaded with_details for the caller."""

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
            "sent_as",
            "note",
        ]

    def to_representation(self, row):
        """The same as the fields give, written out: on a page of a hundred files, the fields took most of the time."""
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
            **sent_as(row),
        }


def sent_as(file):
    """What an answer says of a picture that got another ending than it was sent with; {} for other files and None."""
    return {"sent_as": file.sent_as, "note": str(file.note)} if file and file.sent_as else {}


def _place(row):
    return row and {"id": str(row.pk), "slug": row.slug, "name": row.name}


_moment = serializers.DateTimeField().to_representation


class TrashedFileSerializer(FileSerializer):
    """A file in the trash that the caller may restore until `purge_at`."""

    purge_at = serializers.DateTimeField(read_only=True)

    class Meta(FileSerializer.Meta):
        fields = [*FileSerializer.Meta.fields, "deleted_at", "purge_at"]

    def to_representation(self, row):
        """A file's facts, when it was deleted, and when it is deleted for good."""
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
    company = CompanySerializer(allow_null=True, read_only=True)
    granted_by = PermissionHolderSerializer(allow_null=True, read_only=True)

    class Meta:
        model = FolderPermission
        fields = ["id", "user", "role", "company", "permission_type", "granted_by", "granted_at"]


class PartSerializer(serializers.Serializer):
    part_number = serializers.IntegerField()
    etag = serializers.CharField()
    size_bytes = serializers.IntegerField()


class PartUrlSerializer(serializers.Serializer):
    part_number = serializers.IntegerField()
    upload_url = serializers.URLField()
    begun_bytes = serializers.IntegerField(
        required=False,
        help_text="Of a part that was cut: so many bytes are there. A PUT goes on with `Content-Range: bytes a-b/n`.",
    )


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


class ResumedTransferSerializer(SentAsSerializer, TransferSerializer):
    """What an unfinished upload has received and still lacks; of a finished one its id, its status and `sent_as`."""

    method = serializers.ChoiceField(["PUT", "MULTIPART"], required=False)
    expires_in = serializers.IntegerField(required=False)
    status = serializers.ChoiceField(["pending", "completing", "complete"])
    received = PartSerializer(many=True, required=False)


@extend_schema_field(
    {
        "type": "array",
        "items": {"oneOf": [{"$ref": "#/components/schemas/Transfer"}, {"$ref": "#/components/schemas/Error"}]},
    }
)
class TransfersField(serializers.ListField):
    """For each file how to send it, or why it was refused."""


class BatchAnswer(serializers.Serializer):
    """The answers for several files, in their order. A refused one does not stop the others."""

    uploads = TransfersField()


# --- What is sent -----------------------------------------------------------------------------------


class RawNameField(serializers.CharField):
    """A file name as the user's computer has it; filenames.clean makes a valid name of it later."""

    def __init__(self, **kwargs):
        super().__init__(trim_whitespace=False, max_length=MAX_RAW_NAME, **kwargs)
        # Accept NUL and lone surrogates here: filenames.clean removes them with other characters not fit for a name.
        self.validators = [
            validator for validator in self.validators if not type(validator).__name__.startswith("Prohibit")
        ]


class TagListField(serializers.ListField):
    """Tags as the user wrote them, perhaps several in one text; tags.clean_names separates and checks them later."""

    child = serializers.CharField(max_length=2000, allow_blank=True)

    def __init__(self, **kwargs):
        super().__init__(max_length=200, **kwargs)


class FileFactsInput(InputSerializer):
    null_is_left_out = True

    filename = RawNameField()
    size_bytes = PlainIntegerField(min_value=0, max_value=INT64)
    content_type = serializers.CharField(max_length=255, allow_blank=True, required=False, default="")


class TaggedFileFactsInput(FileFactsInput):
    tags = TagListField(required=False, source="tag_names")


@extend_schema_field(TaggedFileFactsInput(many=True))
class FilesField(serializers.ListField):
    """TaggedFileFactsInputs. They are read later, each by itself, so that an invalid one does not stop the others."""


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
    size_bytes = PlainIntegerField(min_value=0, max_value=INT64, required=False)
    content_type = serializers.CharField(max_length=255, allow_blank=True, required=False, default="")
    files = FilesField(
        required=False,
        min_length=1,
        max_length=MAX_FILES_AT_ONCE,
        help_text="Instead of one file: up to 100 {filename, size_bytes, content_type, tags}.",
    )
    tags = TagListField(
        required=False, source="tag_names", help_text="Tags of the file; with `files` of each, besides its own."
    )
    part_size = PlainIntegerField(
        min_value=1,
        max_value=INT64,
        required=False,
        help_text="A wish for smaller parts, for a line that breaks often: bytes; 5 MiB is the least.",
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
    """A part as named in the answer to its PUT or in the upload's state. The store refuses wrong ones (409)."""

    part_number = PlainIntegerField()
    etag = serializers.CharField(max_length=200, allow_blank=True)
    size_bytes = PlainIntegerField(required=False, help_text="As in `received`; the store knows it better.")


class CompleteInput(InputSerializer):
    null_is_left_out = True

    file_id = serializers.UUIDField()
    upload_id = serializers.CharField(max_length=300, required=False)
    parts = PartInput(many=True, required=False)


class BulkInput(InputSerializer):
    file_ids = serializers.ListField(child=serializers.UUIDField(), min_length=1, max_length=MOST_FILES)
    partial = serializers.BooleanField(required=False, default=False)


class ManyInput(InputSerializer):
    """Up to 1,000 files. All or nothing, unless `partial` leaves out those that are refused."""

    null_is_left_out = True

    file_ids = serializers.ListField(child=serializers.UUIDField(), min_length=1, max_length=MOST_FILES)
    partial = serializers.BooleanField(required=False, default=False)


class ManyToInput(ManyInput):
    folder_id = serializers.UUIDField()
    subfolder_id = serializers.UUIDField(required=False, allow_null=True)


class ManyTagsInput(ManyInput):
    tags = TagListField(required=False, help_text="To add; each file keeps its others.")
    remove_tags = TagListField(required=False, help_text="To remove.")


class RefusedFileSerializer(serializers.Serializer):
    """A file that was left out, and why: `code` and `detail` as one call for it would answer."""

    id = serializers.UUIDField(source="file_id")
    code = serializers.CharField()
    detail = serializers.CharField(source="message")


class ManyAnswer(serializers.Serializer):
    done = FileSerializer(many=True)
    refused = RefusedFileSerializer(many=True, help_text="Always empty without `partial`.")


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
    company_id = serializers.UUIDField(required=False)
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
