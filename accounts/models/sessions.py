"""Refresh tokens: what keeps a script signed in."""

import uuid

from django.conf import settings
from django.db import models


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

    def __str__(self):
        return str(self.jti)
