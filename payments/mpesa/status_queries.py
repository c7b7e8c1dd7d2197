"""Asks M-Pesa on schedule about payments without a callback; after the last query a super has to review them."""

import logging
import time
import uuid
from datetime import timedelta

from django.core.cache import cache
from django.db import transaction
from django.utils import timezone

from payments import settling
from payments.models import PENDING, Review, Transaction, Verdict
from payments.transactions import QUERY_SCHEDULE, are_on

from . import daraja

logger = logging.getLogger(__name__)

# How long a worker has for a payment's last query before the payment goes to review.
LAST_LEASE = timedelta(minutes=2)
# Seconds that one run may take, and seconds after which another may start if the first never ended.
ASKING_SECONDS = 10
ASKING_LEASE_SECONDS = 60


def ask_due():
    """Ask M-Pesa about every due payment; send those that were asked about often enough to review.

    One run at a time, for a few seconds. It stops when Daraja does not answer; the rest is due at the next run. While
    payments are off M-Pesa cannot be asked, so due payments go to review.
    """
    mine = uuid.uuid4().hex
    if not cache.add("payments:asking", mine, ASKING_LEASE_SECONDS):
        return 0
    try:
        return _ask_due() if are_on() else _give_up_due()
    finally:
        if cache.get("payments:asking") == mine:
            cache.delete("payments:asking")


def _ask_due():
    ids = list(Transaction.objects.due().order_by("next_query_at").values_list("pk", flat=True)[:100])
    end, asked = time.monotonic() + ASKING_SECONDS, 0
    for pk in ids:
        silent = False
        try:
            with daraja.outage.passed():
                row, silent = _ask(pk)
            asked += row is not None
        except daraja.NoPlace:
            break
        except Exception:  # log it; the schedule tries again
            logger.exception("Payment %s could not be asked after", pk)
        if silent or time.monotonic() > end:
            break
    return asked


def _give_up_due():
    """Send the due payments to review."""
    ids = list(Transaction.objects.due().values_list("pk", flat=True)[:100])
    return sum(settling.try_one(_give_up, pk) for pk in ids)


@transaction.atomic
def _give_up(pk):
    row = settling.locked(pk=pk, status__in=PENDING)
    if row is not None:
        settling.hold(row, Review.NO_ANSWER if row.checkout_request_id else Review.UNKNOWN_PUSH)
    return row


def _ask(pk):
    """Ask M-Pesa about one due payment. Returns (payment, whether Daraja kept silent).

    The payment is as it is after the query; None when it is not due or another worker has it.
    """
    row = _claim(pk)
    if row is None or not row.is_pending:
        return row, False
    outcome, silent = None, False
    try:
        outcome = daraja.query(checkout_request_id=row.checkout_request_id)
    except daraja.StillPending:
        pass
    except daraja.DarajaError as error:
        logger.warning("Payment %s could not be asked after: %s", pk, error)
        silent = error.is_silence
    with transaction.atomic():
        row = settling.locked(pk=pk)
        if outcome is not None:
            if settling.apply(row, outcome) == Verdict.MISMATCH:
                logger.error("Payment %s: the query tells of another payment", pk)
        elif row.is_pending and row.queries >= len(QUERY_SCHEDULE):
            settling.hold(row, Review.NO_ANSWER)
    return row, silent


@transaction.atomic
def _claim(pk):
    """The due payment, after setting its next query, so that a second worker finds it not due.

    Sends the payment to review when the last query was made before, or when there is no id to ask about.
    """
    row = Transaction.objects.due().select_for_update(of=("self",), no_key=True).filter(pk=pk).first()
    if row is None:
        return None
    if not row.checkout_request_id:
        settling.hold(row, Review.UNKNOWN_PUSH)
    elif row.queries >= len(QUERY_SCHEDULE):
        settling.hold(row, Review.NO_ANSWER)
    else:
        row.queries += 1
        last = row.queries == len(QUERY_SCHEDULE)
        row.next_query_at = timezone.now() + LAST_LEASE if last else row.submitted_at + QUERY_SCHEDULE[row.queries]
        row.save()
    return row
