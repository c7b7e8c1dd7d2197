"""Rows of plans and payments.

Only payments.transactions, .settling and .reviews change a payment's state, and only with its row locked.
"""

import uuid

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import number_format
from django.utils.translation import gettext_lazy as _

from fileshare.models import Folder, QuotaGrant

CURRENCY = "KES"
# M-Pesa's limits for one payment, in whole shillings.
MIN_AMOUNT, MAX_AMOUNT = 1, 250_000
MAX_DAYS = 3_650
MAX_EXTRA_BYTES = 2**50
# A callback is a few hundred bytes; a larger body is not from M-Pesa.
MAX_CALLBACK_BYTES = 64 * 1024


def money(amount):
    """KES 1,200"""
    return f"{CURRENCY} {number_format(amount, force_grouping=True)}"


class PlanQuerySet(models.QuerySet):
    """Plans."""

    def on_sale(self):
        """The plans that payers may choose."""
        return self.filter(is_active=True)


class Plan(models.Model):
    """`extra_bytes` of space for `days`, at `amount` whole shillings. A payment keeps a copy of the plan's terms."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(_("name"), max_length=60)
    amount = models.PositiveIntegerField(
        _("price in KES"), validators=[MinValueValidator(MIN_AMOUNT), MaxValueValidator(MAX_AMOUNT)]
    )
    extra_bytes = models.BigIntegerField(
        _("bytes"), validators=[MinValueValidator(1), MaxValueValidator(MAX_EXTRA_BYTES)]
    )
    days = models.PositiveIntegerField(_("days"), validators=[MinValueValidator(1), MaxValueValidator(MAX_DAYS)])
    is_active = models.BooleanField(_("on sale"), default=True)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = PlanQuerySet.as_manager()

    class Meta:
        ordering = ["amount", "id"]
        constraints = [
            models.CheckConstraint(condition=Q(amount__gte=MIN_AMOUNT, amount__lte=MAX_AMOUNT), name="plan_amount"),
            models.CheckConstraint(condition=Q(extra_bytes__gt=0, extra_bytes__lte=MAX_EXTRA_BYTES), name="plan_bytes"),
            models.CheckConstraint(condition=Q(days__gte=1, days__lte=MAX_DAYS), name="plan_days"),
        ]

    def __str__(self):
        return self.name

    @property
    def money(self):
        """The price as users read it."""
        return money(self.amount)

    @property
    def currency(self):
        """The currency: KES for all plans."""
        return CURRENCY


class Status(models.TextChoices):
    """A payment's state. CREATED: unknown whether M-Pesa asked the phone; SUBMITTED: M-Pesa asked it."""

    CREATED = "created", _("Waiting for M-Pesa")
    SUBMITTED = "submitted", _("Waiting for the phone")
    PAID = "paid", _("Paid")
    FAILED = "failed", _("Not paid")
    CANCELLED = "cancelled", _("Cancelled")
    TIMED_OUT = "timed_out", _("No answer")
    NEEDS_REVIEW = "needs_review", _("Being checked")


PENDING = (Status.CREATED, Status.SUBMITTED)


class Review(models.TextChoices):
    """Why a super has to review a payment."""

    NO_ANSWER = "no_answer", _("M-Pesa never said how it ended")
    UNKNOWN_PUSH = "unknown_push", _("Nobody knows whether the phone was asked")
    MISMATCH = "mismatch", _("Amount or ids are not those of the payment")
    RECEIPT_USED = "receipt_used", _("The receipt belongs to another payment")
    NO_FOLDER = "no_folder", _("The folder is gone")
    AFTER_REJECTION = "after_rejection", _("Paid after it was rejected")


# With these reasons a later answer of M-Pesa still credits the payment. With the others it waits for a super.
SILENT_REVIEWS = (Review.NO_ANSWER, Review.UNKNOWN_PUSH)


class TransactionQuerySet(models.QuerySet):
    """Payments: which a user sees, and which are due for a query."""

    def visible_to(self, user):
        """The user's own payments; for a super all payments."""
        if not user.is_active:
            return self.none()
        return self.all() if user.is_superuser else self.filter(user=user)

    def reviewable_by(self, user):
        """The payments `user` may decide on: all that wait for review for a super, none for other users."""
        return self.visible_to(user).filter(status=Status.NEEDS_REVIEW) if user.is_superuser else self.none()

    def pending(self):
        """Payments whose end is still unknown."""
        return self.filter(status__in=PENDING)

    def due(self):
        """Pending payments to ask M-Pesa about now."""
        return self.pending().filter(next_query_at__lte=timezone.now())

    def matching(self, *, status="", phone_number="", user_email="", receipt_number="", start=None, end=None):
        """Payments that pass every given filter; `start` and `end` are aware datetimes, end exclusive."""
        rows = self
        if status:
            rows = rows.pending() if status == "pending" else rows.filter(status=status)
        if phone_number:
            rows = rows.filter(phone_number=phone_number)
        if user_email:
            rows = rows.filter(user__email=user_email.strip().lower())
        if receipt_number:
            rows = rows.filter(receipt_number=receipt_number.strip().upper())
        if start:
            rows = rows.filter(created_at__gte=start)
        if end:
            rows = rows.filter(created_at__lt=end)
        return rows

    def with_details(self):
        """Joins the rows that a list shows, in one query."""
        return self.select_related("plan", "user", "folder", "grant")


class Transaction(models.Model):
    """One payment: created → submitted → paid, failed, cancelled, timed_out or needs_review.

    `paid` is final, and is set in the transaction that creates `grant`. Plan and folder are copied, so that a receipt
    stays correct when they change or are deleted. `next_query_at` is when to ask M-Pesa about it next. Empty strings
    stand for values that are not known yet.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="payments", db_index=False
    )
    plan = models.ForeignKey(Plan, on_delete=models.PROTECT, related_name="+", db_index=False)
    plan_name = models.CharField(max_length=60)
    amount = models.PositiveIntegerField()
    extra_bytes = models.BigIntegerField()
    days = models.PositiveIntegerField()
    folder = models.ForeignKey(Folder, on_delete=models.SET_NULL, null=True, related_name="payments")
    folder_name = models.CharField(max_length=200)
    phone_number = models.CharField(max_length=12)
    status = models.CharField(max_length=20, choices=Status.choices, default=Status.CREATED)
    merchant_request_id = models.CharField(max_length=100, blank=True)
    checkout_request_id = models.CharField(max_length=100, blank=True)
    customer_message = models.CharField(max_length=300, blank=True)
    result_code = models.CharField(max_length=30, blank=True)
    result_desc = models.CharField(max_length=300, blank=True)
    receipt_number = models.CharField(max_length=30, blank=True)
    review_reason = models.CharField(max_length=20, choices=Review.choices, blank=True)
    reviewed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    reviewed_at = models.DateTimeField(null=True, blank=True)
    queries = models.PositiveSmallIntegerField(default=0)
    next_query_at = models.DateTimeField(null=True, blank=True)
    grant = models.OneToOneField(QuotaGrant, on_delete=models.SET_NULL, null=True, blank=True, related_name="payment")
    submitted_at = models.DateTimeField(null=True, blank=True)
    paid_at = models.DateTimeField(null=True, blank=True)
    reminded_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    objects = TransactionQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at", "-id"]
        indexes = [
            models.Index(fields=["-created_at", "-id"], name="payment_newest"),
            models.Index(fields=["user", "-created_at", "-id"], name="payment_newest_of_user"),
            models.Index(fields=["status", "-created_at", "-id"], name="payment_newest_of_status"),
            models.Index(fields=["phone_number", "-created_at"], name="payment_of_phone"),
            # A full index: SQLite does not use the constraint's partial one to look up a given id.
            models.Index(fields=["checkout_request_id"], name="payment_by_checkout_id"),
            models.Index(fields=["next_query_at"], condition=Q(next_query_at__isnull=False), name="payment_due"),
            # Includes the amount, so that sums need the index only.
            models.Index(fields=["paid_at", "amount"], condition=Q(paid_at__isnull=False), name="payment_paid_at"),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["checkout_request_id"], condition=~Q(checkout_request_id=""), name="checkout_id_once"
            ),
            models.UniqueConstraint(fields=["receipt_number"], condition=~Q(receipt_number=""), name="receipt_once"),
            models.UniqueConstraint(
                fields=["phone_number"],
                condition=Q(status__in=["created", "submitted"]),
                name="one_pending_payment_a_phone",
            ),
            models.CheckConstraint(condition=Q(status__in=Status.values), name="payment_status_known"),
            models.CheckConstraint(condition=Q(amount__gte=MIN_AMOUNT, amount__lte=MAX_AMOUNT), name="payment_amount"),
            models.CheckConstraint(
                condition=Q(status="paid", paid_at__isnull=False) | (~Q(status="paid") & Q(paid_at=None)),
                name="payment_paid_has_time",
            ),
        ]

    def __str__(self):
        return f"{self.plan_name}, {CURRENCY} {self.amount}"

    def get_absolute_url(self):
        """The address of its live status page."""
        return reverse("payment", args=[self.pk])

    @property
    def payer(self):
        """The user who started it; None if the account was erased or deleted."""
        return None if self.user is None or self.user.erased_at is not None else self.user

    @property
    def is_pending(self):
        """True while the payment's end is unknown."""
        return self.status in PENDING

    @property
    def public_status(self):
        """The status shown in the API: "pending" for both pending states, whose difference is internal."""
        return "pending" if self.is_pending else self.status

    @property
    def grant_source(self):
        """The grant's source, which is unique: a payment gets one grant only."""
        return f"payment:{self.pk}"


class Verdict(models.TextChoices):
    """The result of processing a callback."""

    RECEIVED = "received", _("Waiting")
    APPLIED = "applied", _("Applied")
    REPEATED = "repeated", _("Nothing new")
    UNMATCHED = "unmatched", _("Of no payment known yet")
    STRAY = "stray", _("Paid, but of no payment we know")
    MISMATCH = "mismatch", _("Does not agree with the payment")
    GARBAGE = "garbage", _("Not a callback")
    REFUSED = "refused", _("Without the secret")


class CallbackRecord(models.Model):
    """A body received at the callback's address, stored unchanged; at most MAX_CALLBACK_BYTES of it."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    raw = models.TextField()
    reference = models.CharField(max_length=40, blank=True)
    checkout_request_id = models.CharField(max_length=100, blank=True)
    address = models.GenericIPAddressField(null=True, blank=True)
    verdict = models.CharField(max_length=20, choices=Verdict.choices, default=Verdict.RECEIVED)
    transaction = models.ForeignKey(
        Transaction, on_delete=models.SET_NULL, null=True, blank=True, related_name="callbacks"
    )
    received_at = models.DateTimeField(auto_now_add=True)
    processed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-received_at", "-id"]
        indexes = [
            models.Index(fields=["verdict", "received_at"], name="callback_by_verdict"),
            models.Index(fields=["checkout_request_id"], name="callback_by_checkout_id"),
        ]

    def __str__(self):
        return f"{self.verdict} {self.received_at:%Y-%m-%d %H:%M}"
