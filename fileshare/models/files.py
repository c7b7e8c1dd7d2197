"""Files: a row exists only when its bytes do."""

import uuid
from datetime import timedelta

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
from .holds import Hold


class Visibility(models.TextChoices):
    """Who may download a personal file besides its owner."""

    PRIVATE = "private", _("Private")
    PUBLIC = "public", _("Every signed-in user")


class ScanState(models.TextChoices):
    """What the virus scanner said of a file. Nobody, a super neither, gets the bytes of one that is not clean."""

    CLEAN = "clean", _("Clean")
    WAITING = "waiting", _("Being checked for viruses")
    INFECTED = "infected", _("Infected, in quarantine")
    UNSCANNABLE = "unscannable", _("Cannot be checked, in quarantine")


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
MAX_PIECES = 50
# So long a scanner may be away, and what was uploaded meanwhile is still told of.
NEWS_AFTER_A_SCAN = timedelta(days=7)
STUCK_AFTER = 6
"""Scans that failed in a row, a quarter of an hour of them: then a file does not wait unseen."""
EVERYTHING = ~NOBODY
CLEAN = Q(scan_state=ScanState.CLEAN)
WAITING = Q(scan_state=ScanState.WAITING)


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


def _held():
    holds = Hold.objects.live()
    return (
        Q(pk__in=holds.filter(file__isnull=False).values("file"))
        | Q(folder__in=Folder.objects.held().values("pk"))
        | Q(uploaded_by__in=holds.filter(user__isnull=False).values("user"))
    )


def _unexpired():
    # The hold last: it is looked for only where the time is over.
    return Q(expires_at=None) | Q(expires_at__gt=timezone.now()) | _held()


class FileQuerySet(models.QuerySet):
    """What a person may do with a file is decided here and nowhere else."""

    def held(self):
        """Those under a legal hold: on themselves, their folder, its owner or their uploader."""
        return self.filter(_held())

    def not_held(self):
        """Those that no legal hold keeps from being deleted."""
        return self.filter(~_held())

    def kept(self):
        """Those whose time has not run out, or is stopped by a hold, and that nobody has deleted."""
        return self.filter(_unexpired(), LIVE)

    def trashed(self):
        """Those in the trash that can still be restored; held ones for as long as they are held."""
        recent = Q(deleted_at__gt=timezone.now() - settings.TRASH_LIFETIME)
        return self.filter(_unexpired(), recent | _held(), deleted_at__isnull=False)

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

    def waiting_for_a_scan(self):
        """Those the scanner has not judged yet."""
        return self.filter(WAITING)

    def quarantined(self):
        """Those that only a super lets out: infected, beyond the scanner, or stuck before it.

        Without a scanner also all others that wait.
        """
        kept_back = self.filter(~CLEAN)
        return kept_back.filter(~WAITING | Q(scan_failures__gte=STUCK_AFTER)) if settings.CLAMD_URL else kept_back

    def downloadable_by(self, user):
        """Those `user` may download: clean, and in a folder they may download from, or public."""
        return self.kept().filter(CLEAN, _downloadable(user))

    def awaited_by(self, user):
        """Those `user` may download as soon as the virus scanner has passed them."""
        return self.kept().filter(WAITING, _downloadable(user))

    def downloadable_pieces(self, user):
        """downloadable_by(user) in pieces, each of which an index holds in order of time; None where there are many.

        Somebody who sees little of a large portal finds their files this way without a walk over all the others.
        Where the pieces are None they see so much that such a walk soon meets it.
        """
        if user.is_superuser:
            return None
        folders = list(Folder.objects.downloadable_by(user).values_list("pk", flat=True)[: MAX_PIECES + 1])
        if len(folders) > MAX_PIECES:
            return None
        places = [Q(folder=folder) for folder in folders]
        # Once: to put it together takes Django as long as to ask the database.
        kept = self.kept().filter(CLEAN)
        return [kept.filter(place) for place in [*places, Q(visibility=Visibility.PUBLIC)]]

    def visible_to(self, user):
        """Those `user` may know of: what they may download, and their own where they still see the folder.

        One's own are seen whatever the scanner says of them.
        """
        return self.kept().filter(CLEAN & _downloadable(user) | _deletable(user))

    def deletable_by(self, user):
        """Those `user` may delete, rename and tag: their uploads while they may see the folder, all in their own."""
        return self.kept().filter(_deletable(user))

    def shareable_by(self, user):
        """Those `user` may hand to people outside by a share link: what they may delete, and is clean."""
        return self.deletable_by(user).filter(CLEAN)

    def publishable_by(self, user):
        """Those whose visibility `user` may set: the files of their personal folder; a super any personal one."""
        if not user.is_active:
            return self.none()
        personal = self.kept().filter(folder__owner__isnull=False)
        return personal if user.is_superuser else personal.filter(folder__owner=user)

    def in_folder(self, folder, user):
        """Those of `folder`, a row with_rights of `user`, that `user` may know of.

        Whoever may download from the folder sees all of it but what others put there and is not clean.
        """
        if not folder.can_download:
            return self.visible_to(user).filter(folder=folder)
        sees_all = user.is_superuser or folder.owner_id == user.pk
        own = EVERYTHING if sees_all else Q(uploaded_by=user)
        return self.kept().filter(CLEAN | own, folder=folder)

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

    def come_between(self, since, until):
        """Clean ones that could first be had after `since` and up to `until`, annotated with that moment, came_at.

        Where a scanner looks, that is when it passed the file; old files that are scanned again are no news.
        """
        young = Q(uploaded_at__gt=since - NEWS_AFTER_A_SCAN)
        at_once = Q(scanned_at=None, uploaded_at__gt=since, uploaded_at__lte=until)
        passed = Q(scanned_at__gt=since, scanned_at__lte=until) & young
        return self.filter(CLEAN, at_once | passed).annotate(came_at=Coalesce("scanned_at", "uploaded_at"))

    def count_download(self):
        """Add one to the downloads of each."""
        self.update(download_count=F("download_count") + 1)


class File(models.Model):
    """A stored file. Twice the same name in one place is two rows, versions by `uploaded_at`.

    `sha256` (hex) and `crc32` are of the whole content; both are empty on a large upload until the
    checksum task has read it. `etag` is the object store's, unquoted. `deleted_at` puts it in the trash:
    nobody sees it but who may restore it, and its bytes and its place in the quota stay.
    `scan_detail` names the virus, or why there is no verdict; `scanned_at` is when one was given, `scan_due_at`
    when a waiting file may be taken up by the next worker, after `scan_failures` in a row.
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
    scan_state = models.CharField(max_length=12, choices=ScanState.choices, default=ScanState.CLEAN)
    scan_detail = models.CharField(max_length=255, blank=True)
    scanned_at = models.DateTimeField(null=True, blank=True)
    scan_due_at = models.DateTimeField(null=True, blank=True, editable=False)
    scan_failures = models.PositiveSmallIntegerField(default=0, editable=False)

    objects = FileQuerySet.as_manager()

    class Meta:
        ordering = ["-uploaded_at", "-id"]
        constraints = [
            models.CheckConstraint(condition=Q(size_bytes__gt=0), name="file_size_positive"),
            models.CheckConstraint(condition=Q(visibility__in=Visibility.values), name="file_visibility_known"),
            models.CheckConstraint(condition=Q(scan_state__in=ScanState.values), name="file_scan_state_known"),
            models.CheckConstraint(condition=~WAITING | Q(scan_due_at__isnull=False), name="file_scan_is_due"),
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
            models.Index(fields=["scan_due_at"], condition=WAITING, name="file_scan_waiting"),
            models.Index(fields=["-scanned_at", "-id"], condition=~CLEAN, name="file_quarantine"),
            models.Index(fields=["scanned_at"], condition=Q(scanned_at__isnull=False), name="file_scanned"),
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
    def is_clean(self):
        """True when it may be downloaded, as far as viruses go."""
        return self.scan_state == ScanState.CLEAN

    @property
    def is_waiting(self):
        """True until the scanner has judged it."""
        return self.scan_state == ScanState.WAITING

    @property
    def purge_at(self):
        """When it goes for good; None for one that is in no trash."""
        if self.deleted_at is None:
            return None
        purge_at = self.deleted_at + settings.TRASH_LIFETIME
        return min(purge_at, self.expires_at) if self.expires_at else purge_at


class QuarantinedFile(File):
    """A File as the list of the quarantine has it; the same row."""

    class Meta:
        proxy = True
        default_permissions = ()
