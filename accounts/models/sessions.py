"""Log-ins: sessions of browsers, refresh tokens of scripts."""

import uuid

from django.conf import settings
from django.db import models
from django.utils import timezone


class SessionQuerySet(models.QuerySet):
    """Queries for sessions of browsers."""

    def live(self, at=None):
        """Sessions that have not expired, now or `at` a moment."""
        return self.filter(expire_date__gt=at or timezone.now())


class Session(models.Model):
    """One browser's session.

    Only the browser's cookie holds its key. The row holds a hash, so a reader of this table cannot sign in with it.
    `user` is None until the user logs in. `address` and `user_agent` are those last seen.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    key_hash = models.CharField(max_length=64, unique=True)
    session_data = models.TextField()
    expire_date = models.DateTimeField(db_index=True)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, null=True, blank=True, related_name="sessions"
    )
    address = models.GenericIPAddressField(null=True, blank=True)
    user_agent = models.CharField(max_length=300, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    seen_at = models.DateTimeField(default=timezone.now)

    objects = SessionQuerySet.as_manager()

    class Meta:
        default_permissions = ()

    def __str__(self):
        return str(self.pk)


class RefreshTokenQuerySet(models.QuerySet):
    """Queries for refresh tokens."""

    def newest_of_families(self):
        """The one usable token of each live family: one row for each script that is logged in."""
        return self.filter(revoked_at=None, replaced_by=None, expires_at__gt=timezone.now())


class RefreshToken(models.Model):
    """One refresh token. All tokens of one log-in have the same `family`.

    Each use replaces a token by the next: `replaced_by`. If a replaced token is used again, a copy of it exists, and
    the portal ends the family.
    """

    jti = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    family = models.UUIDField(db_index=True)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="refresh_tokens")
    token_hash = models.CharField(max_length=64, unique=True)
    expires_at = models.DateTimeField(db_index=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    orig_iat = models.DateTimeField()
    replaced_by = models.OneToOneField(
        "self", on_delete=models.SET_NULL, null=True, blank=True, related_name="replaces", db_constraint=False
    )
    created_at = models.DateTimeField(auto_now_add=True)
    address = models.GenericIPAddressField(null=True, blank=True)
    user_agent = models.CharField(max_length=300, blank=True)

    objects = RefreshTokenQuerySet.as_manager()

    def __str__(self):
        return str(self.jti)
