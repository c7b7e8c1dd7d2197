"""Unfinished uploads."""

import uuid
from datetime import timedelta

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from .files import Visibility
from .folders import Folder, Subfolder

# A request renews its claim on an upload while it works. A claim older than this belongs to a request that died, and
# another request may take the upload over. It is long enough for three renewals and a difference of the two clocks.
CLAIM_LEASE = timedelta(seconds=30 + settings.CLOCK_SKEW_SECONDS)
STALLED_AFTER = timedelta(hours=1)
PATIENT_BYTES_PER_SECOND = 256 * 1024


class UploadStatus(models.TextChoices):
    """PENDING: the upload takes bytes. COMPLETING: one request has claimed it and checks the bytes."""

    PENDING = "pending"
    COMPLETING = "completing"


class UploadState(models.TextChoices):
    """The state of an upload, as users see it."""

    COMING = "coming", _("On its way")
    CHECKED = "checked", _("Its content is looked at")
    STALLED = "stalled", _("Stalled")


class UploadQuerySet(models.QuerySet):
    """Uploads, by the user or sender they belong to."""

    def of(self, user):
        """The unfinished uploads that `user` began. Those that senders began on their behalf are left out."""
        return self.filter(uploaded_by=user, sender=None) if user.is_active else self.none()

    def from_sender(self, sender):
        """The unfinished uploads of one RequestSender."""
        return self.filter(sender=sender)

    def begun_by(self, user, sender=None):
        """The uploads that `sender` began on behalf of `user`; without a sender, those that `user` began."""
        return self.of(user) if sender is None else self.from_sender(sender)

    def endable_by(self, user):
        """Uploads that `user` may abort: their own. A super may abort all, those of senders included."""
        return self.all() if user.is_active and user.is_superuser else self.of(user)

    def watched_by(self, user):
        """Uploads to the folders that `user` watches over."""
        if user.is_active and user.is_superuser:
            return self.all()
        return self.filter(folder__in=Folder.objects.watched_by(user).values("pk"))

    def claimable(self):
        """Uploads that no request is completing now. A claim older than CLAIM_LEASE does not count."""
        lost = Q(status=UploadStatus.COMPLETING, claimed_at__lt=timezone.now() - CLAIM_LEASE)
        return self.filter(Q(status=UploadStatus.PENDING) | lost)

    def abandoned(self):
        """Claimable uploads that have expired."""
        return self.claimable().filter(expires_at__lte=timezone.now())


class Upload(models.Model):
    """An unfinished upload. It reserves `size_bytes` in its folder, and its id becomes the file's.

    The row is removed when the upload is completed, aborted, refused or abandoned. `part_size` is set for a multipart
    upload; `store_upload_id` is the upload's name in the store. `sender` is set when a person without an account
    answers a file request; then `uploaded_by` is the request's owner.
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
        constraints = [models.CheckConstraint(condition=Q(size_bytes__gte=0), name="upload_size_not_negative")]
        indexes = [models.Index(fields=["uploaded_by", "-created_at", "-id"], name="upload_newest")]

    def __str__(self):
        return self.filename

    @property
    def is_multipart(self):
        """True when the bytes come in parts."""
        return self.part_size is not None

    @property
    def is_stalled(self):
        """True when the upload takes longer than an hour plus the time its bytes need at PATIENT_BYTES_PER_SECOND.

        While its content is checked, the time counts from the start of the check.
        """
        patience = STALLED_AFTER + timedelta(seconds=self.size_bytes / PATIENT_BYTES_PER_SECOND)
        since = self.claimed_at if self.status == UploadStatus.COMPLETING and self.claimed_at else self.created_at
        return timezone.now() - since > patience

    @property
    def state(self):
        """The UploadState to show."""
        if self.is_stalled:
            return UploadState.STALLED
        return UploadState.CHECKED if self.status == UploadStatus.COMPLETING else UploadState.COMING

    @property
    def part_count(self):
        """The number of parts; 1 for a single PUT."""
        return -(-self.size_bytes // self.part_size) if self.is_multipart else 1

    def part_bytes(self, number):
        """The size of part `number` (from 1)."""
        return min(self.part_size, self.size_bytes - (number - 1) * self.part_size)
