"""The log of what happened."""

import uuid

from django.conf import settings
from django.core.serializers.json import DjangoJSONEncoder
from django.db import connections, models
from django.db.models.functions import Coalesce
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
    SECOND_FACTOR_ADDED = "second_factor_added", _("Second factor added")
    SECOND_FACTOR_REMOVED = "second_factor_removed", _("Second factor removed")
    SECOND_FACTOR_FAILED = "second_factor_failed", _("Second factor failed")
    RECOVERY_CODE_USED = "recovery_code_used", _("Recovery code used")
    SESSION_ENDED = "session_ended", _("Session ended")
    API_TOKEN_CREATED = "api_token_created", _("API token made")
    API_TOKEN_REVOKED = "api_token_revoked", _("API token revoked")
    PROFILE_CHANGED = "profile_changed", _("Profile changed")
    DATA_EXPORTED = "data_exported", _("Own data exported")
    ACCOUNT_CLOSED = "account_closed", _("Account closed")
    ACCOUNT_ERASED = "account_erased", _("Account erased")
    LOGIN_LOCKED = "login_locked", _("Log-ins from unknown places stopped")
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
    PREVIEW = "preview", _("Looked at")
    SHARE_CREATED = "share_created", _("Share link made")
    SHARE_REVOKED = "share_revoked", _("Share link revoked")
    SHARE_REFUSED = "share_refused", _("Share link refused")
    REQUEST_CREATED = "request_created", _("File request made")
    REQUEST_CHANGED = "request_changed", _("File request changed")
    REQUEST_CLOSED = "request_closed", _("File request closed")
    REQUEST_REFUSED = "request_refused", _("File request refused")
    FILE_CHANGED = "file_changed", _("File changed")
    QUARANTINED = "quarantined", _("Put into quarantine")
    QUARANTINE_RELEASED = "quarantine_released", _("Released from quarantine")
    HOLD_PLACED = "hold_placed", _("Legal hold placed")
    HOLD_RELEASED = "hold_released", _("Legal hold released")
    CLIENT_NUDGED = "client_nudged", _("Reminded of waiting files")
    DELETE = "delete", _("Deleted")
    RESTORE = "restore", _("Restored")
    PURGE = "purge", _("Deleted for good")
    EXPIRED = "expired", _("Expired")
    PAYMENT_STARTED = "payment_started", _("Payment asked for")
    PAYMENT_SETTLED = "payment_settled", _("Payment settled")
    PAYMENT_CALLBACK_REFUSED = "payment_callback_refused", _("Payment callback refused")
    PAYMENT_REVIEWED = "payment_reviewed", _("Payment reviewed")
    PAYMENTS_EXPORTED = "payments_exported", _("Payments exported")
    PLAN_CHANGED = "plan_changed", _("Plan changed")
    SPACE_GRANTED = "space_granted", _("Space granted")
    QUOTA_REPAIRED = "quota_repaired", _("Sizes repaired")
    STORE_RECONCILED = "store_reconciled", _("Store compared with the files")
    LOG_READ = "log_read", _("Log read")
    LOG_EXPORTED = "log_exported", _("Log exported")
    LOG_ACCEPTED = "log_accepted", _("Log accepted as it is")


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
    Action.PREVIEW,
    Action.SHARE_CREATED,
    Action.SHARE_REVOKED,
    Action.SHARE_REFUSED,
    Action.REQUEST_CREATED,
    Action.REQUEST_CHANGED,
    Action.REQUEST_CLOSED,
    Action.REQUEST_REFUSED,
    Action.FILE_CHANGED,
    Action.QUARANTINED,
    Action.QUARANTINE_RELEASED,
    Action.HOLD_PLACED,
    Action.HOLD_RELEASED,
    Action.CLIENT_NUDGED,
    Action.DELETE,
    Action.RESTORE,
    Action.PURGE,
    Action.EXPIRED,
    Action.QUOTA_REPAIRED,
    Action.STORE_RECONCILED,
)


def action_choices():
    """The choices of Event.action: by name, so that a new action asks for no migration."""
    return Action.choices


class EventQuerySet(models.QuerySet):
    """Events, newest first."""

    def about(self, target):
        """What happened to one saved row of any model."""
        return self.filter(target_id=str(target.pk), target_type=target._meta.model_name)

    def unsealed(self):
        """Those that wait for their place in the chain, oldest first."""
        return self.filter(seq=None).order_by("created_at", "id")

    def about_files(self):
        """Those about files, folders and their permissions."""
        if connections[self.db].vendor == "sqlite":
            # Which keeps no statistics: by the index of actions it would gather all of them and sort them for a page.
            return self.alias(kind=Coalesce("action", models.Value(""))).filter(kind__in=FILE_ACTIONS)
        return self.filter(action__in=FILE_ACTIONS)

    def matching(self, *, user_email="", action="", folder_slug="", target_id="", start=None, end=None):
        """Those that fit every filter given; `start` and `end` are aware datetimes, end exclusive."""
        events = self
        if user_email:
            events = events.filter(actor_email=user_email.strip().lower())
        if action:
            events = events.filter(action=action)
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
    """One thing that happened. Names are copies, so that a row still says who and what after both are gone.

    Triggers of the database (audit.triggers) refuse to change or delete a row. `seq`, `prev_hash` and `hash` are
    its place in the chain (audit.chain), written once, a moment after its transaction. `actor` is an id that
    outlives its user, so that an account can be erased and the row stay as it is.
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
            # Of some folders one kind: refusals and traffic of those that somebody looks after.
            models.Index(fields=["folder_slug", "action", "-created_at"], name="event_by_folder_action"),
        ]

    def __str__(self):
        return f"{self.created_at:%Y-%m-%d %H:%M} {self.actor_email or '-'} {self.action} {self.target_name}"


class ChainHead(models.Model):
    """The end of the chain: one row. `signature` is a keyed digest of the rest, which needs SECRET_KEY to make."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1, editable=False)
    seq = models.BigIntegerField(default=0)
    hash = models.CharField(max_length=64, blank=True)
    signature = models.CharField(max_length=64, blank=True)
    sealed_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.CheckConstraint(condition=models.Q(id=1), name="one_chain_head")]

    def __str__(self):
        return f"{self.seq} {self.hash}"
