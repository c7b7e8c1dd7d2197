"""Links for people without an account."""

import uuid

import django.core.validators
import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("fileshare", "0005_trash"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            model_name="folder",
            name="share_max_days",
            field=models.PositiveIntegerField(
                blank=True,
                help_text="Links made for longer stop working at once. Empty: as long as the portal allows.",
                null=True,
                validators=[
                    django.core.validators.MinValueValidator(1),
                    django.core.validators.MaxValueValidator(36500),
                ],
                verbose_name="longest life of a share link, in days",
            ),
        ),
        migrations.AddField(
            model_name="folder",
            name="share_password_required",
            field=models.BooleanField(
                default=False,
                help_text="Links without one stop working at once.",
                verbose_name="share links need a password",
            ),
        ),
        migrations.AddConstraint(
            model_name="folder",
            constraint=models.CheckConstraint(
                condition=models.Q(("share_max_days", None), ("share_max_days__gte", 1), _connector="OR"),
                name="folder_share_days_positive",
            ),
        ),
        migrations.CreateModel(
            name="ShareLink",
            fields=[
                (
                    "id",
                    models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False),
                ),
                ("token_hash", models.CharField(max_length=64, unique=True)),
                (
                    "permission",
                    models.CharField(choices=[("download", "Download"), ("view", "View only")], max_length=10),
                ),
                ("expires_at", models.DateTimeField()),
                ("password", models.CharField(blank=True, max_length=256)),
                ("max_downloads", models.PositiveIntegerField(blank=True, null=True)),
                ("download_count", models.PositiveIntegerField(default=0)),
                ("revoked_at", models.DateTimeField(blank=True, null=True)),
                ("recipient", models.EmailField(blank=True, max_length=254)),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now)),
                (
                    "created_by",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="shares",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "file",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="shares",
                        to="fileshare.file",
                    ),
                ),
            ],
            options={
                "ordering": ["-created_at", "-id"],
                "indexes": [
                    models.Index(fields=["file", "-created_at", "-id"], name="share_newest_of_file"),
                    models.Index(fields=["created_by", "-created_at", "-id"], name="share_newest_of_maker"),
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("permission__in", ["download", "view"])), name="share_permission_known"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("expires_at__gt", models.F("created_at"))), name="share_lives"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("max_downloads", None),
                            models.Q(("download_count__lte", models.F("max_downloads")), ("max_downloads__gte", 1)),
                            _connector="OR",
                        ),
                        name="share_within_limit",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("permission", "view"), _negated=True),
                            models.Q(("download_count", 0), ("max_downloads", None)),
                            _connector="OR",
                        ),
                        name="share_view_counts_none",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="ShareDownload",
            fields=[
                (
                    "id",
                    models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False),
                ),
                ("downloaded_at", models.DateTimeField(default=django.utils.timezone.now)),
                ("address", models.GenericIPAddressField(blank=True, null=True)),
                ("user_agent", models.CharField(blank=True, max_length=300)),
                (
                    "share",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="downloads",
                        to="fileshare.sharelink",
                    ),
                ),
            ],
            options={
                "ordering": ["-downloaded_at", "-id"],
                "indexes": [
                    models.Index(fields=["share", "-downloaded_at", "-id"], name="share_download_newest"),
                ],
            },
        ),
    ]
