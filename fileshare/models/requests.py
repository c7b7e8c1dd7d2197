"""File requests: links by which people without an account send files, these senders, and receipts for their files."""

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
    """File requests, by the user who may see them and by what they still take."""

    def visible_to(self, user):
        """Requests that `user` may see and change: their own. A super sees all."""
        if not user.is_active:
            return self.none()
        return self.all() if user.is_superuser else self.filter(owner=user)

    def open(self):
        """Requests that are not closed, have a deadline in the future, and whose folder and subfolder still exist."""
        return self.filter(STANDS, deadline__gt=timezone.now())

    def with_right(self):
        """Annotated with owner_may_upload. Without it `state` costs one query for each row."""
        folders = Folder.objects.order_by().uploadable_by_each("owner")
        return self.annotate(owner_may_upload=Exists(folders.filter(pk=OuterRef("folder"))))

    def in_state(self, state):
        """Requests whose `state` is this RequestState."""
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
        """Requests that may take one more file by their number of files; their bytes are not looked at."""
        return self.filter(max_files__gt=F("received_files") + F("reserved_files"))

    def with_room_for(self, size_bytes):
        """Requests that may take `size_bytes` more."""
        return self.filter(max_bytes__gte=F("received_bytes") + F("reserved_bytes") + size_bytes)


class FileRequest(models.Model):
    """A link by which people without an account send files to one folder of its owner. It shows them no files.

    `received_*` counts the files that arrived, `reserved_*` the unfinished uploads. Only the conditional UPDATEs of
    fileshare.space.request_room may change them. The token is computed from id and `generation`; only its hash is
    stored. Senders act on behalf of the owner, so every step checks the owner's right to the folder. When the folder
    or subfolder is deleted, its field becomes None and the request takes nothing more.
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
        """The request's page, for its owner."""
        return reverse("file-request", args=[self.pk])

    @property
    def place_is_gone(self):
        """True when its folder or subfolder was deleted."""
        return self.folder_id is None or (self.in_subfolder and self.subfolder_id is None)

    @property
    def is_open(self):
        """The same rule as the queryset's `open`: the owner's right to the folder is not checked."""
        return self.closed_at is None and not self.place_is_gone and self.deadline > timezone.now()

    @cached_property
    def owner_may_upload(self):
        """True when the owner may still upload to the folder. Costs a query unless the row came from with_right."""
        return Folder.objects.uploadable_by(self.owner).filter(pk=self.folder_id).exists()

    @property
    def state(self):
        """The RequestState to show. A request whose owner may no longer upload to the folder counts as closed."""
        if self.closed_at is not None or self.place_is_gone or not self.owner_may_upload:
            return RequestState.CLOSED
        if self.deadline <= timezone.now():
            return RequestState.PAST
        if self.received_files >= self.max_files or self.received_bytes >= self.max_bytes:
            return RequestState.FULL
        return RequestState.OPEN

    @property
    def policy(self):
        """The type policy in force: the request's own, or `office` when the folder is limited to that by now."""
        if self.folder_id is not None and self.folder.type_policy == TypePolicy.OFFICE:
            return TypePolicy.OFFICE
        return TypePolicy(self.type_policy)


class RequestSender(models.Model):
    """A person who answers a request, with the name and address they gave. A secret in their browser's cookie
    identifies them.

    `receipt_due_at` is when their receipt is to be mailed: some time after their last file.
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
    """A receipt: a file that came by a request, from which sender and when. Its id is the file's; it outlives the file.

    `sha256` is "" until the file's checksum has been computed. When the file is deleted before that, it stays "".
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
        """The SHA-256 of the content in hex; "" until it is computed, None when the file was deleted before that."""
        if self.sha256 or self.file_id is None:
            return self.sha256 or None
        return self.file.sha256
