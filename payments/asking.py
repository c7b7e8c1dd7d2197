"""Asking M-Pesa after payments nobody called about, on schedule; given up after the last question."""

import logging
import time
import uuid
from datetime import timedelta

from django.core.cache import cache
from django.db import transaction
from django.utils import timezone

from . import daraja, settling
from .models import PENDING, Review, Transaction, Verdict
from .transactions import QUERY_SCHEDULE, are_on

logger = logging.getLogger(__name__)

# What a worker that took a payment for its last question has until the payment is given up.
LAST_LEASE = timedelta(minutes=2)
# One run of asking after payments: its time, and when another may begin though this one never ended.
ASKING_SECONDS = 10
ASKING_LEASE_SECONDS = 60


def ask_due():
    """Ask M-Pesa after every payment whose time has come; give up those that were asked often enough.

    One run at a time, for a few seconds, and no longer than Daraja answers: what is left is due the next time.
    Where payments are switched off nobody can be asked, and a person looks.
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
        except Exception:  # what fails here is tried again by the schedule, and told
            logger.exception("Payment %s could not be asked after", pk)
        if silent or time.monotonic() > end:
            break
    return asked


def _give_up_due():
    """Leave what is due to a person."""
    ids = list(Transaction.objects.due().values_list("pk", flat=True)[:100])
    return sum(settling.try_one(_give_up, pk) for pk in ids)


@transaction.atomic
def _give_up(pk):
    row = settling.locked(pk=pk, status__in=PENDING)
    if row is not None:
        settling.hold(row, Review.NO_ANSWER if row.checkout_request_id else Review.UNKNOWN_PUSH)
    return row


def _ask(pk):
    """Ask after one payment that is due. (It as it is then, None when it is not due or another has it; whether Daraja
    kept silent.)"""
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
    """The due payment, its next question set: whoever comes second finds it not due. Given up when it was the last."""
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
