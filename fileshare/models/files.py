"""Files: a row exists only when its bytes do."""

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Case, Count, Exists, F, IntegerField, OuterRef, Prefetch, Q, Subquery, Value, When
from django.db.models.functions import Coalesce
from django.db.models.lookups import IsNull
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from .. import filenames
from .folders import Folder, Subfolder


class Visibility(models.TextChoices):
    """Who may download a personal file besides its owner."""

    PRIVATE = "private", _("Private")
    PUBLIC = "public", _("Every signed-in user")


class Tag(models.Model):
    """A word people put on files; lower case, trimmed."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=50, unique=True)

    class Meta:
        ordering = ["name"]

    def __str__(self):
        return self.name


NOBODY = Q(pk__in=[])
LIVE = Q(deleted_at=None)
EVERYTHING = ~NOBODY


def _downloadable(user):
    if not user.is_active:
        return NOBODY
    if user.is_superuser:
        return EVERYTHING
    return Q(folder__in=Folder.objects.downloadable_by(user).values("pk")) | Q(visibility=Visibility.PUBLIC)


def _deletable(user):
    if not user.is_active:
        return NOBODY
    if user.is_superuser:
        return EVERYTHING
    own = Q(uploaded_by=user, folder__in=Folder.objects.visible_to(user).values("pk"))
    return own | Q(folder__owner=user)


def _unexpired():
    return Q(expires_at=None) | Q(expires_at__gt=timezone.now())


class FileQuerySet(models.QuerySet):
    """What a person may do with a file is decided here and nowhere else."""

    def kept(self):
        """Those whose time has not run out and that nobody has deleted."""
        return self.filter(_unexpired(), LIVE)

    def trashed(self):
        """Those in the trash that can still be restored."""
        return self.filter(_unexpired(), deleted_at__gt=timezone.now() - settings.TRASH_LIFETIME)

    def restorable_by(self, user):
        """Those in the trash that `user` may restore, or delete for good.

        What they deleted themselves, and all in their own folder; a super everything. What a super took
        out of a shared folder its uploader does not put back.
        """
        mine = EVERYTHING if user.is_superuser else Q(deleted_by=user) | Q(folder__owner=user)
        return self.trashed().filter(_deletable(user), mine)

    def expired(self):
        """Those whose folder keeps them no longer, in the trash or not."""
        return self.filter(expires_at__lte=timezone.now())

    def forgotten(self):
        """Those that lay in the trash for as long as it keeps them."""
        return self.filter(deleted_at__lte=timezone.now() - settings.TRASH_LIFETIME)

    def downloadable_by(self, user):
        """Those `user` may download: in a folder they may download from, or public."""
        return self.kept().filter(_downloadable(user))

    def visible_to(self, user):
        """Those `user` may know of: what they may download, and their own where they still see the folder."""
        return self.kept().filter(_downloadable(user) | _deletable(user))

    def deletable_by(self, user):
        """Those `user` may delete, rename and tag: their uploads while they may see the folder, all in their own."""
        return self.kept().filter(_deletable(user))

    def publishable_by(self, user):
        """Those whose visibility `user` may set: the files of their personal folder; a super any personal one."""
        if not user.is_active:
            return self.none()
        personal = self.kept().filter(folder__owner__isnull=False)
        return personal if user.is_superuser else personal.filter(folder__owner=user)

    def in_folder(self, folder, user):
        """Those of `folder`, a row with_rights of `user`, that `user` may know of.

        Whoever may download from the folder sees all of it, which needs no look at each row.
        """
        files = self.kept() if folder.can_download else self.visible_to(user)
        return files.filter(folder=folder)

    def versions_of(self, file):
        """The files of the same name in the same place, `file` among them."""
        return self.filter(folder=file.folder_id, subfolder=file.subfolder_id, filename=file.filename)

    def latest_versions(self):
        """The newest of each name and place, of these, with_version_count: what others see hides none of them."""
        newer = self._same_name().filter(
            Q(uploaded_at__gt=OuterRef("uploaded_at")) | Q(uploaded_at=OuterRef("uploaded_at"), pk__gt=OuterRef("pk"))
        )
        return self.with_version_count().filter(~Exists(newer))

    def with_version_count(self):
        """Annotated with version_count: how many of these have this name in this place."""
        count = self._same_name().values("folder").annotate(n=Count("pk")).values("n")
        return self.annotate(version_count=Coalesce(Subquery(count, output_field=IntegerField()), Value(1)))

    def _same_name(self):
        both_at_the_root = Q(IsNull(OuterRef("subfolder"), True), subfolder=None)
        same_place = Q(subfolder=OuterRef("subfolder")) | both_at_the_root
        return self.order_by().filter(same_place, folder=OuterRef("folder"), filename=OuterRef("filename"))

    def with_details(self, user):
        """Joined with folder, subfolder and uploader, tags as a list tag_list, annotated with can_delete of `user`."""
        can_delete = Case(When(_deletable(user), then=Value(True)), default=Value(False))
        return (
            self.annotate(can_delete=can_delete)
            .select_related("folder", "subfolder", "uploaded_by")
            .prefetch_related(Prefetch("tags", to_attr="tag_list"))
        )

    def count_download(self):
        """Add one to the downloads of each."""
        self.update(download_count=F("download_count") + 1)


class File(models.Model):
    """A stored file. Twice the same name in one place is two rows, versions by `uploaded_at`.

    `sha256` (hex) and `crc32` are of the whole content; both are empty on a large upload until the
    checksum task has read it. `etag` is the object store's, unquoted. `deleted_at` puts it in the trash:
    nobody sees it but who may restore it, and its bytes and its place in the quota stay.
    """

    id = models.UUIDField(primary_key=True, editable=False)
    folder = models.ForeignKey(Folder, on_delete=models.PROTECT, related_name="files", db_index=False)
    subfolder = models.ForeignKey(Subfolder, on_delete=models.PROTECT, null=True, blank=True, related_name="files")
    filename = models.CharField(max_length=255)
    size_bytes = models.BigIntegerField()
    content_type = models.CharField(max_length=127)
    sha256 = models.CharField(max_length=64, blank=True)
    crc32 = models.BigIntegerField(null=True, blank=True)
    etag = models.CharField(max_length=100, blank=True)
    object_key = models.CharField(max_length=500, unique=True)
    uploaded_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="files"
    )
    visibility = models.CharField(max_length=10, choices=Visibility.choices, default=Visibility.PRIVATE)
    tags = models.ManyToManyField(Tag, blank=True, related_name="files")
    uploaded_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField(null=True, blank=True)
    deleted_at = models.DateTimeField(null=True, blank=True)
    deleted_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+", db_index=False
    )
    download_count = models.PositiveIntegerField(default=0)

    objects = FileQuerySet.as_manager()

    class Meta:
        ordering = ["-uploaded_at", "-id"]
        constraints = [
            models.CheckConstraint(condition=Q(size_bytes__gt=0), name="file_size_positive"),
            models.CheckConstraint(condition=Q(visibility__in=Visibility.values), name="file_visibility_known"),
        ]
        # The lists hold no trash, so that a place where much was deleted is walked no slower.
        indexes = [
            models.Index(fields=["-uploaded_at", "-id"], condition=LIVE, name="file_live"),
            models.Index(fields=["folder", "-uploaded_at", "-id"], condition=LIVE, name="file_live_in_folder"),
            models.Index(fields=["subfolder", "-uploaded_at", "-id"], condition=LIVE, name="file_live_in_subfolder"),
            models.Index(
                fields=["folder", "-uploaded_at", "-id"], condition=LIVE & Q(subfolder=None), name="file_live_in_root"
            ),
            models.Index(fields=["folder", "filename", "-uploaded_at"], name="file_versions"),
            models.Index(fields=["uploaded_by", "-uploaded_at", "-id"], condition=LIVE, name="file_live_by_uploader"),
            models.Index(
                fields=["-uploaded_at", "-id"],
                condition=LIVE & Q(visibility=Visibility.PUBLIC),
                name="file_live_public",
            ),
            models.Index(fields=["expires_at"], condition=Q(expires_at__isnull=False), name="file_expiry"),
            models.Index(fields=["-deleted_at", "-id"], condition=Q(deleted_at__isnull=False), name="file_trash"),
            models.Index(fields=["deleted_by"], condition=Q(deleted_by__isnull=False), name="file_deleted_by"),
            models.Index(fields=["uploaded_at"], condition=Q(sha256=""), name="file_without_checksum"),
        ]

    def __str__(self):
        return self.filename

    def get_absolute_url(self):
        """The file's page."""
        return reverse("file", args=[self.pk])

    @property
    def extension(self):
        """Lower case, without the dot; "" for none."""
        return filenames.extension(self.filename)

    @property
    def purge_at(self):
        """When it goes for good; None for one that is in no trash."""
        if self.deleted_at is None:
            return None
        purge_at = self.deleted_at + settings.TRASH_LIFETIME
        return min(purge_at, self.expires_at) if self.expires_at else purge_at
