"""What keeps people signed in: sessions of browsers, refresh tokens of scripts."""

import uuid

from django.conf import settings
from django.db import models
from django.utils import timezone


class SessionQuerySet(models.QuerySet):
    """Sessions of browsers."""

    def live(self):
        """Those that have not expired."""
        return self.filter(expire_date__gt=timezone.now())


class Session(models.Model):
    """One browser's session. Its key is in the browser's cookie alone; here is a hash, so that reading this
    table signs nobody in. `user` is None until somebody logs in. Address and agent as last seen."""

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
    """Refresh tokens."""

    def newest_of_families(self):
        """The one token of each family that can still be traded: a row for a script that is logged in."""
        return self.filter(revoked_at=None, replaced_by=None, expires_at__gt=timezone.now())


class RefreshToken(models.Model):
    """One refresh token. Rotation replaces a row by its successor of the same `family` (one log-in);
    a row with `replaced_by` shown again betrays a copy, and ends the family."""

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
