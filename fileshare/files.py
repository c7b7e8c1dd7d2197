"""The operations on a stored file: rename, publish, tag, delete, restore, and remove when it has expired."""

from django.db import transaction
from django.http import Http404
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.people.roles import assert_super
from audit.log import record, record_many
from config.access import get_allowed, get_visible
from config.errors import Conflict, Invalid
from fileshare.contributions.actions import Action

from . import folder_notices, holds, tags
from .content import file_types, filenames
from .folders import locked_folder, locked_folders
from .models import File, Visibility
from .space import quotas
from .storage import get_store


@transaction.atomic
def change(*, user, file_id, filename=None, visibility=None):
    """Rename a file, or set who may see it; None changes nothing. Returns the File.

    The bytes and their key stay. The extension of the name may not change, because the content was checked
    against it. The uploader is notified when another user renames their file.

    Raises Http404, PermissionDenied, Invalid (400).
    """
    file = _changeable(user, file_id)
    changes = {}
    if filename is not None:
        name = filenames.clean(filename)
        if filenames.extension(name) != filenames.extension(file.filename):
            raise Invalid("filename", _("The ending of a file's name stays as it is."), code="extension_changed")
        file_types.check_extension(file.folder.type_policy, name)
        changes["filename"] = name
    if visibility is not None and visibility != file.visibility:
        if visibility not in Visibility.values:
            raise Invalid("visibility", _("A file is private or public."))
        # 403 for a file of a shared folder: there the folder's permissions decide who may see the file.
        publishable = File.objects.publishable_by(user)
        get_allowed(file_id, visible=File.objects.visible_to(user), allowed=publishable)
        changes["visibility"] = visibility
    before = {name: getattr(file, name) for name in changes}
    for name, value in changes.items():
        setattr(file, name, value)
    if changes:
        file.save(update_fields=list(changes))
        record(Action.FILE_CHANGED, user=user, target=file, folder=file.folder, before=before, after=changes)
    if before.get("filename", file.filename) != file.filename:
        folder_notices.tell_of_rename(file, before=before["filename"], by=user)
    return file


@transaction.atomic
def add_tags(*, user, file_id, names):
    """Add tags to those a file has. Returns the File.

    Raises Http404, PermissionDenied, and Invalid (400) when `names` contains no tag or one that is not valid, or when
    the file would have too many.
    """
    file = _changeable(user, file_id)
    cleaned = tags.clean_names(names)
    if not cleaned:
        raise Invalid("tags", _("Name at least one tag."))
    before = _tag_names(file)
    after = tags.clean_names([*before, *cleaned])
    if len(after) > len(before):
        file.tags.add(*tags.rows(cleaned))
        record(
            Action.FILE_CHANGED,
            user=user,
            target=file,
            folder=file.folder,
            before={"tags": before},
            after={"tags": sorted(after)},
        )
    return file


@transaction.atomic
def remove_tag(*, user, file_id, tag_id):
    """Remove a tag from a file. Returns the File. Raises PermissionDenied, Http404, also if it has no such tag."""
    file = _changeable(user, file_id)
    tag = get_visible(tag_id, file.tags.all())
    before = _tag_names(file)
    file.tags.remove(tag)
    after = [name for name in before if name != tag.name]
    record(
        Action.FILE_CHANGED,
        user=user,
        target=file,
        folder=file.folder,
        before={"tags": before},
        after={"tags": after},
    )
    return file


def _changeable(user, file_id):
    return get_allowed(
        file_id,
        visible=File.objects.visible_to(user),
        allowed=File.objects.deletable_by(user).select_for_update(of=("self",)),
    )


def _tag_names(file):
    return list(file.tags.order_by("name").values_list("name", flat=True))


@transaction.atomic
def delete(*, user, file_id):
    """Move a file to the trash. Returns the File.

    From now on no user can download it. It still counts against the quota. The uploader is notified when another user
    deletes their file. Raises Http404 when `user` may not see it, PermissionDenied when they may see it but not delete
    it, Held (409).
    """
    holds.guard()
    file = _changeable(user, file_id)
    holds.assert_file_free(file)
    move_to_trash([file], by=user)
    return file


def move_to_trash(rows, *, by):
    """`delete` of several files, without its checks. The caller holds the locks of the rows, and has called
    `holds.guard`. Returns the time of the deletion, which is the same for all."""
    now = timezone.now()
    for file in rows:
        file.deleted_at, file.deleted_by = now, by
    File.objects.filter(pk__in=[file.pk for file in rows]).update(deleted_at=now, deleted_by=by)
    record_many(Action.DELETE, user=by, targets=[(file, file.folder, file.size_bytes) for file in rows])
    folder_notices.tell_of_deletions(rows, by=by)
    return now


def take_from_trash(rows, *, by):
    """`restore` of several files, without its checks. The caller holds the locks of the rows."""
    for file in rows:
        file.deleted_at = file.deleted_by = None
    File.objects.filter(pk__in=[file.pk for file in rows]).update(deleted_at=None, deleted_by=None)
    record_many(Action.RESTORE, user=by, targets=[(file, file.folder, file.size_bytes) for file in rows])


@transaction.atomic
def restore(*, user, file_id):
    """Take a file out of the trash. It expires on the same day as before. Returns the File.

    Raises Http404, PermissionDenied, Conflict (409) when it has not been deleted.
    """
    file = _in_trash(user, file_id, lock=True)
    take_from_trash([file], by=user)
    return file


@transaction.atomic
def purge(*, user, file_id):
    """Delete a file in the trash for good and free its space. Returns the File as it was.

    Its bytes are deleted after the commit. Raises Http404, PermissionDenied, Conflict (409) when the file is not in
    the trash, Held (409).
    """
    holds.guard()
    locked_folder(_in_trash(user, file_id).folder_id)
    return _purged(_in_trash(user, file_id, lock=True), user)


@transaction.atomic
def purge_quarantined(*, by, file_id):
    """Delete a file in quarantine for good, also when it is in the trash. Returns the File as it was.

    The uploader is notified. Raises PermissionDenied unless `by` is a super, Http404 for a file that is not in
    quarantine, Held (409).
    """
    assert_super(by)
    holds.guard()
    rows = File.objects.quarantined()
    locked_folder(get_visible(file_id, rows).folder_id)
    file = _purged(get_visible(file_id, rows.select_for_update(of=("self",))), by)
    folder_notices.tell_of_quarantine(file, state="deleted", by=by)
    return file


def _purged(file, user):
    holds.assert_file_free(file)
    pk = file.pk
    _remove(file, Action.PURGE, user=user)
    file.pk = pk
    return file


def _in_trash(user, file_id, *, lock=False):
    rows = File.objects.restorable_by(user)
    try:
        return get_visible(file_id, rows.select_for_update(of=("self",)) if lock else rows)
    except Http404:
        get_allowed(file_id, visible=File.objects.visible_to(user), allowed=File.objects.deletable_by(user))
    raise Conflict(_("This file is not in the trash."), code="not_in_trash")


def remove_expired(*, limit=500):
    """Delete for good the files that have expired, and those whose time in the trash is over.

    Files under a legal hold stay. Several workers may run it at once. Returns how many were deleted, at most twice
    `limit`.
    """
    expired = _remove_all(File.objects.expired().not_held(), "expires_at", Action.EXPIRED, limit)
    return expired + _remove_all(File.objects.forgotten().not_held(), "deleted_at", Action.PURGE, limit)


def remove_from(folder, *, limit=500):
    """Delete for good the files of a folder, also those in the trash. Files under a legal hold stay.

    Several workers may run it at once. Returns how many were deleted, at most `limit`.
    """
    return _remove_all(File.objects.filter(folder=folder).not_held(), "uploaded_at", Action.PURGE, limit)


def _remove_all(rows, time_field, action, limit):
    count = 0
    for pk, folder_id in list(rows.order_by(time_field).values_list("pk", "folder_id")[:limit]):
        with transaction.atomic():
            holds.guard()
            # A file that was moved since it was listed waits for the next run; its folder may be gone.
            locked_folders([folder_id])
            file = rows.select_for_update(skip_locked=True).filter(pk=pk, folder=folder_id).first()
            if file is not None:
                _remove(file, action)
                count += 1
    return count


def _remove(file, action, *, user=None):
    folder = file.folder
    record(action, user=user, target=file, folder=folder, size_bytes=file.size_bytes)
    quotas.free(folder_id=folder.pk, size_bytes=file.size_bytes)
    file.delete()
    transaction.on_commit(lambda: get_store().delete(file.object_key), robust=True)
