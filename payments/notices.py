"""Notices and mails to payers: how their payment ended, and when its space ends."""

import logging
from datetime import timedelta

from django.db import transaction
from django.utils import timezone

from accounts.notices import mail
from accounts.notices.notifications import notify

from .models import Status, Transaction
from .mpesa import daraja, phone_numbers

logger = logging.getLogger(__name__)

REMINDER = timedelta(days=3)


def notify_payer(row, kind="payment_settled"):
    """Notify the user who started the payment. A later notice about the same payment replaces an unread one."""
    if row.payer is not None:
        slug = {"folder_slug": row.folder.slug} if row.folder_id else {}
        notify(row.user, kind, about=str(row.pk), mail_again=True, transaction_id=str(row.pk), **_facts(row), **slug)


def tell_payer(row, kind, letter):
    """Send a notice and a mail to the payer."""
    ends = row.grant.ends_at if row.grant_id else None
    notify_payer(row, kind)
    mail.post(
        letter,
        to=row.user.email,
        user_id=str(row.user_id),
        transaction_id=str(row.pk),
        extra_bytes=row.extra_bytes,
        days=row.days,
        phone_number=phone_numbers.shown(row.phone_number),
        path=row.get_absolute_url(),
        ends_on=timezone.localtime(ends, daraja.NAIROBI).date().isoformat() if ends else "",
        **_facts(row),
    )


def _facts(row):
    return {
        "plan": row.plan_name,
        "amount": row.amount,
        "receipt": row.receipt_number,
        "status": row.status,
        "folder": row.folder_name,
    }


def remind():
    """Tell payers whose space ends within three days, and those whose space has ended; each payer once."""
    now = timezone.now()
    # Skip payers whose accounts are deactivated.
    paid = Transaction.objects.filter(status=Status.PAID, user__is_active=True)

    # Do not remind of plans as short as the reminder's period: their buyers know that they end soon.
    ending = paid.filter(
        reminded_at=None, days__gt=REMINDER.days, grant__ends_at__gt=now, grant__ends_at__lte=now + REMINDER
    )
    ended = paid.filter(ended_at=None, grant__ends_at__lte=now)
    told = 0
    for rows, field, kind in ((ending, "reminded_at", "plan_ending"), (ended, "ended_at", "plan_ended")):
        for row in rows.with_details()[:500]:
            try:
                told += _remind(row, field, kind, now)
            except Exception:  # one failure must not keep the other payers from being told
                logger.exception("Nobody could be reminded of payment %s", row.pk)
    return told


@transaction.atomic
def _remind(row, field, kind, now):
    """Tell one payer. Returns 1, or 0 if another worker has told them."""
    told = Transaction.objects.filter(pk=row.pk, **{field: None}).update(**{field: now})
    if told:
        tell_payer(row, kind, kind)
    return told
