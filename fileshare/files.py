"""What is done with a stored file: rename, publish, tag, delete, restore, and let expire."""

import logging
import zlib
from contextlib import suppress
from hashlib import sha256

from django.core.cache import cache
from django.db import transaction
from django.http import Http404
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.roles import assert_super
from audit.log import record
from audit.models import Action
from config.access import get_allowed, get_visible
from config.errors import Conflict, Invalid

from . import file_types, filenames, holds, news, quotas, tags
from .folders import locked_folder
from .models import File, Visibility
from .storage import ObjectMissing, get_store

logger = logging.getLogger(__name__)

CHECKSUM_LEASE_SECONDS = 3600
"""How long a worker that reads a file for its checksums keeps others from it; it may have died."""
ALTERED_SECONDS = 86_400
"""So long a file whose bytes are not those that came is not read again."""
WAITING_FILES = 1000
"""Of those whose checksums are not known, how many are looked at in one run."""


@transaction.atomic
def change(*, user, file_id, filename=None, visibility=None):
    """Rename a file, or set who may see it; None leaves a part as it is. Returns the File.

    The bytes and their key stay. A new name keeps the kind: the extension may not change, for the
    content was checked against it. Raises Http404, PermissionDenied, Invalid (400).
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
        # 403 for a file of a shared folder: who may see those is its permissions' business.
        publishable = File.objects.publishable_by(user)
        get_allowed(file_id, visible=File.objects.visible_to(user), allowed=publishable)
        changes["visibility"] = visibility
    before = {name: getattr(file, name) for name in changes}
    for name, value in changes.items():
        setattr(file, name, value)
    if changes:
        file.save(update_fields=list(changes))
        record(Action.FILE_CHANGED, user=user, target=file, folder=file.folder, before=before, after=changes)
    return file


@transaction.atomic
def add_tags(*, user, file_id, names):
    """Put tags on a file, besides those it has. Returns the File.

    Raises Http404, PermissionDenied, Invalid (400) when there is none among `names`, for one that cannot
    be, and when the file would have too many.
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
    """Take a tag off a file. Returns the File. Raises Http404, also for a tag it has not, PermissionDenied."""
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
    """Move a file to the trash: out of everybody's reach at once, still counted; an uploader who did not do it is told.
    Returns the File.

    Raises Http404 when `user` may not see it, PermissionDenied when they may see it but not delete it, Held (409).
    """
    holds.guard()
    file = _changeable(user, file_id)
    holds.assert_file_free(file)
    file.deleted_at, file.deleted_by = timezone.now(), user
    file.save(update_fields=["deleted_at", "deleted_by"])
    record(Action.DELETE, user=user, target=file, folder=file.folder, size_bytes=file.size_bytes)
    news.tell_of_deletion(file, by=user)
    return file


@transaction.atomic
def restore(*, user, file_id):
    """Take a file out of the trash, as it was: the day it expires has not moved. Returns the File.

    Raises Http404, PermissionDenied, Conflict (409) when it has not been deleted.
    """
    file = _in_trash(user, file_id, lock=True)
    file.deleted_at = file.deleted_by = None
    file.save(update_fields=["deleted_at", "deleted_by"])
    record(Action.RESTORE, user=user, target=file, folder=file.folder, size_bytes=file.size_bytes)
    return file


@transaction.atomic
def purge(*, user, file_id):
    """Delete a file in the trash for good and give its space back. Returns the File as it was.

    Raises Http404, PermissionDenied, Conflict (409) when it has not been deleted, Held (409). Its bytes go after
    the commit.
    """
    holds.guard()
    locked_folder(_in_trash(user, file_id).folder_id)
    return _purged(_in_trash(user, file_id, lock=True), user)


@transaction.atomic
def purge_quarantined(*, by, file_id):
    """Delete a file in quarantine for good, as a super, in the trash or not; its uploader is told. Returns the File as
    it was.

    Raises PermissionDenied for anybody but a super, Http404 for a file that is in no quarantine, Held (409).
    """
    assert_super(by)
    holds.guard()
    rows = File.objects.quarantined()
    locked_folder(get_visible(file_id, rows).folder_id)
    file = _purged(get_visible(file_id, rows.select_for_update(of=("self",))), by)
    news.tell_of_quarantine(file, state="deleted", by=by)
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
    """Remove files whose time is over, in their folder or in the trash; many workers may run it at once.

    What is held stays. Returns how many went, at most twice `limit`.
    """
    expired = _remove_all(File.objects.expired().not_held(), "expires_at", Action.EXPIRED, limit)
    return expired + _remove_all(File.objects.forgotten().not_held(), "deleted_at", Action.PURGE, limit)


def remove_from(folder, *, limit=500):
    """Remove the files of a folder that nothing holds for good, in the trash or not; many may run it at once.

    Returns how many went.
    """
    return _remove_all(File.objects.filter(folder=folder).not_held(), "uploaded_at", Action.PURGE, limit)


def _remove_all(rows, time_field, action, limit):
    count = 0
    for pk, folder_id in list(rows.order_by(time_field).values_list("pk", "folder_id")[:limit]):
        with transaction.atomic():
            holds.guard()
            locked_folder(folder_id)
            file = rows.select_for_update(skip_locked=True).filter(pk=pk).first()
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


def read(file, start, end, *, blocks=None):
    """Yield the bytes of a file from `start` up to, not including, `end`, in blocks of 1 MiB at most.

    Read whole, a file whose checksums are not known yet keeps them from then on; where one was known and these
    bytes have another, that is logged and the row stays as it is. `blocks` are those bytes where they have been
    fetched already. Raises ObjectMissing, StoreUnavailable.
    """
    if blocks is None:
        blocks = get_store().read_range(file.object_key, start, end)
    if (start, end) != (0, file.size_bytes) or (file.sha256 and file.crc32 is not None):
        yield from blocks
        return
    digest, crc = sha256(), 0
    for block in blocks:
        digest.update(block)
        crc = zlib.crc32(block, crc)
        yield block
    if file.sha256 not in ("", digest.hexdigest()) or file.crc32 not in (None, crc):
        logger.error("The bytes of file %s are not those that were uploaded: %s", file.pk, file.object_key)
        return
    file.sha256, file.crc32 = digest.hexdigest(), crc
    File.objects.filter(pk=file.pk).update(sha256=file.sha256, crc32=file.crc32)


def read_checksums(file):
    """Read a file once for its SHA-256 and CRC-32, and keep both.

    Returns whether both are known now: not where the bytes are missing, or others than those that came.
    """
    try:
        return _read_through(file)
    except ObjectMissing:
        return False


def _read_through(file):
    for _block in read(file, 0, file.size_bytes):
        pass
    return bool(file.sha256) and file.crc32 is not None


def crc32_of(file):
    """The CRC-32 of a file, read for it where nobody has done so yet. Raises ObjectMissing, StoreUnavailable."""
    if file.crc32 is None:
        file.refresh_from_db(fields=["sha256", "crc32"])
    if file.crc32 is None and not read_checksums(file):
        raise ObjectMissing(file.object_key)
    return file.crc32


def complete_checksums(*, limit=20):
    """Read files whose checksums nobody knows, oldest first; many workers share them.

    Returns how many are known now. One whose bytes are missing or altered is no part of `limit`, and an altered one,
    which may be large, is left alone for ALTERED_SECONDS.
    """
    count = 0
    for file in list(File.objects.filter(sha256="").order_by("uploaded_at")[:WAITING_FILES]):
        # A file of many gibibytes takes longer than it is until the next worker looks.
        claim = f"checksums-{file.pk}"
        if not cache.add(claim, True, CHECKSUM_LEASE_SECONDS):
            continue
        is_altered = False
        try:
            with suppress(ObjectMissing):
                is_altered = not _read_through(file)
                count += not is_altered
        finally:
            if is_altered:
                cache.set(claim, True, ALTERED_SECONDS)
            else:
                cache.delete(claim)
        if count == limit:
            break
    return count
