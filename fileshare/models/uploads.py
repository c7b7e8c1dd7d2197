"""Uploads on their way."""

import uuid
from datetime import timedelta

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from .files import Visibility
from .folders import Folder, Subfolder

# A request that claimed an upload and died is taken over after this long; one that lives renews its claim.
CLAIM_LEASE = timedelta(seconds=30)
STALLED_AFTER = timedelta(hours=1)
PATIENT_BYTES_PER_SECOND = 256 * 1024


class UploadStatus(models.TextChoices):
    """PENDING takes bytes; COMPLETING is claimed by one request that looks at them."""

    PENDING = "pending"
    COMPLETING = "completing"


class UploadState(models.TextChoices):
    """How an upload stands, as people are told."""

    COMING = "coming", _("On its way")
    CHECKED = "checked", _("Its content is looked at")
    STALLED = "stalled", _("Stalled")


class UploadQuerySet(models.QuerySet):
    """Uploads, and whose they are."""

    def of(self, user):
        """The unfinished uploads that `user` began; what strangers send on their behalf is the strangers' business."""
        return self.filter(uploaded_by=user, sender=None) if user.is_active else self.none()

    def from_sender(self, sender):
        """The unfinished uploads of one RequestSender."""
        return self.filter(sender=sender)

    def begun_by(self, user, sender=None):
        """Those of `sender`, who sends on behalf of `user`; without one those of `user`."""
        return self.of(user) if sender is None else self.from_sender(sender)

    def endable_by(self, user):
        """Those `user` may give up: their own; a super all, what strangers send included."""
        return self.all() if user.is_active and user.is_superuser else self.of(user)

    def watched_by(self, user):
        """Those into folders whose traffic `user` looks after."""
        if user.is_active and user.is_superuser:
            return self.all()
        return self.filter(folder__in=Folder.objects.watched_by(user).values("pk"))

    def claimable(self):
        """Those nobody is finishing just now; whoever began and died counts as nobody."""
        lost = Q(status=UploadStatus.COMPLETING, claimed_at__lt=timezone.now() - CLAIM_LEASE)
        return self.filter(Q(status=UploadStatus.PENDING) | lost)

    def abandoned(self):
        """Those whose time is over, and that nobody is finishing just now."""
        return self.claimable().filter(expires_at__lte=timezone.now())


class Upload(models.Model):
    """A promise of a file: `size_bytes` of its folder are reserved, its id becomes the file's.

    The row lives while the upload is unfinished: completing, aborting, refusing or abandoning it
    removes it. `part_size` is set for a multipart upload, whose name in the store is `store_upload_id`.
    `sender` is who answers a file request; then `uploaded_by` is the request's owner.
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
    sender = models.ForeignKey(
        "fileshare.RequestSender", on_delete=models.CASCADE, null=True, blank=True, related_name="uploads"
    )
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
    def is_stalled(self):
        """True when it should long be over: an hour, and what its bytes take at PATIENT_BYTES_PER_SECOND, have gone by.

        While it is being checked, counted from when that began.
        """
        patience = STALLED_AFTER + timedelta(seconds=self.size_bytes / PATIENT_BYTES_PER_SECOND)
        since = self.claimed_at if self.status == UploadStatus.COMPLETING and self.claimed_at else self.created_at
        return timezone.now() - since > patience

    @property
    def state(self):
        """An UploadState."""
        if self.is_stalled:
            return UploadState.STALLED
        return UploadState.CHECKED if self.status == UploadStatus.COMPLETING else UploadState.COMING

    @property
    def part_count(self):
        """How many parts make the whole."""
        return -(-self.size_bytes // self.part_size) if self.is_multipart else 1

    def part_bytes(self, number):
        """The size of part `number` (from 1)."""
        return min(self.part_size, self.size_bytes - (number - 1) * self.part_size)
