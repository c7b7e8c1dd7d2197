"""The models of the log."""

import uuid

from django.conf import settings
from django.core.serializers.json import DjangoJSONEncoder
from django.db import connections, models
from django.db.models.functions import Coalesce

from . import actions, addresses


def action_choices():
    """The choices of Event.action. Migrations refer to this function, so a new action needs no migration."""
    return actions.choices()


class EventQuerySet(models.QuerySet):
    """Events, newest first."""

    def about(self, target):
        """The events about one saved row of any model."""
        return self.filter(target_id=str(target.pk), target_type=target._meta.model_name)

    def unsealed(self):
        """Events without a place in the chain, oldest first."""
        return self.filter(seq=None).order_by("created_at", "id")

    def of_actions(self, chosen):
        """Events with one of the actions `chosen`."""
        if connections[self.db].vendor == "sqlite":
            # SQLite keeps no statistics. With the index of actions it would collect and sort all matching rows for one
            # page; Coalesce keeps it from using that index.
            return self.alias(kind=Coalesce("action", models.Value(""))).filter(kind__in=chosen)
        return self.filter(action__in=chosen)

    def matching(self, *, user_email="", action="", folder_slug="", target_id="", start=None, end=None):
        """Events that pass every given filter.

        `user_email` is a part of an address, which costs a query. `action` may be a part of an action
        (actions.PARTS). `start` and `end` are aware datetimes, end exclusive.
        """
        events = self
        if user_email:
            events = events.filter(addresses.containing(user_email.strip().lower(), using=self.db))
        if action:
            events = events.filter(**actions.condition(action))
        if folder_slug:
            events = events.filter(folder_slug=folder_slug)
        if target_id:
            events = events.filter(target_id=target_id)
        if start:
            events = events.filter(created_at__gte=start)
        if end:
            events = events.filter(created_at__lt=end)
        return events


class Event(models.Model):
    """One event. Names are copied, so that a row still tells them after the user and the target are deleted.

    Triggers of the database (audit.triggers) refuse to change or delete a row. `seq`, `prev_hash` and `hash` are its
    place in the chain (audit.chain), written once, a moment after its transaction. `actor` keeps the id of an erased
    account, because the row must not change.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    action = models.CharField(max_length=40, choices=action_choices)
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.DO_NOTHING,
        null=True,
        blank=True,
        related_name="+",
        db_index=False,
        db_constraint=False,
    )
    actor_email = models.CharField(max_length=254, blank=True)
    target_type = models.CharField(max_length=40, blank=True)
    target_id = models.CharField(max_length=64, blank=True)
    target_name = models.CharField(max_length=255, blank=True)
    folder_slug = models.CharField(max_length=100, blank=True)
    subfolder_slug = models.CharField(max_length=100, blank=True, db_default="")
    size_bytes = models.BigIntegerField(null=True, blank=True)
    detail = models.JSONField(default=dict, blank=True, encoder=DjangoJSONEncoder)
    address = models.GenericIPAddressField(null=True, blank=True)
    user_agent = models.CharField(max_length=300, blank=True)
    request_id = models.CharField(max_length=64, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    seq = models.BigIntegerField(null=True, editable=False)
    prev_hash = models.CharField(max_length=64, blank=True, db_default="", editable=False)
    hash = models.CharField(max_length=64, blank=True, db_default="", editable=False)

    objects = EventQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at", "-id"]
        constraints = [models.UniqueConstraint(fields=["seq"], name="event_seq_once")]
        indexes = [
            models.Index(fields=["created_at", "id"], condition=models.Q(seq=None), name="event_unsealed"),
            models.Index(fields=["-created_at", "-id"], name="event_newest"),
            models.Index(fields=["actor_email", "-created_at"], name="event_by_email"),
            models.Index(fields=["action", "-created_at"], name="event_by_action"),
            models.Index(fields=["folder_slug", "-created_at"], name="event_by_folder"),
            models.Index(fields=["target_id", "-created_at"], name="event_by_target"),
            # For queries of one action in some folders: the refusals and traffic that a folder's manager sees.
            models.Index(fields=["folder_slug", "action", "-created_at"], name="event_by_folder_action"),
        ]

    def __str__(self):
        return f"{self.created_at:%Y-%m-%d %H:%M} {self.actor_email or '-'} {self.action} {self.target_name}"


class ChainHead(models.Model):
    """The end of the chain, a single row. `signature` is a digest of the other fields, keyed with SECRET_KEY."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1, editable=False)
    seq = models.BigIntegerField(default=0)
    hash = models.CharField(max_length=64, blank=True)
    signature = models.CharField(max_length=64, blank=True)
    sealed_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.CheckConstraint(condition=models.Q(id=1), name="one_chain_head")]

    def __str__(self):
        return f"{self.seq} {self.hash}"
