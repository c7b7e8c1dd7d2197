"""Notices to users, and how each user wants them by mail."""

import uuid

from django.conf import settings
from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.utils.translation import gettext_lazy as _


class Notification(models.Model):
    """One notice to one user. `payload` holds the names and ids for its sentence (accounts.notices.kinds).

    `about` names the thing that the notice is about. While it is unread, further news of the same kind about that
    thing changes this row (accounts.notices.notifications.notify). `for_digest`: the next daily digest lists it.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="notifications", db_index=False
    )
    type = models.CharField(max_length=40)
    about = models.CharField(max_length=200, blank=True, default="")
    payload = models.JSONField(default=dict, encoder=DjangoJSONEncoder)
    is_read = models.BooleanField(default=False)
    for_digest = models.BooleanField(default=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-created_at", "-id"]
        indexes = [
            models.Index(fields=["user", "-created_at", "-id"], name="notification_newest"),
            models.Index(fields=["user"], condition=models.Q(is_read=False), name="notification_unread"),
            models.Index(fields=["user"], condition=models.Q(for_digest=True), name="notification_for_digest"),
            models.Index(
                fields=["user", "type", "about"], condition=~models.Q(about=""), name="notification_about_what"
            ),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["user", "type", "about"],
                condition=models.Q(is_read=False) & ~models.Q(about=""),
                name="notification_unread_about",
            ),
        ]

    def __str__(self):
        return f"{self.type} for {self.user_id}"


class NotificationPreference(models.Model):
    """When one user gets one kind of notice by mail. Without a row, the default of accounts.notices.kinds applies."""

    class Mail(models.TextChoices):
        NOW = "now", _("At once")
        DIGEST = "digest", _("Once a day")
        OFF = "off", _("Not by e-mail")

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="notification_preferences", db_index=False
    )
    kind = models.CharField(max_length=40)
    mail = models.CharField(max_length=10, choices=Mail.choices)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["user", "kind"], name="one_preference_a_kind"),
            models.CheckConstraint(condition=models.Q(mail__in=["now", "digest", "off"]), name="mail_is_known"),
        ]

    def __str__(self):
        return f"{self.kind} to {self.user_id}: {self.mail}"
