"""Starting a payment: who may buy what for which folder, and the push that asks the phone.

A payment is a row before anything leaves the portal. How it goes on is elsewhere: `callback_records` hears of it,
`asking` asks after it, `settling` ends it, `reviews` lets a person decide, `notices` tells its payer.
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
from audit.models import Action
from config.access import get_allowed
from config.errors import Conflict, Invalid, Refused
from config.queue import send_after_commit
from fileshare import folders
from fileshare.models import Folder

from . import daraja, phone_numbers, results, settling
from .models import CallbackRecord, Plan, Review, Status, Transaction, Verdict

logger = logging.getLogger(__name__)

# So long after the push a payment is asked after; then a person has to look.
QUERY_SCHEDULE = tuple(timedelta(seconds=seconds) for seconds in (30, 60, 120, 300, 900, 3600))
PUSH_INTERVAL = timedelta(minutes=1)


class PaymentPending(Refused):
    """409: a payment of this phone is under way. `transaction_id` when it is the caller's own."""

    def __init__(self, transaction_id=None):
        self.transaction_id = transaction_id
        super().__init__(
            409,
            "payment_pending",
            _("A payment from this number is still under way. Finish it on the phone first."),
            errors={"transaction_id": [str(transaction_id)]} if transaction_id else None,
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
    """503: M-Pesa does not take the request now; nothing was asked of the phone."""

    def __init__(self):
        super().__init__(
            503,
            "mpesa_unavailable",
            _("M-Pesa cannot be reached at the moment. Nothing was charged; try again in a few minutes."),
            retry_after=60,
        )


def are_on():
    """Whether this portal takes payments at all."""
    return settings.MPESA_ENV != "off"


def start(*, user, phone_number, plan_id, folder_id=None):
    """Ask a phone to pay for a plan, for a folder or the user's personal one. Returns the Transaction.

    The row is committed before the request leaves; of a push whose answer got lost the row stays
    `created`, and nothing here ever pushes it again. While Daraja does not answer, or enough others wait
    for it, there is no row at all. Raises Invalid (400), Http404 or PermissionDenied for the folder,
    PaymentPending and PaymentsOff (409), TooSoon (429), PaymentsUnavailable (503).
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
        # Whatever goes wrong here, nothing was asked of the phone yet.
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
            # By its id, the query finds out.
            return _accepted(row.pk, error.pushed)
        row.refresh_from_db()
        return row
    return _accepted(row.pk, pushed)


def callback_url(row):
    """Where M-Pesa tells how `row` ended. Names the payment, for the case that the push's answer gets lost."""
    path = reverse("api-payment-callback", args=[settings.MPESA_CALLBACK_SECRET])
    return f"{settings.MPESA_CALLBACK_URL}{path}?ref={row.pk.hex}"


def plan_on_sale(plan_id):
    """The Plan of that id. Raises Invalid (400) when it is none, or not on sale."""
    try:
        return Plan.objects.on_sale().get(pk=uuid.UUID(str(plan_id)))
    except (ValueError, Plan.DoesNotExist):
        raise Invalid("plan_id", _("There is no such plan.")) from None


def folder_to_raise(*, user, folder_id=None):
    """The Folder `user` may buy space for; their personal one without an id. Raises Http404 or PermissionDenied."""
    if folder_id is None:
        return folders.personal_folder(user)
    return get_allowed(folder_id, visible=Folder.objects.visible_to(user), allowed=Folder.objects.raisable_by(user))


@transaction.atomic
def _begin(*, user, phone_number, plan_id, folder_id):
    """The committed row of a payment to come. The database lets one phone have one pending payment."""
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

    Asked after the insert: of two at once, the second has waited for the first to commit by then.
    """
    if not settings.RATELIMIT_ENABLE:
        return
    recent = Transaction.objects.filter(
        phone_number=row.phone_number, created_at__gt=timezone.now() - PUSH_INTERVAL
    ).exclude(pk=row.pk)
    # What Daraja refused never reached the phone.
    last = recent.exclude(status=Status.FAILED, checkout_request_id="").order_by("-created_at").first()
    if last is not None:
        left = last.created_at + PUSH_INTERVAL - timezone.now()
        raise TooSoon(max(1, int(left.total_seconds()) + 1))


def _refused(row, refusal):
    """Close a payment that never reached the phone; returns the Refused that tells its payer why."""
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
        return Conflict(f"{busy.title}. {busy.advice}", code="phone_busy")
    if refusal.is_passing:
        logger.warning("Payment %s was not taken: %s", row.pk, refusal)
    else:
        logger.error("Payment %s was refused; look at the MPESA_ settings: %s", row.pk, refusal)
    return PaymentsUnavailable()


@transaction.atomic
def _accepted(pk, pushed):
    """Keep the ids of a push that went out, and look at what its callback may have said already."""
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
        # An id that another payment has: whose money comes is a question for a person.
        row = settling.locked(pk=pk)
        settling.hold(row, Review.MISMATCH)
        return row
    for record_id in CallbackRecord.objects.filter(
        verdict=Verdict.UNMATCHED, checkout_request_id=row.checkout_request_id
    ).values_list("pk", flat=True):
        send_after_commit("payments.tasks.process_callback", record_id=str(record_id))
    return row
