"""The limits of a file request: reserve room for an upload, release it, or turn it into a receipt.

A conditional UPDATE reserves the room, so senders at the same time can never exceed the request's limits. The space of
the folder (fileshare.space.quotas) is always changed first. All code that changes both rows keeps this order, or two
transactions could wait for each other for ever (a deadlock).
"""

from datetime import timedelta

from django.db import transaction
from django.db.models import F
from django.db.models.functions import Greatest
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.notices.notifications import notify
from config.errors import Refused
from fileshare.models import FileRequest, ReceivedFile, RequestSender, RequestState

from . import quotas

# A receipt is mailed when the sender has sent no file for so long. So many files sent together make one letter.
QUIET = timedelta(minutes=2)


class RequestOver(Refused):
    """410: the request takes nothing more. `code` says why: request_closed, request_past or request_full."""

    def __init__(self, state):
        texts = {
            RequestState.CLOSED: _("This file request is closed. Ask whoever sent you the link for a new one."),
            RequestState.PAST: _("The time for sending files is over. Ask whoever sent you the link for more time."),
            RequestState.FULL: _("As many files as were asked for have arrived; no more are taken."),
        }
        super().__init__(410, f"request_{state.value}", texts[state])
        self.state = state


class NoRoom(Refused):
    """413: too large for the request or for its folder. The answer does not tell senders which of the two."""

    def __init__(self):
        super().__init__(413, "no_room", _("There is no room for this file."))


def reserve(*, sender, folder_id, size_bytes):
    """Reserve one file and `size_bytes` in the request of `sender`, and `size_bytes` in its folder; both or none.

    Raises RequestOver (410), NoRoom (413), Http404 for a folder that was deleted.
    """
    rows = FileRequest.objects.filter(pk=sender.request_id)
    with transaction.atomic():
        try:
            quotas.reserve(folder_id=folder_id, size_bytes=size_bytes)
        except quotas.QuotaExceeded:
            _assert_takes(rows)
            raise NoRoom from None
        takes = rows.open().with_a_place().with_room_for(size_bytes)
        if not takes.update(reserved_files=F("reserved_files") + 1, reserved_bytes=F("reserved_bytes") + size_bytes):
            _assert_takes(rows)
            raise NoRoom


def _assert_takes(rows):
    file_request = rows.first()
    if file_request is None:
        raise RequestOver(RequestState.CLOSED)
    if file_request.state != RequestState.OPEN:
        raise RequestOver(file_request.state)
    if not rows.with_a_place().exists():
        raise RequestOver(RequestState.FULL)


def release(upload):
    """Release what a sender's upload reserved in the request, because the upload ends without a file."""
    FileRequest.objects.filter(pk=upload.sender.request_id).update(**_less(upload))


def settle(upload, file):
    """Turn what a sender's upload reserved into a receipt for its File, and notify the request's owner."""
    sender, now = upload.sender, timezone.now()
    FileRequest.objects.filter(pk=sender.request_id).update(
        received_files=F("received_files") + 1,
        received_bytes=F("received_bytes") + file.size_bytes,
        **_less(upload),
    )
    ReceivedFile.objects.create(
        pk=file.pk,
        request_id=sender.request_id,
        sender=sender,
        file=file,
        filename=file.filename,
        size_bytes=file.size_bytes,
        sha256=file.sha256,
        received_at=file.uploaded_at,
    )
    if sender.email:
        RequestSender.objects.filter(pk=sender.pk).update(receipt_due_at=now + QUIET)
    request = sender.request
    notify(
        upload.uploaded_by,
        "request_answered",
        about=str(sender.pk),
        request_id=str(request.pk),
        title=request.title,
        sender=sender.name or sender.email,
        count=1,
    )


def _less(upload):
    # Stop at zero: if a count is wrong, going below zero would violate a constraint and refuse the file.
    return {
        "reserved_files": Greatest(F("reserved_files") - 1, 0),
        "reserved_bytes": Greatest(F("reserved_bytes") - upload.size_bytes, 0),
    }


def facts(sender):
    """Facts for the log about a sender: the request, and the name and address they gave."""
    return {"request": str(sender.request_id), "sender_name": sender.name, "sender_email": sender.email}
