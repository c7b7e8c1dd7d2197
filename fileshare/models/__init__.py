"""The models of folders, files, uploads and links. Their querysets hold the rules of access."""

from .archives import Archive
from .files import File, QuarantinedFile, ScanState, Tag, Visibility
from .folders import DOCUMENTS_SLUG, Folder, FolderPermission, PermissionType, Subfolder, TypePolicy
from .grants import QuotaGrant
from .holds import Hold
from .links import RedeemedLink
from .requests import FileRequest, ReceivedFile, RequestSender, RequestState
from .shares import SharedFile, ShareDownload, ShareLink, SharePermission, ShareState
from .uploads import Upload

__all__ = [
    "Archive",
    "DOCUMENTS_SLUG",
    "File",
    "FileRequest",
    "Folder",
    "FolderPermission",
    "Hold",
    "PermissionType",
    "QuarantinedFile",
    "QuotaGrant",
    "ReceivedFile",
    "RedeemedLink",
    "RequestSender",
    "RequestState",
    "ScanState",
    "ShareDownload",
    "SharedFile",
    "ShareLink",
    "SharePermission",
    "ShareState",
    "Subfolder",
    "Tag",
    "TypePolicy",
    "Upload",
    "Visibility",
]
