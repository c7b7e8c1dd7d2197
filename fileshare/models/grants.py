"""Extra space for a limited time: bytes added to a folder's quota from one moment to another."""

import uuid

from django.db import models
from django.db.models import F, Q, Sum

from config import prepared


class QuotaGrantQuerySet(models.QuerySet):
    """Grants."""

    def active(self):
        """Grants that count now. The clock alone decides: no task has to run when a grant begins or ends."""
        now = prepared.now()
        return self.filter(starts_at__lte=now, ends_at__gt=now)

    def total(self):
        """The sum of their bytes."""
        return self.aggregate(total=Sum("extra_bytes"))["total"] or 0


class QuotaGrant(models.Model):
    """`extra_bytes` more room in one folder, while starts_at <= now < ends_at. Several grants add up.

    `source` says what the grant was given for, such as a payment's id. It is unique, so one payment never counts twice.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    folder = models.ForeignKey("fileshare.Folder", on_delete=models.CASCADE, related_name="grants", db_index=False)
    extra_bytes = models.BigIntegerField()
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    source = models.CharField(max_length=100, unique=True)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = QuotaGrantQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at", "-id"]
        indexes = [models.Index(fields=["folder", "ends_at"], name="grant_of_folder")]
        constraints = [
            models.CheckConstraint(condition=Q(extra_bytes__gt=0), name="grant_bytes_positive"),
            models.CheckConstraint(condition=Q(ends_at__gt=F("starts_at")), name="grant_ends_after_start"),
        ]

    def __str__(self):
        return f"{self.extra_bytes} bytes until {self.ends_at:%Y-%m-%d}"
