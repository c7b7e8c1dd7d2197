"""Space of a folder, in bytes: set aside, settled, given back. Each is one conditional UPDATE, so no
number of racing requests ever takes a folder over its quota. `recalculate` proves the sums every night."""

import logging
from dataclasses import dataclass, field

from django.db import transaction
from django.db.models import BigIntegerField, F, OuterRef, Subquery, Sum
from django.db.models.functions import Coalesce, Greatest
from django.http import Http404
from django.utils.translation import gettext as _

from audit.log import record
from audit.models import Action
from config.errors import Refused

from . import inventory, news
from .models import File, Folder, Upload
from .models.folders import room_for
from .storage import get_store

logger = logging.getLogger(__name__)


class QuotaExceeded(Refused):
    """413: the folder has no room."""

    def __init__(self):
        super().__init__(413, "quota_exceeded", _("The folder has not enough room for this file."))


def reserve(*, folder_id, size_bytes):
    """Set `size_bytes` aside for an upload. Raises QuotaExceeded, or Http404 for a folder that is gone.

    Only the row changes, and who answers for a folder hears when it becomes nearly full."""
    room = Folder.objects.filter(room_for(size_bytes), pk=folder_id)
    if not room.update(reserved_bytes=F("reserved_bytes") + size_bytes):
        if not Folder.objects.filter(pk=folder_id).exists():
            raise Http404
        raise QuotaExceeded
    news.tell_of_little_room(folder_id=folder_id, taken_bytes=size_bytes)


def settle(*, folder_id, reserved_bytes, size_bytes):
    """Turn a reservation into use, by the file's true size."""
    Folder.objects.filter(pk=folder_id).update(
        reserved_bytes=_less("reserved_bytes", reserved_bytes), used_bytes=F("used_bytes") + size_bytes
    )


def release(*, folder_id, reserved_bytes):
    """Give back the reservation of an upload that will not come."""
    Folder.objects.filter(pk=folder_id).update(reserved_bytes=_less("reserved_bytes", reserved_bytes))


def free(*, folder_id, size_bytes):
    """Give back the space of a file that is gone."""
    Folder.objects.filter(pk=folder_id).update(used_bytes=_less("used_bytes", size_bytes))


def _less(field, size_bytes):
    # Never below zero: a count that drifted must not block a delete.
    return Greatest(F(field) - size_bytes, 0)


@dataclass
class Recalculation:
    """What `recalculate` looked at, the Events of what it repaired, and the Files whose object has another length."""

    objects: int = 0
    folders: int = 0
    repaired: list = field(default_factory=list)
    damaged: list = field(default_factory=list)


def recalculate(progress=None):
    """Hold every folder's sums against its rows and repair what differs; hold every row's size against the store.

    An object of another length than its file is damage, not drift: it is reported, each an error in the
    log, and the row stays as it is, for it tells what a backup has to bring back. `used_bytes` is the
    sum of a folder's files, those in the trash included, `reserved_bytes` that of its unfinished
    uploads. Uploads and deletions go on meanwhile and are counted right. `progress` is a
    config.progress.Progress of objects. Returns a Recalculation; each repair is an Event (before,
    after) and a warning in the log.
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
    """Folders with the sums of their rows. One statement sees one moment, in which both are the same."""
    return Folder.objects.annotate(files_bytes=_sum(File), uploads_bytes=_sum(Upload))


def _sum(model):
    rows = model.objects.filter(folder=OuterRef("pk")).order_by().values("folder")
    return Coalesce(Subquery(rows.annotate(total=Sum("size_bytes")).values("total")), 0, output_field=BigIntegerField())


def _sums_differ(folder):
    return (folder.used_bytes, folder.reserved_bytes) != (folder.files_bytes, folder.uploads_bytes)


@transaction.atomic
def _repair_sums(folder_id):
    """Set a folder's sums right, under its lock; returns the Event in a list, or [] when nothing differs."""
    # Whoever changes rows changes the sums in the same transaction, relatively and under this lock: what is
    # committed is in both by now, and what is not will be added to what is set here.
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
    """Whether the folder is still there; its row is locked then until the transaction ends."""
    return Folder.objects.select_for_update(no_key=True).filter(pk=folder_id).first() is not None


def _tell_damage(file_id):
    """The File whose object has another length than it, in a list; [] when that was so for a moment only."""
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
