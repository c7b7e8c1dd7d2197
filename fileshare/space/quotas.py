"""The space of a folder, in bytes: reserve it, turn a reservation into use, release it.

A conditional UPDATE reserves space, so requests at the same time can never exceed a quota. `recalculate` checks the
sums every night.
"""

import logging
from dataclasses import dataclass, field

from django.db import transaction
from django.db.models import BigIntegerField, F, OuterRef, Subquery, Sum
from django.db.models.functions import Coalesce, Greatest
from django.http import Http404
from django.utils.translation import gettext as _

from audit.log import record
from config.errors import Refused
from fileshare import folder_notices
from fileshare.contributions.actions import Action
from fileshare.models import File, Folder, Upload
from fileshare.models.folders import room_for
from fileshare.storage import get_store

from . import inventory

logger = logging.getLogger(__name__)


class QuotaExceeded(Refused):
    """413: the folder has not enough room."""

    def __init__(self):
        super().__init__(413, "quota_exceeded", _("The folder has not enough room for this file."))


def reserve(*, folder_id, size_bytes):
    """Reserve `size_bytes` for an upload. Raises QuotaExceeded, or Http404 for a folder that was deleted.

    When this makes the folder nearly full, the users who look after it are notified.
    """
    _use(folder_id, size_bytes, reserved_bytes=F("reserved_bytes") + size_bytes)


def take(*, folder_id, size_bytes):
    """Use `size_bytes` for files that come into the folder with their bytes, moved or copied.

    Raises QuotaExceeded, or Http404 for a folder that was deleted. When this makes the folder nearly full, the users
    who look after it are notified.
    """
    _use(folder_id, size_bytes, used_bytes=F("used_bytes") + size_bytes)


def _use(folder_id, size_bytes, **changes):
    room = Folder.objects.filter(room_for(size_bytes), pk=folder_id)
    if not room.update(**changes):
        if not Folder.objects.filter(pk=folder_id).exists():
            raise Http404
        raise QuotaExceeded
    folder_notices.tell_of_little_room(folder_id=folder_id, taken_bytes=size_bytes)


def settle(*, folder_id, reserved_bytes, size_bytes):
    """Turn a reservation into used bytes; `size_bytes` is the file's true size."""
    Folder.objects.filter(pk=folder_id).update(
        reserved_bytes=_less("reserved_bytes", reserved_bytes), used_bytes=F("used_bytes") + size_bytes
    )


def release(*, folder_id, reserved_bytes):
    """Release the reservation of an upload that ends without a file."""
    Folder.objects.filter(pk=folder_id).update(reserved_bytes=_less("reserved_bytes", reserved_bytes))


def free(*, folder_id, size_bytes):
    """Release the space of a deleted file."""
    Folder.objects.filter(pk=folder_id).update(used_bytes=_less("used_bytes", size_bytes))


def _less(field, size_bytes):
    # Stop at zero: if a count is wrong, going below zero would violate a constraint and block the deletion.
    return Greatest(F(field) - size_bytes, 0)


@dataclass
class Recalculation:
    """The result of `recalculate`: how many objects and folders it checked, the Events of its repairs, and the Files
    whose object has another length."""

    objects: int = 0
    folders: int = 0
    repaired: list = field(default_factory=list)
    damaged: list = field(default_factory=list)


def recalculate(progress=None):
    """Compare each folder's sums with its rows and repair differences; compare each file's size with its object.

    `used_bytes` is the sum of a folder's files, those in the trash included; `reserved_bytes` is the sum of its
    unfinished uploads. Each repair makes an Event (before, after) and a warning in the log. Uploads and deletions at
    the same time are counted correctly.

    An object of another length than its file is damaged, and needs a backup. It is logged as an error, and the row
    stays as it is: it says what the backup has to restore.

    `progress` is a config.progress.Progress of objects. Returns a Recalculation.
    """
    done = Recalculation()
    for entry in inventory.stored():
        done.objects += 1
        if entry.file_id is not None and entry.file_size != entry.size_bytes:
            done.damaged += _tell_damage(entry.file_id)
        if progress:
            progress.advance()
    for folder in inventory.in_batches(_with_sums()):
        done.folders += 1
        if _sums_differ(folder):
            done.repaired += _repair_sums(folder.pk)
    return done


def _with_sums():
    """Folders with the sums of their rows. One statement reads both from the same moment, so they can be compared."""
    return Folder.objects.annotate(files_bytes=_sum(File), uploads_bytes=_sum(Upload))


def _sum(model):
    rows = model.objects.filter(folder=OuterRef("pk")).order_by().values("folder")
    return Coalesce(Subquery(rows.annotate(total=Sum("size_bytes")).values("total")), 0, output_field=BigIntegerField())


def _sums_differ(folder):
    return (folder.used_bytes, folder.reserved_bytes) != (folder.files_bytes, folder.uploads_bytes)


@transaction.atomic
def _repair_sums(folder_id):
    """Repair a folder's sums while its row is locked. Returns the Event in a list, or [] when nothing differs."""
    # Code that adds or removes rows also changes the sums, by a difference, in the same transaction and under this
    # lock. So a committed change is in rows and sums by now, and a later one is added to the values set here.
    if not _lock(folder_id):
        return []
    folder = _with_sums().get(pk=folder_id)
    if not _sums_differ(folder):
        return []
    before = {"used_bytes": folder.used_bytes, "reserved_bytes": folder.reserved_bytes}
    after = {"used_bytes": folder.files_bytes, "reserved_bytes": folder.uploads_bytes}
    Folder.objects.filter(pk=folder_id).update(**after)
    logger.warning("The sums of folder %s (%s) were repaired: %s, now %s", folder.slug, folder_id, before, after)
    return [record(Action.QUOTA_REPAIRED, target=folder, folder=folder, before=before, after=after)]


def _lock(folder_id):
    """Lock the folder's row until the transaction ends. False when the folder was deleted."""
    return Folder.objects.select_for_update(no_key=True).filter(pk=folder_id).first() is not None


def _tell_damage(file_id):
    """Check the file again, and log an error if its object has another length. Returns [the File], or [] when the
    lengths differed only for a moment."""
    file = File.objects.select_related("folder").filter(pk=file_id).first()
    info = get_store().head(file.object_key) if file else None
    if info is None or info.size_bytes == file.size_bytes:
        return []
    logger.error(
        "The object of file %s (%s) has %d bytes and not %d: restore it from a backup",
        file.pk,
        file.object_key,
        info.size_bytes,
        file.size_bytes,
    )
    return [file]
