"""The log and its chain, in one step for a new database.

An installation that has all of the six counts as having this one. One that has only some of them goes on with the
rest, which is why the six stay; they may go when no such installation is left.
"""

import uuid

import django.db.models.deletion
from django.conf import settings
from django.core.serializers.json import DjangoJSONEncoder
from django.db import migrations, models

import audit.models


class Migration(migrations.Migration):
    initial = True
    replaces = [
        ("audit", "0001_initial"),
        ("audit", "0002_restore_and_purge"),
        ("audit", "0003_sharing_and_second_factors"),
        ("audit", "0004_payments"),
        ("audit", "0005_chain"),
        ("audit", "0006_folder_and_action"),
    ]
    dependencies = [migrations.swappable_dependency(settings.AUTH_USER_MODEL)]

    operations = [
        migrations.CreateModel(
            name="ChainHead",
            fields=[
                ("id", models.PositiveSmallIntegerField(default=1, editable=False, primary_key=True, serialize=False)),
                ("seq", models.BigIntegerField(default=0)),
                ("hash", models.CharField(blank=True, max_length=64)),
                ("signature", models.CharField(blank=True, max_length=64)),
                ("sealed_at", models.DateTimeField(null=True)),
            ],
            options={
                "constraints": [
                    models.CheckConstraint(condition=models.Q(("id", 1)), name="one_chain_head"),
                ],
            },
        ),
        migrations.CreateModel(
            name="Event",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("action", models.CharField(choices=audit.models.action_choices, max_length=40)),
                ("actor_email", models.CharField(blank=True, max_length=254)),
                ("target_type", models.CharField(blank=True, max_length=40)),
                ("target_id", models.CharField(blank=True, max_length=64)),
                ("target_name", models.CharField(blank=True, max_length=255)),
                ("folder_slug", models.CharField(blank=True, max_length=100)),
                ("size_bytes", models.BigIntegerField(blank=True, null=True)),
                ("detail", models.JSONField(blank=True, default=dict, encoder=DjangoJSONEncoder)),
                ("address", models.GenericIPAddressField(blank=True, null=True)),
                ("user_agent", models.CharField(blank=True, max_length=300)),
                ("request_id", models.CharField(blank=True, max_length=64)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("seq", models.BigIntegerField(editable=False, null=True)),
                ("prev_hash", models.CharField(blank=True, db_default="", editable=False, max_length=64)),
                ("hash", models.CharField(blank=True, db_default="", editable=False, max_length=64)),
                (
                    "actor",
                    models.ForeignKey(
                        blank=True,
                        db_constraint=False,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "ordering": ["-created_at", "-id"],
                "constraints": [
                    models.UniqueConstraint(fields=("seq",), name="event_seq_once"),
                ],
                "indexes": [
                    models.Index(fields=["created_at", "id"], condition=models.Q(("seq", None)), name="event_unsealed"),
                    models.Index(fields=["-created_at", "-id"], name="event_newest"),
                    models.Index(fields=["actor_email", "-created_at"], name="event_by_email"),
                    models.Index(fields=["action", "-created_at"], name="event_by_action"),
                    models.Index(fields=["folder_slug", "-created_at"], name="event_by_folder"),
                    models.Index(fields=["target_id", "-created_at"], name="event_by_target"),
                    models.Index(fields=["folder_slug", "action", "-created_at"], name="event_by_folder_action"),
                ],
            },
        ),
    ]
