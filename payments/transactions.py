"""Starts a payment: which user may buy what for which folder, and the push that asks the phone.

The payment's row is committed before any request leaves the portal. Other modules continue: `callback_records` handles
M-Pesa's callbacks, `status_queries` asks M-Pesa, `settling` ends the payment, `reviews` lets a super decide, `notices`
tells the payer.
"""

import logging
import uuid
from datetime import timedelta

from django.conf import settings
from django.db import IntegrityError, transaction
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from audit.log import record
from config.access import get_allowed
from config.errors import Conflict, Invalid, Refused
from config.outside.queue import send_after_commit
from fileshare import folders
from fileshare.models import Folder
from payments.contributions.actions import Action

from . import settling
from .models import CallbackRecord, Plan, Review, Status, Transaction, Verdict
from .mpesa import daraja, phone_numbers, results

logger = logging.getLogger(__name__)

# When M-Pesa is asked about a payment, counted from the push; after the last query it goes to review.
QUERY_SCHEDULE = tuple(timedelta(seconds=seconds) for seconds in (30, 60, 120, 300, 900, 3600))
PUSH_INTERVAL = timedelta(minutes=1)


class PaymentPending(Refused):
    """409: a payment from this phone is pending. `transaction_id` is set when it is the caller's own."""

    def __init__(self, transaction_id=None):
        self.transaction_id = transaction_id
        super().__init__(
            409,
            "payment_pending",
            _("A payment from this number is still under way. Finish it on the phone first."),
            errors={"transaction_id": [str(transaction_id)]} if transaction_id else None,
            retry_after=QUERY_SCHEDULE[0].total_seconds(),
        )


class TooSoon(Refused):
    """429: one push per phone per minute."""

    def __init__(self, seconds):
        super().__init__(
            429,
            "push_too_soon",
            _("This number was asked a moment ago. Try again in %(seconds)d seconds.") % {"seconds": seconds},
            retry_after=seconds,
        )


class PaymentsOff(Conflict):
    """409: this portal takes no payments."""

    def __init__(self):
        super().__init__(_("This portal does not take payments."), code="payments_off")


class PaymentsUnavailable(Refused):
    """503: M-Pesa does not accept the request now; the phone was not asked."""

    def __init__(self):
        super().__init__(
            503,
            "mpesa_unavailable",
            _("M-Pesa cannot be reached at the moment. Nothing was charged; try again in a few minutes."),
            retry_after=60,
        )


def are_on():
    """True when this portal takes payments."""
    return settings.MPESA_ENV != "off"


def start(*, user, phone_number, plan_id, folder_id=None):
    """Ask a phone to pay for a plan, for a folder or for the user's personal one. Returns the Transaction.

    The row is committed before the request is sent. If the push's answer is lost, the row stays `created`, and this
    code never repeats the push. No row is created while Daraja does not answer or too many threads wait for it. Raises
    Invalid (400), Http404 or PermissionDenied for the folder, PaymentPending and PaymentsOff (409), TooSoon (429),
    PaymentsUnavailable (503).
    """
    if not are_on():
        raise PaymentsOff
    phone_number = phone_numbers.normalise(phone_number)
    try:
        with daraja.place():
            return _start(user=user, phone_number=phone_number, plan_id=plan_id, folder_id=folder_id)
    except daraja.NoPlace as refusal:
        pending = Transaction.objects.pending().filter(phone_number=phone_number).first()
        if pending is not None:
            raise PaymentPending(pending.pk if pending.user_id == user.pk else None) from None
        logger.warning("A payment was not begun: %s", refusal)
        raise PaymentsUnavailable from None


def _start(*, user, phone_number, plan_id, folder_id):
    row = _begin(user=user, phone_number=phone_number, plan_id=plan_id, folder_id=folder_id)
    until = daraja.deadline()
    try:
        # If this fails, the phone has not been asked.
        daraja.access_token(until=until)
    except daraja.Refusal as refusal:
        raise _refused(row, refusal) from None
    except Exception:
        _refused(row, daraja.Refusal("no_token"))
        raise
    try:
        pushed = daraja.push(
            phone_number=row.phone_number,
            amount=row.amount,
            reference=row.pk.hex[: daraja.ACCOUNT_REFERENCE_LENGTH].upper(),
            description=row.plan_name,
            callback_url=callback_url(row),
            until=until,
        )
    except daraja.Refusal as refusal:
        raise _refused(row, refusal) from None
    except daraja.Unclear as error:
        logger.warning("Payment %s: nobody knows whether the phone was asked (%s)", row.pk, error)
        if error.pushed is not None:
            # A query with this id will find out.
            return _accepted(row.pk, error.pushed)
        row.refresh_from_db()
        return row
    return _accepted(row.pk, pushed)


def callback_url(row):
    """The address for M-Pesa's callback about `row`. Holds the payment's id, in case the push's answer is lost."""
    path = reverse("api-payment-callback", args=[settings.MPESA_CALLBACK_SECRET])
    return f"{settings.MPESA_CALLBACK_URL}{path}?ref={row.pk.hex}"


def plan_on_sale(plan_id):
    """The Plan of that id. Raises Invalid (400) when it is unknown or not on sale."""
    try:
        return Plan.objects.on_sale().get(pk=uuid.UUID(str(plan_id)))
    except (ValueError, Plan.DoesNotExist):
        raise Invalid("plan_id", _("There is no such plan.")) from None


def folder_to_raise(*, user, folder_id=None):
    """The Folder that `user` may buy space for, by default the personal one. Raises Http404, PermissionDenied."""
    if folder_id is None:
        return folders.personal_folder(user)
    return get_allowed(folder_id, visible=Folder.objects.visible_to(user), allowed=Folder.objects.raisable_by(user))


# Durable: a push asks for money, so its row must not be rolled back with an outer transaction.
@transaction.atomic(durable=True)
def _begin(*, user, phone_number, plan_id, folder_id):
    """Commit the row of a new payment. A database constraint allows one pending payment per phone."""
    plan = plan_on_sale(plan_id)
    folder = folder_to_raise(user=user, folder_id=folder_id)
    row = Transaction(
        user=user,
        plan=plan,
        plan_name=plan.name,
        amount=plan.amount,
        extra_bytes=plan.extra_bytes,
        days=plan.days,
        folder=folder,
        folder_name=folder.name,
        phone_number=phone_number,
        next_query_at=timezone.now() + QUERY_SCHEDULE[-1],
    )
    try:
        with transaction.atomic():
            row.save(force_insert=True)
    except IntegrityError:
        pending = Transaction.objects.pending().filter(phone_number=phone_number).first()
        raise PaymentPending(pending.pk if pending and pending.user_id == user.pk else None) from None
    _assert_not_too_soon(row)
    record(
        Action.PAYMENT_STARTED,
        user=user,
        target=row,
        folder=folder,
        plan=row.plan_name,
        amount=row.amount,
        phone_number=phone_number,
    )
    return row


def _assert_not_too_soon(row):
    """Raise TooSoon when this phone was pushed within the last minute.

    Called after the insert: of two payments at once, the second has then waited for the first to commit.
    """
    if not settings.RATELIMIT_ENABLE:
        return
    recent = Transaction.objects.filter(
        phone_number=row.phone_number, created_at__gt=timezone.now() - PUSH_INTERVAL
    ).exclude(pk=row.pk)
    # A push that Daraja refused never reached the phone, so it does not count.
    last = recent.exclude(status=Status.FAILED, checkout_request_id="").order_by("-created_at").first()
    if last is not None:
        left = last.created_at + PUSH_INTERVAL - timezone.now()
        raise TooSoon(max(1, int(left.total_seconds()) + 1))


def _refused(row, refusal):
    """Close a payment that never reached the phone. Returns the Refused that tells the payer why."""
    with transaction.atomic():
        row = settling.locked(pk=row.pk)
        if row.status == Status.CREATED and not row.checkout_request_id:
            row.status, row.next_query_at = Status.FAILED, None
            row.result_code, row.result_desc = refusal.code[:30], refusal.message[:300]
            row.save()
            settling.record_settled(row)
    said = refusal.message.lower()
    if refusal.code.startswith("400.") and "phone" in said:
        return Invalid("phone_number", _("M-Pesa does not know this number."))
    if refusal.code == daraja.BUSY_CODE and ("lock" in said or "in process" in said):
        busy = results.result_of("1001")
        return Conflict(f"{busy.title}. {busy.advice}", code="phone_busy", retry_after=PUSH_INTERVAL.total_seconds())
    if refusal.is_passing:
        logger.warning("Payment %s was not taken: %s", row.pk, refusal)
    else:
        logger.error("Payment %s was refused; look at the MPESA_ settings: %s", row.pk, refusal)
    return PaymentsUnavailable()


@transaction.atomic
def _accepted(pk, pushed):
    """Store the ids of an accepted push, and process callbacks that came before them."""
    row = settling.locked(pk=pk)
    if not row.checkout_request_id:
        row.checkout_request_id, row.merchant_request_id = pushed.checkout_request_id, pushed.merchant_request_id
    elif row.checkout_request_id != pushed.checkout_request_id:
        logger.error("Payment %s: the push was answered with another id than its callback had", pk)
    row.customer_message = pushed.customer_message[:300]
    if row.status == Status.CREATED:
        row.status, row.submitted_at = Status.SUBMITTED, timezone.now()
        row.next_query_at = row.submitted_at + QUERY_SCHEDULE[0]
    try:
        with transaction.atomic():
            row.save()
    except IntegrityError:
        # Another payment has this id: a super must find out to which the money belongs.
        row = settling.locked(pk=pk)
        settling.hold(row, Review.MISMATCH)
        return row
    for record_id in CallbackRecord.objects.filter(
        verdict=Verdict.UNMATCHED, checkout_request_id=row.checkout_request_id
    ).values_list("pk", flat=True):
        send_after_commit("payments.tasks.process_callback", record_id=str(record_id))
    return row
