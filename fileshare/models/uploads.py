"""Uploads on their way."""

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from .files import Visibility
from .folders import Folder, Subfolder


class UploadStatus(models.TextChoices):
    """PENDING takes bytes; COMPLETING is claimed by one request that looks at them."""

    PENDING = "pending"
    COMPLETING = "completing"


class UploadQuerySet(models.QuerySet):
    """Uploads, and whose they are."""

    def of(self, user):
        """The unfinished uploads of `user`."""
        return self.filter(uploaded_by=user) if user.is_active else self.none()

    def abandoned(self):
        """Those whose time is over."""
        return self.filter(expires_at__lte=timezone.now())


class Upload(models.Model):
    """A promise of a file: `size_bytes` of its folder are reserved, its id becomes the file's.

    The row lives while the upload is unfinished: completing, aborting, refusing or abandoning it
    removes it. `part_size` is set for a multipart upload, whose name in the store is `store_upload_id`.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    folder = models.ForeignKey(Folder, on_delete=models.PROTECT, related_name="uploads")
    subfolder = models.ForeignKey(Subfolder, on_delete=models.PROTECT, null=True, related_name="uploads")
    filename = models.CharField(max_length=255)
    size_bytes = models.BigIntegerField()
    content_type = models.CharField(max_length=127)
    type_policy = models.CharField(max_length=10)
    object_key = models.CharField(max_length=500, unique=True)
    store_upload_id = models.CharField(max_length=300, blank=True)
    part_size = models.BigIntegerField(null=True)
    visibility = models.CharField(max_length=10, choices=Visibility.choices, default=Visibility.PRIVATE)
    tags = models.JSONField(default=list)
    uploaded_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="uploads")
    status = models.CharField(max_length=12, choices=UploadStatus.choices, default=UploadStatus.PENDING)
    claimed_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(db_index=True)

    objects = UploadQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at", "-id"]
        constraints = [models.CheckConstraint(condition=Q(size_bytes__gt=0), name="upload_size_positive")]
        indexes = [models.Index(fields=["uploaded_by", "-created_at", "-id"], name="upload_newest")]

    def __str__(self):
        return self.filename

    @property
    def is_multipart(self):
        """True when the bytes come in parts."""
        return self.part_size is not None

    @property
    def part_count(self):
        """How many parts make the whole."""
        return -(-self.size_bytes // self.part_size) if self.is_multipart else 1

    def part_bytes(self, number):
        """The size of part `number` (from 1)."""
        return min(self.part_size, self.size_bytes - (number - 1) * self.part_size)
