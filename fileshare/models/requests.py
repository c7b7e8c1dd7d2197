"""File requests: links by which people without an account send files, who they were, and what came."""

import uuid

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Exists, F, OuterRef, Q
from django.urls import reverse
from django.utils import timezone
from django.utils.functional import cached_property
from django.utils.translation import gettext_lazy as _

from .files import File
from .folders import Folder, Subfolder, TypePolicy

MAX_FILES = 1000
MAX_BYTES = 2**50


class RequestState(models.TextChoices):
    """Whether a file request takes files, and if not, why."""

    OPEN = "open", _("Open")
    CLOSED = "closed", _("Closed")
    PAST = "past", _("Past its deadline")
    FULL = "full", _("Full")


STANDS = Q(closed_at=None, folder__isnull=False) & (Q(in_subfolder=False) | Q(subfolder__isnull=False))
FULL = Q(received_files__gte=F("max_files")) | Q(received_bytes__gte=F("max_bytes"))


class FileRequestQuerySet(models.QuerySet):
    """Whose requests they are, and what they still take."""

    def visible_to(self, user):
        """Those of `user`, who may also change them; a super every one."""
        if not user.is_active:
            return self.none()
        return self.all() if user.is_superuser else self.filter(owner=user)

    def open(self):
        """Neither closed nor past their deadline, and their folder is there."""
        return self.filter(STANDS, deadline__gt=timezone.now())

    def with_right(self):
        """Annotated with owner_may_upload, so that the `state` of many rows costs no query each."""
        folders = Folder.objects.order_by().uploadable_by_each("owner")
        return self.annotate(owner_may_upload=Exists(folders.filter(pk=OuterRef("folder"))))

    def in_state(self, state):
        """Those whose `state` is that RequestState."""
        rows = self.with_right()
        standing = rows.filter(STANDS, owner_may_upload=True)
        match state:
            case RequestState.OPEN:
                return standing.open().exclude(FULL)
            case RequestState.FULL:
                return standing.open().filter(FULL)
            case RequestState.PAST:
                return standing.filter(deadline__lte=timezone.now())
            case RequestState.CLOSED:
                return rows.filter(~STANDS | Q(owner_may_upload=False))

    def with_a_place(self):
        """Those that take one more file, if not every size."""
        return self.filter(max_files__gt=F("received_files") + F("reserved_files"))

    def with_room_for(self, size_bytes):
        """Those whose limit of bytes is `size_bytes` or more away."""
        return self.filter(max_bytes__gte=F("received_bytes") + F("reserved_bytes") + size_bytes)


class FileRequest(models.Model):
    """A link by which anybody may put files into one place of its owner's, and see nothing there.

    `received_*` counts what came, `reserved_*` what is on its way; both move by conditional UPDATEs only
    (fileshare.receiving). The token is computed from id and `generation`, and only its hash is stored.
    What is sent is sent on behalf of the owner, whose right to the folder is asked at every step. Folder
    and subfolder become None when they are deleted, and then nothing more is taken.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="file_requests", db_index=False
    )
    folder = models.ForeignKey(Folder, on_delete=models.SET_NULL, null=True, related_name="file_requests")
    subfolder = models.ForeignKey(Subfolder, on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    in_subfolder = models.BooleanField(default=False, editable=False)
    token_hash = models.CharField(max_length=64, unique=True)
    generation = models.PositiveIntegerField(default=1)
    title = models.CharField(max_length=200)
    note = models.TextField(max_length=2000, blank=True)
    deadline = models.DateTimeField()
    max_files = models.PositiveIntegerField(validators=[MinValueValidator(1), MaxValueValidator(MAX_FILES)])
    max_bytes = models.BigIntegerField(validators=[MinValueValidator(1), MaxValueValidator(MAX_BYTES)])
    type_policy = models.CharField(max_length=10, choices=TypePolicy.choices)
    password = models.CharField(max_length=200, blank=True)
    asks_name = models.BooleanField(default=False)
    asks_email = models.BooleanField(default=False)
    received_files = models.PositiveIntegerField(default=0)
    received_bytes = models.BigIntegerField(default=0)
    reserved_files = models.PositiveIntegerField(default=0)
    reserved_bytes = models.BigIntegerField(default=0)
    closed_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(default=timezone.now)

    objects = FileRequestQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at", "-id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(max_files__gte=1, max_files__lte=MAX_FILES, max_bytes__gte=1), name="request_limits_sane"
            ),
            models.CheckConstraint(
                condition=Q(received_bytes__gte=0, reserved_bytes__gte=0), name="request_bytes_positive"
            ),
            models.CheckConstraint(condition=Q(type_policy__in=TypePolicy.values), name="request_policy_known"),
        ]
        indexes = [
            models.Index(fields=["owner", "-created_at", "-id"], name="request_newest_of_owner"),
            models.Index(fields=["-created_at", "-id"], name="request_newest"),
        ]

    def __str__(self):
        return self.title

    def get_absolute_url(self):
        """Its owner's page about it."""
        return reverse("file-request", args=[self.pk])

    @property
    def place_is_gone(self):
        """True when its folder or subfolder was deleted."""
        return self.folder_id is None or (self.in_subfolder and self.subfolder_id is None)

    @property
    def is_open(self):
        """As the queryset's `open`, whatever its owner may do."""
        return self.closed_at is None and not self.place_is_gone and self.deadline > timezone.now()

    @cached_property
    def owner_may_upload(self):
        """Whether its owner may still upload to its folder; a query, unless the row came with_right."""
        return Folder.objects.uploadable_by(self.owner).filter(pk=self.folder_id).exists()

    @property
    def state(self):
        """The RequestState everybody is told: a request whose owner may no longer upload there is closed."""
        if self.closed_at is not None or self.place_is_gone or not self.owner_may_upload:
            return RequestState.CLOSED
        if self.deadline <= timezone.now():
            return RequestState.PAST
        if self.received_files >= self.max_files or self.received_bytes >= self.max_bytes:
            return RequestState.FULL
        return RequestState.OPEN

    @property
    def policy(self):
        """The type policy that holds: its own, and never a wider one than its folder's of today."""
        if self.folder_id is not None and self.folder.type_policy == TypePolicy.OFFICE:
            return TypePolicy.OFFICE
        return TypePolicy(self.type_policy)


class RequestSender(models.Model):
    """Somebody who answers a request, as they called themselves; known again by a secret in their browser.

    `receipt_due_at` is when the receipt is to be mailed: some time after their last file.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    request = models.ForeignKey(FileRequest, on_delete=models.CASCADE, related_name="senders")
    secret_hash = models.CharField(max_length=64)
    name = models.CharField(max_length=150, blank=True)
    email = models.EmailField(max_length=254, blank=True)
    address = models.GenericIPAddressField(null=True, blank=True)
    language = models.CharField(max_length=10, default="en")
    receipt_due_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        indexes = [
            models.Index(
                fields=["receipt_due_at"], condition=Q(receipt_due_at__isnull=False), name="request_receipt_due"
            ),
        ]

    def __str__(self):
        return self.name or self.email or str(_("Somebody without a name"))


class ReceivedFile(models.Model):
    """A receipt: what came by a request, from whom and when. Its id is the file's, and it outlives the file.

    `sha256` is "" until somebody knows it: then the file's own, or for ever where the file went first.
    """

    id = models.UUIDField(primary_key=True, editable=False)
    request = models.ForeignKey(FileRequest, on_delete=models.CASCADE, related_name="received", db_index=False)
    sender = models.ForeignKey(RequestSender, on_delete=models.CASCADE, related_name="received", db_index=False)
    file = models.OneToOneField(File, on_delete=models.SET_NULL, null=True, related_name="receipt")
    filename = models.CharField(max_length=255)
    size_bytes = models.BigIntegerField()
    sha256 = models.CharField(max_length=64, blank=True)
    received_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["-received_at", "-id"]
        indexes = [
            models.Index(fields=["request", "-received_at", "-id"], name="received_by_request"),
            models.Index(fields=["sender", "-received_at", "-id"], name="received_from_sender"),
            models.Index(fields=["file"], condition=Q(sha256=""), name="received_without_checksum"),
        ]

    def __str__(self):
        return self.filename

    @property
    def fingerprint(self):
        """The SHA-256 of the content in hex, "" while it is being computed, None when it never will be."""
        if self.sha256 or self.file_id is None:
            return self.sha256 or None
        return self.file.sha256
