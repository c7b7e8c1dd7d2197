"""Ends a payment while its row is locked: credits it once, closes it without money, or sends it to review.

Every answer of M-Pesa, by callback or query, becomes an Outcome and goes through `apply`. Only `pay` makes a payment
paid, together with the space it bought.
"""

import logging
from datetime import timedelta

from django.db import IntegrityError, transaction
from django.utils import timezone

from audit.log import record
from fileshare.space import grants
from payments.contributions.actions import Action

from . import notices
from .models import SILENT_REVIEWS, Review, Status, Transaction, Verdict
from .mpesa import callbacks, results

logger = logging.getLogger(__name__)


def locked(**which):
    """The Transaction with these values, locked until the transaction ends; or None."""
    return Transaction.objects.select_for_update(of=("self",), no_key=True).filter(**which).first()


def apply(row, outcome):
    """End the locked payment `row` as `outcome` says, if allowed. Returns the Verdict on the outcome.

    Paid is final. A payment that failed, was cancelled or timed out is still credited when M-Pesa later says that it
    was paid. An outcome that disagrees with the payment is never credited; a super reviews it.
    """
    agrees = _agrees(row, outcome)
    if outcome.result_code in results.PENDING_CODES:
        return Verdict.REPEATED
    if row.status == Status.PAID:
        return _repeat(row, outcome, agrees)
    if outcome.is_paid:
        if _was_judged(row, outcome):
            return Verdict.REPEATED
        if row.status == Status.NEEDS_REVIEW and row.review_reason not in SILENT_REVIEWS:
            return Verdict.REPEATED if agrees else Verdict.MISMATCH
        if not agrees:
            hold(row, Review.MISMATCH)
            return Verdict.MISMATCH
        if row.reviewed_at is not None:
            hold(row, Review.AFTER_REJECTION)
            return Verdict.APPLIED
        return _credit(row, outcome)
    if not agrees:
        return Verdict.MISMATCH
    if not (row.is_pending or (row.status == Status.NEEDS_REVIEW and row.review_reason in SILENT_REVIEWS)):
        return Verdict.REPEATED
    row.status, row.review_reason, row.next_query_at = results.result_of(outcome.result_code).status, "", None
    row.result_code, row.result_desc = outcome.result_code, outcome.result_desc
    row.save()
    record_settled(row)
    notices.notify_payer(row)
    return Verdict.APPLIED


def _was_judged(row, outcome):
    """True when the super who rejected the payment had the same outcome before them."""
    if row.reviewed_at is None:
        return False
    told = row.callbacks.filter(processed_at__lte=row.reviewed_at).order_by("-received_at")
    return any(callbacks.said(raw) == outcome for raw in told.values_list("raw", flat=True)[:100])


def _agrees(row, outcome):
    """True when the outcome's ids and amount, as far as it has them, are those of the payment.

    The phone number is left out: M-Pesa masks it.
    """
    if row.checkout_request_id != outcome.checkout_request_id:
        return False
    if row.merchant_request_id and row.merchant_request_id != outcome.merchant_request_id:
        return False
    if not (outcome.is_paid and outcome.metadata):
        return True
    return outcome.amount == row.amount and bool(outcome.receipt_number)


def _repeat(row, outcome, agrees):
    """Process a further outcome of a paid payment: add the receipt if a query credited it without one."""
    if not agrees:
        return Verdict.MISMATCH
    if not outcome.is_paid or not outcome.receipt_number or outcome.receipt_number == row.receipt_number:
        return Verdict.REPEATED
    if row.receipt_number:
        return Verdict.MISMATCH
    row.receipt_number = outcome.receipt_number
    try:
        with transaction.atomic():
            row.save()
    except IntegrityError:
        return Verdict.MISMATCH
    return Verdict.APPLIED


def _credit(row, outcome):
    """Mark the payment paid and give its space, in one transaction. Returns the Verdict."""
    if row.folder_id is None:
        hold(row, Review.NO_FOLDER)
        return Verdict.APPLIED
    try:
        with transaction.atomic():
            pay(row, receipt_number=outcome.receipt_number, code=outcome.result_code, words=outcome.result_desc)
    except IntegrityError:
        if not is_taken(outcome.receipt_number, row):
            raise
        # Another payment has this receipt: one M-Pesa message must not pay for two.
        row.refresh_from_db()
        row.checkout_request_id = row.checkout_request_id or outcome.checkout_request_id
        hold(row, Review.RECEIPT_USED)
        return Verdict.MISMATCH
    return Verdict.APPLIED


def is_taken(receipt_number, row):
    """True when a payment other than `row` has this receipt."""
    others = Transaction.objects.exclude(pk=row.pk)
    return bool(receipt_number) and others.filter(receipt_number=receipt_number).exists()


def pay(row, *, receipt_number, code, words, user=None):
    """Mark the locked payment paid, give its space and tell its payer. `code` and `words` are M-Pesa's result.

    `user` is the super who decided it, None for M-Pesa. Call it in a savepoint: it raises IntegrityError for another
    payment's receipt (`is_taken`), and when the space cannot be given.
    """
    now = timezone.now()
    row.status, row.paid_at, row.review_reason, row.next_query_at = Status.PAID, now, "", None
    row.receipt_number, row.result_code, row.result_desc = receipt_number, code, words
    row.grant = grants.give(
        folder=row.folder,
        extra_bytes=row.extra_bytes,
        starts_at=now,
        ends_at=now + timedelta(days=row.days),
        source=row.grant_source,
        user=user,
    )
    row.save()
    record_settled(row, user=user)
    if row.payer is not None:
        notices.tell_payer(row, "payment_settled", "payment_receipt")


def hold(row, reason):
    """Send the locked payment to review, for a Review reason."""
    row.status, row.review_reason, row.next_query_at = Status.NEEDS_REVIEW, reason, None
    row.save()
    logger.warning("Payment %s needs somebody to look at it: %s", row.pk, reason)
    record_settled(row)
    notices.notify_payer(row)


def record_settled(row, user=None):
    """Record in the log the payment's present state; `user` is the super who decided it, None for M-Pesa."""
    record(
        Action.PAYMENT_SETTLED,
        user=user,
        target=row,
        folder=row.folder,
        status=row.status,
        amount=row.amount,
        plan=row.plan_name,
        receipt=row.receipt_number,
        result_code=row.result_code,
        **({"reason": row.review_reason} if row.review_reason else {}),
    )


def try_one(act, pk):
    """True when `act(pk)` did something. Logs an exception, so that one failure does not stop the others."""
    try:
        return act(pk) is not None
    except Exception:  # log it; the schedule tries again
        logger.exception("%s of %s failed", act.__name__, pk)
        return False
