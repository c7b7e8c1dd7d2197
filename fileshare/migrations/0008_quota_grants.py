"""Space that was bought, for its days."""

import uuid

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("fileshare", "0007_file_requests")]

    operations = [
        migrations.CreateModel(
            name="QuotaGrant",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("extra_bytes", models.BigIntegerField()),
                ("starts_at", models.DateTimeField()),
                ("ends_at", models.DateTimeField()),
                ("source", models.CharField(max_length=100, unique=True)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                (
                    "folder",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="grants",
                        to="fileshare.folder",
                    ),
                ),
            ],
            options={
                "ordering": ["-created_at", "-id"],
                "indexes": [models.Index(fields=["folder", "ends_at"], name="grant_of_folder")],
                "constraints": [
                    models.CheckConstraint(condition=models.Q(("extra_bytes__gt", 0)), name="grant_bytes_positive"),
                    models.CheckConstraint(
                        condition=models.Q(("ends_at__gt", models.F("starts_at"))), name="grant_ends_after_start"
                    ),
                ],
            },
        ),
    ]
