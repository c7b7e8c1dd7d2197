"""The outbox: e-mail to send, kept in the database in case the broker or the mail server fails."""

import uuid

from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.utils import timezone


class OutgoingMailQuerySet(models.QuerySet):
    """Queries for e-mails of the outbox."""

    def due(self):
        """E-mails to send now: not sent, not given up, and the time of the next try has come."""
        return self.filter(sent_at=None, failed_at=None, next_try_at__lte=timezone.now())


class OutgoingMail(models.Model):
    """One e-mail to one address, stored in the transaction of the operation that causes it.

    `letter` names its templates. `context` holds ids and names, never a token: links are made when it is sent.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    letter = models.CharField(max_length=40)
    to = models.EmailField(max_length=254)
    language = models.CharField(max_length=10, default="en")
    context = models.JSONField(default=dict, encoder=DjangoJSONEncoder)
    tries = models.PositiveSmallIntegerField(default=0)
    next_try_at = models.DateTimeField(default=timezone.now)
    sent_at = models.DateTimeField(null=True, blank=True)
    failed_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = OutgoingMailQuerySet.as_manager()

    class Meta:
        ordering = ["created_at"]
        indexes = [
            models.Index(fields=["next_try_at"], condition=models.Q(sent_at=None, failed_at=None), name="mail_waiting"),
            # The newest letters to somebody, and those about new files that wait for them.
            models.Index(fields=["to", "-created_at"], name="mail_to"),
        ]

    def __str__(self):
        return f"{self.letter} to {self.to}"
