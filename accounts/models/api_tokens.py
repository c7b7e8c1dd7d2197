"""API tokens, with which a script acts for a user."""

import uuid

from django.conf import settings
from django.db import models
from django.utils import timezone


class ApiTokenQuerySet(models.QuerySet):
    """Queries for API tokens."""

    def live(self, at=None):
        """Tokens that work, now or `at` a moment: not revoked and not expired."""
        return self.filter(revoked_at=None, expires_at__gt=at or timezone.now())

    def of(self, user):
        """The tokens of an active `user` that are not revoked; expired ones are included."""
        return self.filter(user=user, revoked_at=None) if user.is_active else self.none()

    def endable_by(self, user):
        """The tokens that `user` may end: their own, or for a super those of all users."""
        everybodys = user.is_active and user.is_superuser
        return self.filter(revoked_at=None) if everybodys else self.of(user)


class ApiToken(models.Model):
    """One token. The row holds its SHA-256, and its first characters so that the owner recognises it."""

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
        """True when `expires_at` is past."""
        return self.expires_at <= timezone.now()
