"""What a file request takes in: places set aside for what is on its way, given back, turned into receipts.

Each is one conditional UPDATE, so no number of racing senders ever takes a request over its limits. The
folder's own space (fileshare.quotas) is always moved first: whoever needs both rows takes them in this order.
"""

import logging
from datetime import timedelta

from django.db import transaction
from django.db.models import Exists, F, OuterRef, Q, Subquery
from django.db.models.functions import Greatest
from django.utils import timezone, translation
from django.utils.translation import gettext as _

from accounts import mail
from accounts.addresses import holds_web_address
from accounts.notifications import notify
from config.errors import Refused
from config.throttling import is_used_up

from . import quotas
from .models import File, FileRequest, ReceivedFile, RequestSender, RequestState, Upload

logger = logging.getLogger(__name__)

# A receipt is mailed when so long no further file came: one letter, however many files were dropped at once.
QUIET = timedelta(minutes=2)
# So long it waits for uploads under way and for checksums; then it says which are not known yet.
PATIENCE = timedelta(hours=1)
# More files than this in one letter are counted; the receipt on the page has them all.
FILES_IN_A_LETTER = 200


class RequestOver(Refused):
    """410: the request takes nothing more; `code` says why (request_closed, request_past, request_full)."""

    def __init__(self, state):
        texts = {
            RequestState.CLOSED: _("This file request is closed. Ask whoever sent you the link for a new one."),
            RequestState.PAST: _("The time for sending files is over. Ask whoever sent you the link for more time."),
            RequestState.FULL: _("As many files as were asked for have arrived; no more are taken."),
        }
        super().__init__(410, f"request_{state.value}", texts[state])
        self.state = state


class NoRoom(Refused):
    """413: too much for the request or for what lies behind it; which of the two is no stranger's business."""

    def __init__(self):
        super().__init__(413, "no_room", _("There is no room for this file."))


def reserve(*, sender, folder_id, size_bytes):
    """Set a place and `size_bytes` aside in the request of `sender` and in its folder; both or neither.

    Raises RequestOver (410), NoRoom (413), Http404 for a folder that is gone.
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
    """Give back the place of a sender's upload that will not come."""
    FileRequest.objects.filter(pk=upload.sender.request_id).update(**_less(upload))


def settle(upload, file):
    """Turn the place of a sender's upload into a receipt for its File, and tell the request's owner."""
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
    # Never below zero: a count that drifted must not keep a file from arriving.
    return {
        "reserved_files": Greatest(F("reserved_files") - 1, 0),
        "reserved_bytes": Greatest(F("reserved_bytes") - upload.size_bytes, 0),
    }


def facts(sender):
    """What the log keeps of a sender: what they called themselves, and the request."""
    return {"request": str(sender.request_id), "sender_name": sender.name, "sender_email": sender.email}


def keep_checksums():
    """Copy to receipts the checksums that were not known when their files came. Returns how many."""
    known = File.objects.filter(pk=OuterRef("file_id")).exclude(sha256="")
    waiting = ReceivedFile.objects.filter(Exists(known), sha256="", file__isnull=False)
    return waiting.update(sha256=Subquery(known.values("sha256")[:1]))


def mail_receipts(*, limit=200):
    """Mail receipts to senders who gave an address and sent nothing for a while; by many at once, each goes once.

    One waits for uploads under way and for checksums, but not for ever. Returns how many were posted.
    """
    keep_checksums()
    now = timezone.now()
    unfinished = Upload.objects.filter(sender=OuterRef("pk"))
    unknown = ReceivedFile.objects.filter(sender=OuterRef("pk"), sha256="", file__isnull=False)
    ready = Q(receipt_due_at__lte=now - PATIENCE) | ~(Exists(unfinished) | Exists(unknown))
    due = RequestSender.objects.filter(ready, receipt_due_at__lte=now).order_by("receipt_due_at")
    count = 0
    for sender in due.select_related("request__owner__company")[:limit]:
        try:
            count += _mail_receipt(sender)
        except Exception:  # one that cannot be written now costs the others nothing
            logger.exception("The receipt of sender %s was not posted", sender.pk)
    return count


@transaction.atomic
def _mail_receipt(sender):
    # Who sends another file meanwhile moves the time, and gets a letter that has it.
    claimed = RequestSender.objects.filter(pk=sender.pk, receipt_due_at=sender.receipt_due_at)
    if not claimed.update(receipt_due_at=None):
        return False
    # Nobody has proved that the mailbox is theirs: it gets so many letters and no more. The receipt's page has it all.
    if is_used_up("unasked_letters", sender.email):
        return False
    received = ReceivedFile.objects.filter(sender=sender).order_by("received_at", "pk")
    count = received.count()
    owner = sender.request.owner
    with translation.override(sender.language):
        mail.post(
            "request_receipt",
            to=sender.email,
            name=sender.name,
            title=sender.request.title,
            owner=owner.get_full_name(),
            company=owner.company.name if owner.company else "",
            count=count,
            more=max(0, count - FILES_IN_A_LETTER),
            files=[
                {
                    # Whoever chose the name may have chosen the mailbox too, and must not lead its owner anywhere.
                    "name": _("File") if holds_web_address(row.filename) else row.filename,
                    "size_bytes": row.size_bytes,
                    "sha256": row.sha256,
                    "received_at": f"{row.received_at:%Y-%m-%d %H:%M} UTC",
                }
                for row in received[:FILES_IN_A_LETTER]
            ],
        )
    return True
