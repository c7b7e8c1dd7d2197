"""Second factors: an authenticator app, passkeys, recovery codes."""

import uuid

from django.conf import settings
from django.db import models

from .roles import Role


class TotpDevice(models.Model):
    """A user's authenticator app.

    `secret` is encrypted (config.outside.sealing). `last_step` is the newest time step whose code was accepted, so that
    each code works once. `failures` counts wrong codes in a row, to slow further guesses down.
    """

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, primary_key=True, related_name="totp_device"
    )
    secret = models.CharField(max_length=500)
    confirmed_at = models.DateTimeField(auto_now_add=True)
    last_step = models.BigIntegerField(default=0)
    failures = models.PositiveIntegerField(default=0)
    failed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        default_permissions = ()

    def __str__(self):
        return f"Authenticator app of {self.user_id}"


class Passkey(models.Model):
    """A WebAuthn credential; `credential_id` is base64url. The portal stores only the public key."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="passkeys")
    name = models.CharField(max_length=60)
    # The WebAuthn standard allows 1,023 bytes: 1,364 characters in base64url.
    credential_id = models.CharField(max_length=1400, unique=True)
    public_key = models.BinaryField(max_length=2000)
    sign_count = models.BigIntegerField(default=0)
    created_at = models.DateTimeField(auto_now_add=True)
    used_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["created_at", "id"]
        default_permissions = ()

    def __str__(self):
        return self.name


class RecoveryCode(models.Model):
    """A recovery code, for a user who has lost the phone. The row holds only its hash."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="recovery_codes", db_index=False
    )
    code_hash = models.CharField(max_length=64)
    used_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        default_permissions = ()
        constraints = [models.UniqueConstraint(fields=["user", "code_hash"], name="recovery_code_once")]

    def __str__(self):
        return str(self.pk)


class SpentProof(models.Model):
    """A challenge or half-way token that was used and must not work again. The row stays until the proof expires."""

    digest = models.CharField(max_length=64, primary_key=True)
    expires_at = models.DateTimeField(db_index=True)

    class Meta:
        default_permissions = ()

    def __str__(self):
        return self.digest


class RolePolicy(models.Model):
    """What a role demands of its holders. A role without a row demands nothing."""

    role = models.OneToOneField(Role, on_delete=models.CASCADE, primary_key=True, related_name="policy")
    requires_second_factor = models.BooleanField(default=False)

    class Meta:
        verbose_name_plural = "role policies"
        default_permissions = ()

    def __str__(self):
        return f"{self.role_id}: {self.requires_second_factor}"
