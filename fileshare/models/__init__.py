"""Rows of folders, files and uploads; their querysets carry the rules of access."""

from .archives import Archive
from .files import File, Tag, Visibility
from .folders import DOCUMENTS_SLUG, Folder, FolderPermission, PermissionType, Subfolder, TypePolicy
from .links import RedeemedLink
from .uploads import Upload

__all__ = [
    "Archive",
    "DOCUMENTS_SLUG",
    "File",
    "Folder",
    "FolderPermission",
    "PermissionType",
    "RedeemedLink",
    "Subfolder",
    "Tag",
    "TypePolicy",
    "Upload",
    "Visibility",
]
