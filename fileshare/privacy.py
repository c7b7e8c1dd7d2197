"""What this app keeps of a person: files, folders and what was shared, for accounts.privacy."""

from itertools import chain

from django.conf import settings
from django.urls import reverse
from django.utils.translation import gettext as _

from accounts.privacy import Archive as OwnFiles
from accounts.privacy import Keeper, erase_rows, newest_first, register, unless_vetoed

from . import archives, files, holds, uploads
from .folders import locked_folder
from .models import Archive, File, FileRequest, Folder, FolderPermission, ShareLink, Upload, Visibility

ERASED_AT_ONCE = 50
"""Files of one transaction; their bytes go after it."""


def personal_folder(user):
    """The folder of one's own, or None before its first use."""
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
    """Every file the person uploaded, wherever it lies, those in the trash last."""
    return _files(File.objects.filter(uploaded_by=user))


def received_files(user):
    """What others put into the person's own folder."""
    return _files(File.objects.filter(folder__owner=user).exclude(uploaded_by=user))


def _files(rows):
    rows = rows.select_related("folder", "subfolder").prefetch_related("tags")
    live, trashed = rows.filter(deleted_at=None), rows.filter(deleted_at__isnull=False)
    for row in chain(newest_first(live, time_field="uploaded_at"), newest_first(trashed, time_field="uploaded_at")):
        yield {
            "id": row.pk,
            "filename": row.filename,
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
            "download": f"{settings.SITE_URL}{reverse('file-download', args=[row.pk])}",
        }


def unfinished_uploads(user):
    """Files on their way."""
    for row in newest_first(Upload.objects.filter(uploaded_by=user), time_field="created_at"):
        yield {
            "id": row.pk,
            "filename": row.filename,
            "size_bytes": row.size_bytes,
            "created_at": row.created_at,
            "expires_at": row.expires_at,
        }


def folder_permissions(user):
    """What the person may do in which folder, apart from what their roles and their company give them."""
    rows = FolderPermission.objects.filter(user=user).select_related("folder")
    for row in newest_first(rows, time_field="granted_at"):
        yield {"folder": row.folder.name, "permission": row.permission_type, "granted_at": row.granted_at}


def share_links(user):
    """Share links the person made, without their tokens; the log tells who used them, not this."""
    rows = ShareLink.objects.filter(created_by=user).select_related("file")
    for row in newest_first(rows, time_field="created_at"):
        yield {
            "id": row.pk,
            "file": row.file.filename,
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
    """File requests the person made; who answered is other people's data."""
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
    """The files of one's own folder as one ZIP."""
    folder = Folder.objects.filter(owner=user).first()
    count = 0 if folder is None else File.objects.downloadable_by(user).filter(folder=folder).count()
    if not count:
        return None
    fits = count <= archives.MAX_FILES
    return OwnFiles(reverse("folder-download", args=[folder.slug]) if fits else "", count)


def close(user):
    """What the person had made public in their own folder is private again from now on."""
    File.objects.filter(folder__owner=user, visibility=Visibility.PUBLIC).update(visibility=Visibility.PRIVATE)


def veto(user):
    """What keeps the account from being erased, for supers to read: the legal holds it touches."""
    holds.guard()
    return [
        _("Legal hold on “%(target)s”: %(reason)s") % {"target": hold.target, "reason": hold.reason}
        for hold in holds.keeping(user)
    ]


def erase(user):
    """Remove the person's own folder with all that is in it, the grants to them, and what they shared and asked for.

    Files in other folders stay, as the firm's. Returns False when another worker has one of the files; raises Vetoed
    when a legal hold is placed on anything of it meanwhile.
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
    """Register this app's part."""
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
        )
    )
