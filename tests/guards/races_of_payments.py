"""Races of two calls about payments."""

import json

from django.utils import timezone

from fileshare.models import QuotaGrant
from payments import notices
from payments.bookkeeping import reviews
from payments.models import CallbackRecord, Transaction
from payments.mpesa import callback_records, status_queries
from tests.factories import FolderFactory, UserFactory
from tests.guards.cases import loses, waits
from tests.guards.rows import EARLY, a_super, complete, text
from tests.payments.daraja import callback


def submitted(**facts):
    """A payment that was pushed to its phone just now."""
    return complete(
        Transaction,
        user=UserFactory(),
        folder=FolderFactory(),
        status="submitted",
        submitted_at=timezone.now(),
        next_query_at=EARLY,
        checkout_request_id=f"ws_CO_{text()}",
        merchant_request_id="1-2-3",
        **facts,
    )


def paid_callback(row):
    return json.dumps(callback(row, receipt=text()[:10].upper()))


@waits("payments.mpesa.callback_records.process_callback", "applied", None)
def a_callback():
    kept = callback_records.receive_callback(raw=paid_callback(submitted()).encode())
    return lambda: callback_records.process_callback(kept.pk)


@waits("payments.mpesa.callback_records._report_stray", "CallbackRecord", None)
def a_callback_of_no_payment():
    kept = complete(CallbackRecord, raw=paid_callback(submitted()), verdict="unmatched")
    return lambda: callback_records._report_stray(kept.pk)


@waits("payments.mpesa.status_queries._claim", "Transaction", None)
def a_payment_is_asked_after():
    row = submitted()
    return lambda: status_queries._claim(row.pk)


@waits("payments.settling.locked", "Transaction", None)
def a_payment_is_given_up():
    row = submitted()
    return lambda: status_queries._give_up(row.pk)


@waits("payments.bookkeeping.reviews.decide", "Transaction", "Conflict")
def a_payment_is_decided_on():
    boss, row = a_super(), complete(Transaction, user=UserFactory(), status="needs_review", review_reason="mismatch")
    return lambda: reviews.decide(user=boss, transaction_id=row.pk, approve=False)


@loses("payments.notices._remind", 0, 1)
def a_reminder():
    grant = complete(QuotaGrant)
    row = complete(Transaction, user=UserFactory(), folder=grant.folder, status="paid", paid_at=EARLY, grant=grant)
    return lambda: notices._remind(row, "ended_at", "plan_ended", timezone.now())
