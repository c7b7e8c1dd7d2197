"""M-Pesa's callbacks: stored as they came, processed once, reported if they match no payment, deleted when old."""

import logging
import uuid
from contextlib import suppress
from datetime import timedelta

from django.core.cache import cache
from django.db import transaction
from django.db.models import Exists, OuterRef
from django.utils import timezone
from redis.exceptions import RedisError

from audit.log import record
from config.http.throttling import network_of
from config.outside.queue import send_after_commit
from payments import settling
from payments.contributions.actions import Action
from payments.models import MAX_CALLBACK_BYTES, CallbackRecord, Transaction, Verdict

from . import callbacks

logger = logging.getLogger(__name__)

# A callback may arrive before the push's answer, which takes seconds. For EARLY it can still find its payment. A "paid"
# callback without a payment is reported after STRAY_AFTER.
EARLY = timedelta(hours=6)
STRAY_AFTER = timedelta(minutes=10)


def receive_callback(*, raw, reference="", address=None):
    """Store the body of an authentic callback (bytes) as it came; a task processes it after the commit.

    Returns the CallbackRecord. A body longer than MAX_CALLBACK_BYTES is cut off and marked as garbage.
    """
    with transaction.atomic():
        kept = CallbackRecord.objects.create(
            # PostgreSQL stores no NUL in a text.
            raw=raw[:MAX_CALLBACK_BYTES].decode("utf-8", "replace").replace("\x00", "�"),
            reference=_plain_reference(reference),
            address=address,
            verdict=Verdict.GARBAGE if len(raw) > MAX_CALLBACK_BYTES else Verdict.RECEIVED,
            processed_at=timezone.now() if len(raw) > MAX_CALLBACK_BYTES else None,
        )
        if kept.verdict == Verdict.RECEIVED:
            send_after_commit("payments.tasks.process_callback", record_id=str(kept.pk))
    return kept


def refuse_callback(*, raw, address=None):
    """Store the beginning of a body that came without the secret; it changes no payment.

    The log gets one row per network and hour, and none without a cache to count them.
    """
    is_first = False
    with suppress(RedisError):
        is_first = cache.add(f"callback-refused:{network_of(address)}", "1", 3600)
    with transaction.atomic():
        kept = CallbackRecord.objects.create(
            raw=raw[:1024].decode("utf-8", "replace").replace("\x00", "�"),
            address=address,
            verdict=Verdict.REFUSED,
            processed_at=timezone.now(),
        )
        if is_first:
            record(Action.PAYMENT_CALLBACK_REFUSED, target=kept)
    return kept


def _plain_reference(text):
    try:
        return uuid.UUID(text).hex
    except (ValueError, AttributeError, TypeError):
        return ""


@transaction.atomic
def process_callback(record_id):
    """Process a stored callback once; two workers take turns. Returns its Verdict, or None if already processed."""
    kept = (
        CallbackRecord.objects.select_for_update(of=("self",), no_key=True)
        .filter(pk=record_id, verdict__in=[Verdict.RECEIVED, Verdict.UNMATCHED])
        .first()
    )
    if kept is None:
        return None
    try:
        outcome = callbacks.parse(kept.raw)
    except callbacks.NotACallback:
        return _close(kept, Verdict.GARBAGE)
    kept.checkout_request_id = outcome.checkout_request_id
    row = _row_of(outcome, kept.reference)
    if row is None:
        return _close(kept, Verdict.UNMATCHED)
    kept.transaction = row
    return _close(kept, settling.apply(row, outcome))


def _close(kept, verdict):
    kept.verdict, kept.processed_at = verdict, timezone.now()
    kept.save()
    if verdict == Verdict.MISMATCH:
        logger.error("Callback %s does not agree with payment %s", kept.pk, kept.transaction_id)
        record(Action.PAYMENT_CALLBACK_REFUSED, target=kept.transaction, callback=str(kept.pk), verdict=verdict)
    return verdict


def _row_of(outcome, reference):
    """The locked payment of a callback, or None: found by its checkout id, else by its reference.

    A payment whose push was never answered takes over the callback's ids. A payment with another id does not agree with
    the callback; `settling.apply` finds that.
    """
    row = settling.locked(checkout_request_id=outcome.checkout_request_id)
    if row is None and reference:
        row = settling.locked(pk=reference)
        if row is not None and not row.checkout_request_id:
            row.checkout_request_id = outcome.checkout_request_id
            row.merchant_request_id = outcome.merchant_request_id
    return row


def process_waiting():
    """Process callbacks left by lost tasks or killed workers, and those that came before their payment had an id."""
    known = Transaction.objects.filter(checkout_request_id=OuterRef("checkout_request_id"))
    waiting = CallbackRecord.objects.filter(verdict=Verdict.RECEIVED)
    early = CallbackRecord.objects.filter(verdict=Verdict.UNMATCHED, received_at__gt=timezone.now() - EARLY)
    early = early.filter(Exists(known))
    ids = [
        pk for rows in (waiting, early) for pk in rows.order_by("received_at", "pk").values_list("pk", flat=True)[:200]
    ]
    return sum(settling.try_one(process_callback, pk) for pk in ids)


def report_strays():
    """Report "paid" callbacks that match no payment. Returns how many there were."""
    unmatched = CallbackRecord.objects.filter(verdict=Verdict.UNMATCHED)
    old = unmatched.filter(received_at__lte=timezone.now() - STRAY_AFTER)
    ids = list(old.order_by("received_at", "pk").values_list("pk", flat=True)[:200])
    return sum(settling.try_one(_report_stray, pk) for pk in ids)


@transaction.atomic
def _report_stray(pk):
    kept = (
        CallbackRecord.objects.select_for_update(of=("self",), no_key=True)
        .filter(pk=pk, verdict=Verdict.UNMATCHED)
        .first()
    )
    if kept is None:
        return None
    if not callbacks.parse(kept.raw).is_paid:
        kept.verdict = Verdict.REPEATED
        kept.save(update_fields=["verdict"])
        return None
    kept.verdict = Verdict.STRAY
    kept.save(update_fields=["verdict"])
    logger.error("Callback %s says that somebody paid, and belongs to no payment", kept.pk)
    record(Action.PAYMENT_CALLBACK_REFUSED, target=kept, verdict=kept.verdict)
    return kept


def strays():
    """Reported callbacks of the last thirty days for a super to review, newest first; at most 20."""
    recent = timezone.now() - timedelta(days=30)
    rows = CallbackRecord.objects.filter(verdict=Verdict.STRAY, received_at__gt=recent)
    return rows.order_by("-received_at", "-pk")[:20]


def forget_old_callbacks():
    """Delete refused, unreadable and unmatched callbacks after thirty days.

    Keeps callbacks that belong to a payment, and those that say "paid".
    """
    old = CallbackRecord.objects.filter(received_at__lt=timezone.now() - timedelta(days=30))
    gone = [Verdict.REFUSED, Verdict.GARBAGE, Verdict.UNMATCHED, Verdict.REPEATED]
    return old.filter(verdict__in=gone, transaction=None).delete()[0]
