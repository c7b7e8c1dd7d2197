"""Plans, payments, and what M-Pesa said about them."""

import uuid

import django.core.validators
import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("fileshare", "0008_quota_grants"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="Plan",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("name", models.CharField(max_length=60, verbose_name="name")),
                (
                    "amount",
                    models.PositiveIntegerField(
                        validators=[
                            django.core.validators.MinValueValidator(1),
                            django.core.validators.MaxValueValidator(250000),
                        ],
                        verbose_name="price in KES",
                    ),
                ),
                (
                    "extra_bytes",
                    models.BigIntegerField(
                        validators=[
                            django.core.validators.MinValueValidator(1),
                            django.core.validators.MaxValueValidator(1125899906842624),
                        ],
                        verbose_name="bytes",
                    ),
                ),
                (
                    "days",
                    models.PositiveIntegerField(
                        validators=[
                            django.core.validators.MinValueValidator(1),
                            django.core.validators.MaxValueValidator(3650),
                        ],
                        verbose_name="days",
                    ),
                ),
                ("is_active", models.BooleanField(default=True, verbose_name="on sale")),
                ("created_at", models.DateTimeField(auto_now_add=True)),
            ],
            options={
                "ordering": ["amount", "id"],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("amount__gte", 1), ("amount__lte", 250000)), name="plan_amount"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("extra_bytes__gt", 0), ("extra_bytes__lte", 1125899906842624)),
                        name="plan_bytes",
                    ),
                    models.CheckConstraint(condition=models.Q(("days__gte", 1), ("days__lte", 3650)), name="plan_days"),
                ],
            },
        ),
        migrations.CreateModel(
            name="Transaction",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("plan_name", models.CharField(max_length=60)),
                ("amount", models.PositiveIntegerField()),
                ("extra_bytes", models.BigIntegerField()),
                ("days", models.PositiveIntegerField()),
                ("folder_name", models.CharField(max_length=200)),
                ("phone_number", models.CharField(max_length=12)),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("created", "Waiting for M-Pesa"),
                            ("submitted", "Waiting for the phone"),
                            ("paid", "Paid"),
                            ("failed", "Not paid"),
                            ("cancelled", "Cancelled"),
                            ("timed_out", "No answer"),
                            ("needs_review", "Being checked"),
                        ],
                        default="created",
                        max_length=20,
                    ),
                ),
                ("merchant_request_id", models.CharField(blank=True, max_length=100)),
                ("checkout_request_id", models.CharField(blank=True, max_length=100)),
                ("customer_message", models.CharField(blank=True, max_length=300)),
                ("result_code", models.CharField(blank=True, max_length=30)),
                ("result_desc", models.CharField(blank=True, max_length=300)),
                ("receipt_number", models.CharField(blank=True, max_length=30)),
                (
                    "review_reason",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("no_answer", "M-Pesa never said how it ended"),
                            ("unknown_push", "Nobody knows whether the phone was asked"),
                            ("mismatch", "Amount, number or ids are not those of the payment"),
                            ("receipt_used", "The receipt belongs to another payment"),
                            ("no_folder", "The folder is gone"),
                            ("after_rejection", "Paid after it was rejected"),
                        ],
                        max_length=20,
                    ),
                ),
                ("reviewed_at", models.DateTimeField(blank=True, null=True)),
                ("queries", models.PositiveSmallIntegerField(default=0)),
                ("next_query_at", models.DateTimeField(blank=True, null=True)),
                ("submitted_at", models.DateTimeField(blank=True, null=True)),
                ("paid_at", models.DateTimeField(blank=True, null=True)),
                ("reminded_at", models.DateTimeField(blank=True, null=True)),
                ("ended_at", models.DateTimeField(blank=True, null=True)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("updated_at", models.DateTimeField(auto_now=True)),
                (
                    "folder",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="payments",
                        to="fileshare.folder",
                    ),
                ),
                (
                    "grant",
                    models.OneToOneField(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="payment",
                        to="fileshare.quotagrant",
                    ),
                ),
                (
                    "plan",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="payments.plan",
                    ),
                ),
                (
                    "reviewed_by",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "user",
                    models.ForeignKey(
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="payments",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "ordering": ["-created_at", "-id"],
            },
        ),
        migrations.CreateModel(
            name="CallbackRecord",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("raw", models.TextField()),
                ("reference", models.CharField(blank=True, max_length=40)),
                ("checkout_request_id", models.CharField(blank=True, max_length=100)),
                ("address", models.GenericIPAddressField(blank=True, null=True)),
                (
                    "verdict",
                    models.CharField(
                        choices=[
                            ("received", "Waiting"),
                            ("applied", "Applied"),
                            ("repeated", "Nothing new"),
                            ("unmatched", "Of no payment known yet"),
                            ("stray", "Paid, but of no payment we know"),
                            ("mismatch", "Does not agree with the payment"),
                            ("garbage", "Not a callback"),
                            ("refused", "Without the secret"),
                        ],
                        default="received",
                        max_length=20,
                    ),
                ),
                ("received_at", models.DateTimeField(auto_now_add=True)),
                ("processed_at", models.DateTimeField(blank=True, null=True)),
                (
                    "transaction",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="callbacks",
                        to="payments.transaction",
                    ),
                ),
            ],
            options={
                "ordering": ["-received_at", "-id"],
            },
        ),
        migrations.AddIndex(
            model_name="transaction",
            index=models.Index(fields=["-created_at", "-id"], name="payment_newest"),
        ),
        migrations.AddIndex(
            model_name="transaction",
            index=models.Index(fields=["user", "-created_at", "-id"], name="payment_newest_of_user"),
        ),
        migrations.AddIndex(
            model_name="transaction",
            index=models.Index(fields=["status", "-created_at", "-id"], name="payment_newest_of_status"),
        ),
        migrations.AddIndex(
            model_name="transaction",
            index=models.Index(fields=["phone_number", "-created_at"], name="payment_of_phone"),
        ),
        migrations.AddIndex(
            model_name="transaction",
            index=models.Index(fields=["checkout_request_id"], name="payment_by_checkout_id"),
        ),
        migrations.AddIndex(
            model_name="transaction",
            index=models.Index(
                condition=models.Q(("next_query_at__isnull", False)), fields=["next_query_at"], name="payment_due"
            ),
        ),
        migrations.AddIndex(
            model_name="transaction",
            index=models.Index(
                condition=models.Q(("paid_at__isnull", False)), fields=["paid_at"], name="payment_paid_at"
            ),
        ),
        migrations.AddConstraint(
            model_name="transaction",
            constraint=models.UniqueConstraint(
                condition=models.Q(("checkout_request_id", ""), _negated=True),
                fields=("checkout_request_id",),
                name="checkout_id_once",
            ),
        ),
        migrations.AddConstraint(
            model_name="transaction",
            constraint=models.UniqueConstraint(
                condition=models.Q(("receipt_number", ""), _negated=True),
                fields=("receipt_number",),
                name="receipt_once",
            ),
        ),
        migrations.AddConstraint(
            model_name="transaction",
            constraint=models.UniqueConstraint(
                condition=models.Q(("status__in", ["created", "submitted"])),
                fields=("phone_number",),
                name="one_pending_payment_a_phone",
            ),
        ),
        migrations.AddConstraint(
            model_name="transaction",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("status__in", ["created", "submitted", "paid", "failed", "cancelled", "timed_out", "needs_review"])
                ),
                name="payment_status_known",
            ),
        ),
        migrations.AddConstraint(
            model_name="transaction",
            constraint=models.CheckConstraint(
                condition=models.Q(("amount__gte", 1), ("amount__lte", 250000)), name="payment_amount"
            ),
        ),
        migrations.AddConstraint(
            model_name="transaction",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("paid_at__isnull", False), ("status", "paid")),
                    models.Q(models.Q(("status", "paid"), _negated=True), ("paid_at", None)),
                    _connector="OR",
                ),
                name="payment_paid_has_time",
            ),
        ),
        migrations.AddIndex(
            model_name="callbackrecord",
            index=models.Index(fields=["verdict", "received_at"], name="callback_by_verdict"),
        ),
        migrations.AddIndex(
            model_name="callbackrecord",
            index=models.Index(fields=["checkout_request_id"], name="callback_by_checkout_id"),
        ),
    ]
