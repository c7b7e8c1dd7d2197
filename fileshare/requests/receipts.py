"""Receipts by e-mail, for senders of a file request who gave an address."""

import logging
from datetime import timedelta

from django.db import transaction
from django.db.models import Exists, OuterRef, Q, Subquery
from django.utils import timezone, translation
from django.utils.translation import gettext as _

from accounts.addresses import holds_web_address
from accounts.notices import mail
from config.http.throttling import is_used_up
from fileshare.models import File, ReceivedFile, RequestSender, Upload

logger = logging.getLogger(__name__)

# A receipt waits at most so long for unfinished uploads and for checksums. Then it goes out with what is known.
PATIENCE = timedelta(hours=1)
# An e-mail lists at most so many files and gives the number of the others. The receipt on the page lists all.
FILES_IN_A_LETTER = 200


def keep_checksums():
    """Copy checksums that were computed after a file arrived to its receipt. Returns how many."""
    known = File.objects.filter(pk=OuterRef("file_id")).exclude(sha256="")
    waiting = ReceivedFile.objects.filter(Exists(known), sha256="", file__isnull=False)
    return waiting.update(sha256=Subquery(known.values("sha256")[:1]))


def mail_receipts(*, limit=200):
    """Mail receipts to senders who gave an address and have sent no file for a while. Returns how many were posted.

    A receipt waits for unfinished uploads and for checksums, but not longer than PATIENCE. Several processes may run
    this at the same time; each receipt is mailed once.
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
        except Exception:  # one receipt that fails must not stop the others
            logger.exception("The receipt of sender %s was not posted", sender.pk)
    return count


@transaction.atomic
def _mail_receipt(sender):
    # If the sender sends another file meanwhile, receipt_due_at moves and this UPDATE matches no row. A later receipt
    # then includes that file.
    claimed = RequestSender.objects.filter(pk=sender.pk, receipt_due_at=sender.receipt_due_at)
    if not claimed.update(receipt_due_at=None):
        return False
    # The sender has not proved that they own the address, so limit the number of e-mails to it. The receipt's page
    # shows everything.
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
                    # The sender chose both the file's name and the address. Do not let them mail a link to a stranger.
                    "name": _("File") if holds_web_address(row.filename) else row.filename,
                    "size_bytes": row.size_bytes,
                    "sha256": row.sha256,
                    "received_at": f"{row.received_at:%Y-%m-%d %H:%M} UTC",
                }
                for row in received[:FILES_IN_A_LETTER]
            ],
        )
    return True
