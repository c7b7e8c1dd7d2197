"""Folders, subfolders and permissions, for scripts."""

from functools import partial

from django.utils.translation import gettext as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.scopes import SUPERS
from config.access import get_visible
from config.api.pagination import answer, offset_page, page_of
from config.api.schema import OFFSET_PARAMETERS, PAGE_PARAMETERS
from config.api.serializers import read
from config.errors import Invalid
from fileshare.contributions import scopes

from .. import folders, lists
from ..models import Folder
from . import serializers


def shown(user, folder):
    """The body of one folder, as `user` sees it."""
    row = Folder.objects.with_rights(user).get(pk=folder.pk)
    return serializers.FolderSerializer(row).data


class Folders(APIView):
    token_scopes = scopes.FOLDERS

    @extend_schema(parameters=OFFSET_PARAMETERS, responses=page_of(serializers.FolderSerializer))
    def get(self, request):
        """The folders the caller may see, including their personal one."""
        folders.personal_folder(request.user)
        rows = partial(lists.folders_seen_by, request.user)
        return answer(offset_page(rows, request=request), serializers.FolderSerializer)

    @extend_schema(request=serializers.FolderInput, responses={201: serializers.FolderSerializer})
    def post(self, request):
        """Create a folder; super only."""
        folder = folders.create_folder(user=request.user, **read(serializers.FolderInput, request))
        return Response(shown(request.user, folder), status=201)


class OneFolder(APIView):
    token_scopes = scopes.FOLDERS

    @extend_schema(responses=serializers.FolderSerializer)
    def get(self, request, folder_id):
        """One folder the caller may see."""
        folder = folders.visible_folder(user=request.user, folder_id=folder_id)
        return Response(serializers.FolderSerializer(folder).data)

    @extend_schema(request=serializers.FolderInput, responses=serializers.FolderSerializer)
    def patch(self, request, folder_id):
        """Change a folder; super only."""
        facts = read(serializers.FolderInput, request, partial=True)
        folder = folders.change_folder(user=request.user, folder_id=folder_id, **facts)
        return Response(shown(request.user, folder))

    @extend_schema(responses={204: None})
    def delete(self, request, folder_id):
        """Delete an empty folder; super only."""
        folders.delete_folder(user=request.user, folder_id=folder_id)
        return Response(status=204)


class Subfolders(APIView):
    token_scopes = SUPERS

    @extend_schema(request=serializers.SubfolderInput, responses={201: serializers.SubfolderSerializer})
    def post(self, request, folder_id):
        """Create a subfolder; super only."""
        facts = read(serializers.SubfolderInput, request)
        subfolder = folders.create_subfolder(user=request.user, folder_id=folder_id, **facts)
        return Response(serializers.SubfolderSerializer(subfolder).data, status=201)


class OneSubfolder(APIView):
    token_scopes = SUPERS

    @extend_schema(responses={204: None})
    def delete(self, request, subfolder_id):
        """Delete an empty subfolder; super only."""
        folders.delete_subfolder(user=request.user, subfolder_id=subfolder_id)
        return Response(status=204)


class Permissions(APIView):
    token_scopes = SUPERS

    @extend_schema(parameters=OFFSET_PARAMETERS, responses=page_of(serializers.FolderPermissionSerializer))
    def get(self, request, folder_id):
        """The grants on a folder; super only."""
        rows = folders.permissions_of(user=request.user, folder_id=folder_id)
        return answer(offset_page(rows, request=request), serializers.FolderPermissionSerializer)

    @extend_schema(request=serializers.GrantInput, responses={201: serializers.FolderPermissionSerializer})
    def post(self, request, folder_id):
        """Grant download or upload to a user, a role or a company; super only."""
        facts = read(serializers.GrantInput, request)
        permission = folders.grant(user=request.user, folder_id=folder_id, **facts)
        return Response(serializers.FolderPermissionSerializer(permission).data, status=201)


class OnePermission(APIView):
    token_scopes = SUPERS

    @extend_schema(responses={204: None})
    def delete(self, request, permission_id):
        """Revoke a grant; super only."""
        folders.revoke(user=request.user, permission_id=permission_id)
        return Response(status=204)


class FolderFiles(APIView):
    token_scopes = scopes.FILES

    @extend_schema(
        parameters=[
            OpenApiParameter("subfolder_id", OpenApiTypes.STR, description="A subfolder's id, or `root`."),
            *PAGE_PARAMETERS,
        ],
        responses=page_of(serializers.FileSerializer),
    )
    def get(self, request, folder_id):
        """The folder's files, newest first; with `subfolder_id` only those of a subfolder or of the root."""
        folder = folders.visible_folder(user=request.user, folder_id=folder_id)
        subfolder = request.GET.get("subfolder_id") or None
        if subfolder not in (None, lists.ROOT):
            if len(subfolder) > 64:
                raise Invalid("subfolder_id", _("An id, or root."))
            subfolder = get_visible(subfolder, folder.subfolders.all()).pk
        page = lists.page_of_folder(folder, user=request.user, request=request, subfolder=subfolder)
        return answer(page, serializers.FileSerializer)
