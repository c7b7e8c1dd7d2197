"""Links that let people without an account send files."""

import uuid

import django.core.validators
import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("fileshare", "0006_share_links"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="FileRequest",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("in_subfolder", models.BooleanField(default=False, editable=False)),
                ("token_hash", models.CharField(max_length=64, unique=True)),
                ("generation", models.PositiveIntegerField(default=1)),
                ("title", models.CharField(max_length=200)),
                ("note", models.TextField(blank=True, max_length=2000)),
                ("deadline", models.DateTimeField()),
                (
                    "max_files",
                    models.PositiveIntegerField(
                        validators=[
                            django.core.validators.MinValueValidator(1),
                            django.core.validators.MaxValueValidator(1000),
                        ]
                    ),
                ),
                (
                    "max_bytes",
                    models.BigIntegerField(
                        validators=[
                            django.core.validators.MinValueValidator(1),
                            django.core.validators.MaxValueValidator(2**50),
                        ]
                    ),
                ),
                (
                    "type_policy",
                    models.CharField(
                        choices=[("office", "Office documents only"), ("general", "All but dangerous kinds")],
                        max_length=10,
                    ),
                ),
                ("password", models.CharField(blank=True, max_length=200)),
                ("asks_name", models.BooleanField(default=False)),
                ("asks_email", models.BooleanField(default=False)),
                ("received_files", models.PositiveIntegerField(default=0)),
                ("received_bytes", models.BigIntegerField(default=0)),
                ("reserved_files", models.PositiveIntegerField(default=0)),
                ("reserved_bytes", models.BigIntegerField(default=0)),
                ("closed_at", models.DateTimeField(blank=True, null=True)),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now)),
                (
                    "folder",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="file_requests",
                        to="fileshare.folder",
                    ),
                ),
                (
                    "owner",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="file_requests",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "subfolder",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to="fileshare.subfolder",
                    ),
                ),
            ],
            options={
                "ordering": ["-created_at", "-id"],
                "indexes": [
                    models.Index(fields=["owner", "-created_at", "-id"], name="request_newest_of_owner"),
                    models.Index(fields=["-created_at", "-id"], name="request_newest"),
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(max_files__gte=1, max_files__lte=1000, max_bytes__gte=1),
                        name="request_limits_sane",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(received_bytes__gte=0, reserved_bytes__gte=0), name="request_bytes_positive"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(type_policy__in=["office", "general"]), name="request_policy_known"
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="RequestSender",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("secret_hash", models.CharField(max_length=64)),
                ("name", models.CharField(blank=True, max_length=150)),
                ("email", models.EmailField(blank=True, max_length=254)),
                ("address", models.GenericIPAddressField(blank=True, null=True)),
                ("language", models.CharField(default="en", max_length=10)),
                ("receipt_due_at", models.DateTimeField(blank=True, null=True)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                (
                    "request",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="senders",
                        to="fileshare.filerequest",
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(
                        condition=models.Q(receipt_due_at__isnull=False),
                        fields=["receipt_due_at"],
                        name="request_receipt_due",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="ReceivedFile",
            fields=[
                ("id", models.UUIDField(editable=False, primary_key=True, serialize=False)),
                ("filename", models.CharField(max_length=255)),
                ("size_bytes", models.BigIntegerField()),
                ("sha256", models.CharField(blank=True, max_length=64)),
                ("received_at", models.DateTimeField(default=django.utils.timezone.now)),
                (
                    "file",
                    models.OneToOneField(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="receipt",
                        to="fileshare.file",
                    ),
                ),
                (
                    "request",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="received",
                        to="fileshare.filerequest",
                    ),
                ),
                (
                    "sender",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="received",
                        to="fileshare.requestsender",
                    ),
                ),
            ],
            options={
                "ordering": ["-received_at", "-id"],
                "indexes": [
                    models.Index(fields=["request", "-received_at", "-id"], name="received_by_request"),
                    models.Index(fields=["sender", "-received_at", "-id"], name="received_from_sender"),
                    models.Index(condition=models.Q(sha256=""), fields=["file"], name="received_without_checksum"),
                ],
            },
        ),
        migrations.AddField(
            model_name="upload",
            name="sender",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="uploads",
                to="fileshare.requestsender",
            ),
        ),
    ]
