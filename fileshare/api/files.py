"""Files, for scripts: the simple calls."""

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.parsers import MultiPartParser
from rest_framework.response import Response
from rest_framework.views import APIView

from config.access import get_visible
from config.api.pagination import answer, keyset_page, page_of
from config.api.schema import PAGE_PARAMETERS
from config.api.serializers import read
from fileshare import files, folders, lists
from fileshare.contributions import scopes
from fileshare.desk import ops
from fileshare.incoming import completion, uploads

from .. import tags as tag_operations
from ..models import File, TypePolicy
from . import serializers


def shown(user, file):
    """The body of one file, as `user` sees it."""
    row = get_visible(file.pk, File.objects.with_details(user))
    return serializers.FileSerializer(row).data


def receive(request, *, place, facts, **options):
    """Store the file of a form. Returns the File."""
    upload = facts["file"]
    return completion.receive(
        user=request.user,
        place=place,
        filename=upload.name,
        content_type=upload.content_type or "",
        stream=upload,
        size_bytes=upload.size,
        **options,
    )


class OpsUpload(APIView):
    token_scopes = scopes.FILES

    parser_classes = [MultiPartParser]

    @extend_schema(
        request={"multipart/form-data": serializers.FormUploadInput}, responses={201: serializers.FileSerializer}
    )
    def post(self, request):
        """Upload a .pptx, .docx or .xlsx file, to Client documents unless a folder is named."""
        ops.assert_may(request.user)
        facts = read(serializers.FormUploadInput, request)
        place = uploads.place_for(
            user=request.user,
            folder_id=facts.get("folder_id") or folders.documents_folder().pk,
            subfolder_id=facts.get("subfolder_id"),
        )
        file = receive(request, place=place, facts=facts, type_policy=TypePolicy.OFFICE)
        return Response(shown(request.user, file), status=201)


class ClientFiles(APIView):
    token_scopes = scopes.LISTS

    @extend_schema(parameters=PAGE_PARAMETERS, responses=page_of(serializers.FileSerializer))
    def get(self, request):
        """Every file the caller may download, newest first."""
        page = lists.DOWNLOADABLE_FILES.page(user=request.user, places=lists.places_of(request.user), request=request)
        return answer(page, serializers.FileSerializer)


class OwnFiles(APIView):
    token_scopes = scopes.LISTS

    @extend_schema(parameters=PAGE_PARAMETERS, responses=page_of(serializers.FileSerializer))
    def get(self, request):
        """The caller's own uploads, newest first."""
        return answer(lists.OWN.page(user=request.user, request=request), serializers.FileSerializer)


class FormUpload(APIView):
    token_scopes = scopes.FILES

    parser_classes = [MultiPartParser]

    @extend_schema(
        request={"multipart/form-data": serializers.TaggedFormUploadInput},
        responses={201: serializers.FileSerializer},
    )
    def post(self, request):
        """Upload a file, to the caller's own folder unless another is named."""
        facts = read(serializers.TaggedFormUploadInput, request)
        folder_id = facts.get("folder_id")
        own = folders.personal_folder(request.user)
        place = uploads.place_for(
            user=request.user, folder_id=folder_id or own.pk, subfolder_id=facts.get("subfolder_id")
        )
        options = {"tag_names": facts.get("tags", [])}
        if "visibility" in facts:
            options["visibility"] = facts["visibility"]
        return Response(shown(request.user, receive(request, place=place, facts=facts, **options)), status=201)


class FolderFile(APIView):
    token_scopes = scopes.FILES

    @extend_schema(responses={204: None})
    def delete(self, request, file_id):
        """Move a file to the trash. It can be restored from there for some days."""
        files.delete(user=request.user, file_id=file_id)
        return Response(status=204)


class OneFile(FolderFile):
    @extend_schema(responses=serializers.FileSerializer)
    def get(self, request, file_id):
        """One file the caller may see."""
        row = get_visible(file_id, File.objects.visible_to(request.user).with_details(request.user))
        return Response(serializers.FileSerializer(row).data)

    @extend_schema(request=serializers.FileChangeInput, responses=serializers.FileSerializer)
    def patch(self, request, file_id):
        """Rename a file, or set who may see it."""
        file = files.change(user=request.user, file_id=file_id, **read(serializers.FileChangeInput, request))
        return Response(shown(request.user, file))


class Tags(APIView):
    token_scopes = scopes.FILES

    @extend_schema(
        parameters=[OpenApiParameter("q", OpenApiTypes.STR, description="How the tag begins.")],
        responses=serializers.TagsAnswer,
    )
    def get(self, request):
        """Tags to suggest: the first 20 by name, of files the caller may download."""
        rows = tag_operations.suggestions(user=request.user, start=request.GET.get("q", ""))
        return Response({"results": serializers.TagSerializer(rows, many=True).data})


class FileTags(APIView):
    token_scopes = scopes.FILES

    @extend_schema(request=serializers.TagsInput, responses=serializers.FileSerializer)
    def post(self, request, file_id):
        """Add tags to a file; it keeps those it has."""
        names = read(serializers.TagsInput, request)["tags"]
        file = files.add_tags(user=request.user, file_id=file_id, names=names)
        return Response(shown(request.user, file))


class FileTag(APIView):
    token_scopes = scopes.FILES

    @extend_schema(responses={200: serializers.FileSerializer})
    def delete(self, request, file_id, tag_id):
        """Remove a tag from a file."""
        file = files.remove_tag(user=request.user, file_id=file_id, tag_id=tag_id)
        return Response(shown(request.user, file))


class Trash(APIView):
    token_scopes = scopes.FILES

    @extend_schema(parameters=PAGE_PARAMETERS, responses=page_of(serializers.TrashedFileSerializer))
    def get(self, request):
        """The deleted files the caller may restore, last deleted first."""
        rows = File.objects.restorable_by(request.user).with_details(request.user)
        page = keyset_page(rows, request=request, time_field="deleted_at")
        return answer(page, serializers.TrashedFileSerializer)


class TrashedFile(APIView):
    token_scopes = scopes.FILES

    @extend_schema(responses={204: None})
    def delete(self, request, file_id):
        """Delete a file in the trash for good; its space is free again."""
        files.purge(user=request.user, file_id=file_id)
        return Response(status=204)


class Restore(APIView):
    token_scopes = scopes.FILES

    @extend_schema(request=None, responses=serializers.FileSerializer)
    def post(self, request, file_id):
        """Take a file out of the trash; it expires on the same day as before."""
        file = files.restore(user=request.user, file_id=file_id)
        return Response(shown(request.user, file))
