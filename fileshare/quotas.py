"""Space of a folder, in bytes: set aside, settled, given back. Each is one conditional UPDATE, so no
number of racing requests ever takes a folder over its quota."""

from django.db.models import F
from django.db.models.functions import Greatest
from django.http import Http404
from django.utils.translation import gettext as _

from config.errors import Refused

from .models import Folder
from .models.folders import room_for


class QuotaExceeded(Refused):
    """413: the folder has no room."""

    def __init__(self):
        super().__init__(413, "quota_exceeded", _("The folder has not enough room for this file."))


def reserve(*, folder_id, size_bytes):
    """Set `size_bytes` aside for an upload. Raises QuotaExceeded, or Http404 for a folder that is gone.

    Only the row changes."""
    room = Folder.objects.filter(room_for(size_bytes), pk=folder_id)
    if not room.update(reserved_bytes=F("reserved_bytes") + size_bytes):
        if not Folder.objects.filter(pk=folder_id).exists():
            raise Http404
        raise QuotaExceeded


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
    # Never below zero: a count that drifted must not block a delete;
    return Greatest(F(field) - size_bytes, 0)
