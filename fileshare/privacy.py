"""The data this app stores about a user (files, folders, shares), for accounts.privacy.subject_rights."""

from itertools import chain

from django.urls import reverse
from django.utils.translation import gettext as _

from accounts.keepers import Archive as OwnFiles
from accounts.keepers import Keeper, register, unless_vetoed
from accounts.privacy.subject_rights import erase_rows, newest_first
from config.http.site_path import absolute

from . import files, holds
from .folders import locked_folder
from .incoming import uploads
from .models import Archive, File, FileRequest, Folder, FolderPermission, ShareLink, Upload, Visibility
from .outgoing import archives

ERASED_AT_ONCE = 50
"""One transaction erases this many files. Their bytes are deleted after it commits."""


def personal_folder(user):
    """The user's own folder, or None before its first use."""
    folder = Folder.objects.filter(owner=user).first()
    if folder is None:
        return None
    return {
        "id": folder.pk,
        "name": folder.name,
        "slug": folder.slug,
        "quota_bytes": folder.quota_bytes,
        "used_bytes": folder.used_bytes,
        "created_at": folder.created_at,
    }


def uploaded_files(user):
    """Every file the user uploaded, in any folder; those in the trash come last."""
    return _files(File.objects.filter(uploaded_by=user))


def received_files(user):
    """The files that others put into the user's own folder."""
    return _files(File.objects.filter(folder__owner=user).exclude(uploaded_by=user))


def _files(rows):
    rows = rows.select_related("folder", "subfolder").prefetch_related("tags")
    live, trashed = rows.filter(deleted_at=None), rows.filter(deleted_at__isnull=False)
    for row in chain(newest_first(live, time_field="uploaded_at"), newest_first(trashed, time_field="uploaded_at")):
        yield {
            "id": row.pk,
            "filename": row.filename,
            "sent_as": row.sent_as or row.filename,
            "size_bytes": row.size_bytes,
            "content_type": row.content_type,
            "sha256": row.sha256,
            "folder": row.folder.name,
            "subfolder": row.subfolder.name if row.subfolder else None,
            "visibility": row.visibility,
            "tags": sorted(tag.name for tag in row.tags.all()),
            "uploaded_at": row.uploaded_at,
            "expires_at": row.expires_at,
            "deleted_at": row.deleted_at,
            "download_count": row.download_count,
            "download": absolute(reverse("file-download", args=[row.pk])),
        }


def unfinished_uploads(user):
    """The user's unfinished uploads."""
    for row in newest_first(Upload.objects.filter(uploaded_by=user), time_field="created_at"):
        yield {
            "id": row.pk,
            "filename": row.filename,
            "size_bytes": row.size_bytes,
            "created_at": row.created_at,
            "expires_at": row.expires_at,
        }


def folder_permissions(user):
    """The permissions granted to the user directly, without those of their roles and their company."""
    rows = FolderPermission.objects.filter(user=user).select_related("folder")
    for row in newest_first(rows, time_field="granted_at"):
        yield {"folder": row.folder.name, "permission": row.permission_type, "granted_at": row.granted_at}


def share_links(user):
    """The share links the user made, without the tokens. Who used a link is in the log and not here."""
    rows = ShareLink.objects.filter(created_by=user).select_related("file", "folder", "subfolder")
    rows = rows.prefetch_related("shared_files__file")
    for row in newest_first(rows, time_field="created_at"):
        yield {
            "id": row.pk,
            "file": row.file.filename if row.file else None,
            "files": [shared.file.filename for shared in row.shared_files.all()],
            "folder": row.folder.name if row.folder else None,
            "subfolder": row.subfolder.name if row.subfolder else None,
            "permission": row.permission,
            "recipient": row.recipient,
            "has_password": row.has_password,
            "max_downloads": row.max_downloads,
            "download_count": row.download_count,
            "created_at": row.created_at,
            "expires_at": row.expires_at,
            "revoked_at": row.revoked_at,
        }


def requests(user):
    """The file requests the user made, without the senders, who are other people's data."""
    rows = FileRequest.objects.filter(owner=user).select_related("folder")
    for row in newest_first(rows, time_field="created_at"):
        yield {
            "id": row.pk,
            "title": row.title,
            "note": row.note,
            "folder": row.folder.name if row.folder else None,
            "deadline": row.deadline,
            "max_files": row.max_files,
            "max_bytes": row.max_bytes,
            "received_files": row.received_files,
            "received_bytes": row.received_bytes,
            "created_at": row.created_at,
            "closed_at": row.closed_at,
        }


def archive(user):
    """The files of the user's own folder as one ZIP; None when there are none.

    Its address is "" when there are too many files for one ZIP.
    """
    folder = Folder.objects.filter(owner=user).first()
    count = 0 if folder is None else File.objects.downloadable_by(user).filter(folder=folder).count()
    if not count:
        return None
    fits = count <= archives.MAX_FILES
    return OwnFiles(reverse("folder-download", args=[folder.slug]) if fits else "", count)


def close(user):
    """Make the public files in the user's own folder private."""
    File.objects.filter(folder__owner=user, visibility=Visibility.PUBLIC).update(visibility=Visibility.PRIVATE)


def veto(user):
    """Why the account cannot be erased: the legal holds that keep it, in words for supers."""
    holds.guard()
    return [
        _("Legal hold on “%(target)s”: %(reason)s") % {"target": hold.target, "reason": hold.reason}
        for hold in holds.keeping(user)
    ]


def withdrawn(user):
    """The grants that are deleted with a withdrawn invitation."""
    return {"grants": [str(grant) for grant in user.folder_permissions.all()]}


def erase(user):
    """Delete the user's own folder with its files, their uploads, permissions, share links and file requests.

    Files in other folders stay: they belong to the firm. Returns False while files or uploads are left in the folder,
    because another worker has locked one; call it again then. Raises Vetoed when a super places a legal hold on any of
    it meanwhile.
    """
    erase_rows(user, Archive.objects.filter(user=user))
    erase_rows(user, FolderPermission.objects.filter(user=user))
    _drop(user, Upload.objects.filter(uploaded_by=user))
    erase_rows(user, ShareLink.objects.filter(created_by=user))
    erase_rows(user, FileRequest.objects.filter(owner=user))
    folder = Folder.objects.filter(owner=user).first()
    if folder is None:
        return True
    _drop(user, Upload.objects.filter(folder=folder))
    count = None
    while count != 0:
        with unless_vetoed(user):
            count = files.remove_from(folder, limit=ERASED_AT_ONCE)
    with unless_vetoed(user):
        try:
            folder = locked_folder(folder.pk)
        except Folder.DoesNotExist:
            return True
        if folder.files.exists() or folder.uploads.exists():
            return False
        folder.delete()
    return True


def _drop(user, rows):
    for upload in rows:
        with unless_vetoed(user):
            uploads.drop(upload)


def keep():
    """Register this app's keeper of personal data."""
    register(
        Keeper(
            name="fileshare",
            sections={
                "personal_folder": personal_folder,
                "uploaded_files": uploaded_files,
                "received_files": received_files,
                "unfinished_uploads": unfinished_uploads,
                "folder_permissions": folder_permissions,
                "share_links": share_links,
                "file_requests": requests,
            },
            close=close,
            veto=veto,
            erase=erase,
            archive=archive,
            withdrawn=withdrawn,
            named_targets=("file", "upload", "folder", "subfolder", "sharelink", "filerequest"),
        )
    )
