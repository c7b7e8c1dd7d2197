"""Copy files to another folder or subfolder.

The bytes are copied first, to keys that no row names; then one transaction asks everything again and makes the rows.
A process that is killed in between, or a commit that fails, leaves objects without a row, which `reconcile` finds.
"""

import logging
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from django.db import transaction
from django.utils import timezone

from audit.log import append, event_of
from config.outside.queue import send_after_commit
from fileshare import folders
from fileshare.content.inspection import EmptyFile
from fileshare.content.refusals import FileTypeRefused
from fileshare.contributions.actions import Action
from fileshare.incoming import uploads
from fileshare.models import File, Folder
from fileshare.space import quotas
from fileshare.storage import ObjectInfo, ObjectMissing, StoreUnavailable, get_store

from . import choosing, moving

logger = logging.getLogger(__name__)

AT_ONCE = 8
"""So many objects of a remote store are copied at the same time."""
Tagging = File.tags.through
_KEPT = ("filename", "sent_as", "size_bytes", "content_type", "scan_state")


@dataclass(frozen=True)
class Copied:
    """What a copy did: `files` are the new Files, `refused` the Refusals of those that were not copied."""

    files: list
    refused: list


@dataclass
class _Object:
    """A new object: the id of the file that will have it, its key, and its ObjectInfo once it is there."""

    file_id: uuid.UUID
    key: str
    info: ObjectInfo | None = None


def copy(*, user, file_ids, folder_id, subfolder_id=None, partial=False):
    """Copy 1 to 1,000 files. Returns Copied, in the order in which the files were named.

    `user` must be allowed to download the files and to upload to the target, and is the uploader of the copies. They
    have the names, tags and checksums of the files, and count as checked for viruses; links and holds stay with the
    files. The target's kinds of files, quota and retention count. The log has two rows for each file: that it was
    copied, and the upload of its copy.

    Raises Http404 or PermissionDenied for the target, Invalid (400), StoreUnavailable, and SomeRefused: 404, 403, 415,
    413.
    """
    wanted = choosing.ids_of(file_ids)
    place = uploads.place_for(user=user, folder_id=folder_id, subfolder_id=subfolder_id)
    # Ask before any byte is copied, and again when the rows are made.
    choice = _copyable(user, wanted, Folder.objects.with_quota().get(pk=place.folder.pk))
    choice.settle(partial=partial)
    made = {}
    for file in choice.rows:
        pk = uuid.uuid4()
        made[file.pk] = _Object(pk, uploads.object_key(place, pk, file.filename))
    has_no_rows = True
    try:
        _copy_bytes(choice.rows, made)
        with transaction.atomic():
            copied = _make_rows(user, place, made, choice.refused, partial)
            has_no_rows = False
    except BaseException:
        # An error of the commit, or behind it, does not tell whether the rows are there. `reconcile` knows that later.
        if has_no_rows:
            _remove(made.values())
        raise
    return copied


def _copyable(user, wanted, folder):
    """The Choice of files that `user` may download and the folder, from with_quota, takes."""
    choice = choosing.downloadable(user=user, wanted=wanted)
    room = {folder.pk: moving.room_of(folder)}
    for file in choice.rows:
        try:
            moving.check_type(folder, file)
            moving.take_room(room, folder, file)
        except (FileTypeRefused, EmptyFile, quotas.QuotaExceeded) as refusal:
            choice.refuse(file, refusal)
    return choice


def _copy_bytes(files, made):
    missed = _try_to_copy(files, made)
    if missed:
        # The bytes of a moved file may have been carried to another key since its row was read.
        again = list(File.objects.filter(pk__in=[file.pk for file in missed]))
        if lost := _try_to_copy(again, made):
            raise ObjectMissing(lost[0].object_key)


def _try_to_copy(files, made):
    """Copy the bytes of these files. Returns those whose object is not there."""
    store = get_store()

    def copy_one(file):
        try:
            info = store.copy(file.object_key, made[file.pk].key)
        except ObjectMissing:
            return file
        if info.size_bytes != file.size_bytes or (info.sha256 and file.sha256 not in ("", info.sha256)):
            logger.error("The bytes of file %s are not those that were uploaded: %s", file.pk, file.object_key)
            raise StoreUnavailable
        made[file.pk].info = info
        return None

    if not store.is_remote:
        return [file for file in files if copy_one(file)]
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="copy") as pool:
        return [file for file in pool.map(copy_one, files) if file]


def _make_rows(user, place, made, refused, partial):
    locked = folders.locked_folders([place.folder.pk])
    place = uploads.place_for(user=user, folder_id=place.folder.pk, subfolder_id=place.subfolder and place.subfolder.pk)
    choice = _copyable(user, list(made), locked[place.folder.pk])
    choice.refused += refused
    choice.settle(partial=partial)
    now, copies, events = timezone.now(), {}, []
    for file in choice.rows:
        copies[file.pk] = _copy_of(file, made[file.pk], place, user, now)
        events += _told(user, file, copies[file.pk])
    File.objects.bulk_create(copies.values())
    tagged = Tagging.objects.filter(file__in=list(copies)).values_list("file_id", "tag_id")
    Tagging.objects.bulk_create(Tagging(file=copies[file_id], tag_id=tag_id) for file_id, tag_id in tagged)
    if copies:
        quotas.take(folder_id=place.folder.pk, size_bytes=sum(file.size_bytes for file in copies.values()))
    append(events)
    if any(not file.sha256 or file.crc32 is None for file in copies.values()):
        send_after_commit("fileshare.tasks.complete_checksums")
    unused = [one for pk, one in made.items() if pk not in copies]
    transaction.on_commit(lambda: _remove(unused), robust=True)
    return Copied(list(copies.values()), choice.refused)


def _copy_of(file, made, place, user, now):
    info = made.info
    return File(
        pk=made.file_id,
        folder=place.folder,
        subfolder=place.subfolder,
        **{name: getattr(file, name) for name in _KEPT},
        sha256=file.sha256 or info.sha256 or "",
        crc32=info.crc32 if file.crc32 is None else file.crc32,
        etag=info.etag,
        object_key=made.key,
        uploaded_by=user,
        uploaded_at=now,
        expires_at=moving.expiry_in(place.folder, now),
        # Readers are told of the copy as of a file that the scanner has just passed.
        scanned_at=file.scanned_at and now,
    )


def _told(user, file, copied):
    facts = {"user": user, "size_bytes": file.size_bytes}
    after = moving.told(uploads.Place(copied.folder, copied.subfolder))
    yield event_of(Action.FILE_COPIED, target=file, folder=file.folder, copy=str(copied.pk), after=after, **facts)
    yield event_of(Action.UPLOAD, target=copied, folder=copied.folder, copy_of=str(file.pk), **facts)


def _remove(objects):
    for one in objects:
        get_store().delete(one.key)
