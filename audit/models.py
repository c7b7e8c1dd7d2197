"""The log of what happened."""

import uuid

from django.conf import settings
from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.utils.translation import gettext_lazy as _


class Action(models.TextChoices):
    """Every kind of row. `FILE_ACTIONS` are those about files and folders."""

    SIGNUP = "signup", _("Signed up")
    EMAIL_VERIFIED = "email_verified", _("Address verified")
    LOGIN = "login", _("Logged in")
    LOGIN_FAILED = "login_failed", _("Log-in failed")
    LOGOUT = "logout", _("Logged out")
    TOKEN_REUSED = "token_reused", _("Refresh token used twice")
    PASSWORD_RESET_REQUESTED = "password_reset_requested", _("Password reset asked for")
    PASSWORD_CHANGED = "password_changed", _("Password changed")
    EMAIL_CHANGED = "email_changed", _("Address changed")
    USER_CHANGED = "user_changed", _("User changed")
    ROLE_CHANGED = "role_changed", _("Role changed")
    COMPANY_CHANGED = "company_changed", _("Company changed")
    FOLDER_CREATED = "folder_created", _("Folder made")
    FOLDER_CHANGED = "folder_changed", _("Folder changed")
    FOLDER_DELETED = "folder_deleted", _("Folder deleted")
    GRANTED = "permission_granted", _("Permission granted")
    REVOKED = "permission_revoked", _("Permission revoked")
    UPLOAD = "upload", _("Uploaded")
    UPLOAD_REFUSED = "upload_refused", _("Upload refused")
    UPLOAD_ABORTED = "upload_aborted", _("Upload given up")
    LINK_MADE = "link_created", _("Download link made")
    LINK_REFUSED = "link_refused", _("Download link refused")
    DOWNLOAD = "download", _("Downloaded")
    FILE_CHANGED = "file_changed", _("File changed")
    DELETE = "delete", _("Deleted")
    RESTORE = "restore", _("Restored")
    PURGE = "purge", _("Deleted for good")
    EXPIRED = "expired", _("Expired")
    QUOTA_REPAIRED = "quota_repaired", _("Sizes repaired")
    STORE_RECONCILED = "store_reconciled", _("Store compared with the files")


FILE_ACTIONS = (
    Action.FOLDER_CREATED,
    Action.FOLDER_CHANGED,
    Action.FOLDER_DELETED,
    Action.GRANTED,
    Action.REVOKED,
    Action.UPLOAD,
    Action.UPLOAD_REFUSED,
    Action.UPLOAD_ABORTED,
    Action.LINK_MADE,
    Action.LINK_REFUSED,
    Action.DOWNLOAD,
    Action.FILE_CHANGED,
    Action.DELETE,
    Action.RESTORE,
    Action.PURGE,
    Action.EXPIRED,
    Action.QUOTA_REPAIRED,
    Action.STORE_RECONCILED,
)


class EventQuerySet(models.QuerySet):
    """Events, newest first."""

    def about_files(self):
        """Those about files, folders and their permissions."""
        return self.filter(action__in=FILE_ACTIONS)

    def matching(self, *, user_email="", action="", folder_slug="", start=None, end=None):
        """Those that fit every filter given; `start` and `end` are aware datetimes, end exclusive."""
        events = self
        if user_email:
            events = events.filter(actor_email=user_email.strip().lower())
        if action:
            events = events.filter(action=action)
        if folder_slug:
            events = events.filter(folder_slug=folder_slug)
        if start:
            events = events.filter(created_at__gte=start)
        if end:
            events = events.filter(created_at__lt=end)
        return events


class Event(models.Model):
    """One thing that happened. Names are copies, so that a row still says who and what after both are gone."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    action = models.CharField(max_length=40, choices=Action.choices)
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+", db_index=False
    )
    actor_email = models.CharField(max_length=254, blank=True)
    target_type = models.CharField(max_length=40, blank=True)
    target_id = models.CharField(max_length=64, blank=True)
    target_name = models.CharField(max_length=255, blank=True)
    folder_slug = models.CharField(max_length=100, blank=True)
    size_bytes = models.BigIntegerField(null=True, blank=True)
    detail = models.JSONField(default=dict, blank=True, encoder=DjangoJSONEncoder)
    address = models.GenericIPAddressField(null=True, blank=True)
    user_agent = models.CharField(max_length=300, blank=True)
    request_id = models.CharField(max_length=64, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = EventQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at", "-id"]
        indexes = [
            models.Index(fields=["-created_at", "-id"], name="event_newest"),
            models.Index(fields=["actor_email", "-created_at"], name="event_by_email"),
            models.Index(fields=["action", "-created_at"], name="event_by_action"),
            models.Index(fields=["folder_slug", "-created_at"], name="event_by_folder"),
            models.Index(fields=["target_id", "-created_at"], name="event_by_target"),
        ]

    def __str__(self):
        return f"{self.created_at:%Y-%m-%d %H:%M} {self.actor_email or '-'} {self.action} {self.target_name}"
