"""Tokens of scripts: what a person lets a program do in their name."""

import uuid

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _


class Scope(models.TextChoices):
    """What a token is for. It only narrows: whatever its owner may not do, no scope allows."""

    FILES_READ = "files:read", _("See folders, search and download files")
    FILES_WRITE = "files:write", _("Upload, rename, tag, delete and restore files")
    SHARES_WRITE = (
        "shares:write",
        _("Make, see and end share links, by which a file is read, and file requests"),
    )
    ACCOUNT_READ = "account:read", _("Read your account, your notices and other people's names")
    ACCOUNT_WRITE = (
        "account:write",
        _("Change your name, what you say about yourself and your picture; mark notices read"),
    )
    PAYMENTS_READ = "payments:read", _("See plans and payments")
    PAYMENTS_WRITE = "payments:write", _("Start payments")
    ADMIN = "admin", _("Everything only a super may do: folders, permissions, people, roles, companies, the log")


class ApiTokenQuerySet(models.QuerySet):
    """Tokens, and which of them count."""

    def live(self):
        """Neither revoked nor expired."""
        return self.filter(revoked_at=None, expires_at__gt=timezone.now())

    def of(self, user):
        """Those of `user` that nobody revoked, expired ones included."""
        return self.filter(user=user, revoked_at=None) if user.is_active else self.none()

    def endable_by(self, user):
        """Those `user` may end: their own; a super everybody's."""
        everybodys = user.is_active and user.is_superuser
        return self.filter(revoked_at=None) if everybodys else self.of(user)


class ApiToken(models.Model):
    """One token: its SHA-256 and its first characters, by which its owner knows it again; never the token itself."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="api_tokens", db_index=False
    )
    name = models.CharField(max_length=100)
    token_hash = models.CharField(max_length=64, unique=True)
    prefix = models.CharField(max_length=12)
    scopes = models.JSONField()
    expires_at = models.DateTimeField(db_index=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True)
    last_used_address = models.GenericIPAddressField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = ApiTokenQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at", "-id"]
        indexes = [models.Index(fields=["user", "-created_at", "-id"], name="api_token_newest")]

    def __str__(self):
        return f"{self.name} ({self.prefix}…)"

    @property
    def has_expired(self):
        """True when its time is over."""
        return self.expires_at <= timezone.now()
