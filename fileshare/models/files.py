"""Files. A row is made only after its bytes are in the store."""

import uuid
from datetime import timedelta

from django.conf import settings
from django.db import models
from django.db.models import Case, Count, Exists, F, IntegerField, OuterRef, Prefetch, Q, Subquery, Value, When
from django.db.models.functions import Coalesce
from django.db.models.lookups import IsNull
from django.utils import timezone

from config import prepared

from .folded import FoldedField
from .folders import Folder, Subfolder
from .holds import Hold
from .rows import COLUMNS, FileFacts, ScanState, Visibility


class Tag(models.Model):
    """A word that users put on files; lower case, trimmed. The search compares `folded_name`."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=50, unique=True)
    folded_name = FoldedField(of="name")

    class Meta:
        ordering = ["name"]
        # The operator class lets PostgreSQL find the beginning of a name, whatever the database's collation.
        indexes = [models.Index(fields=["folded_name"], opclasses=["text_pattern_ops"], name="tag_folded_name")]

    def __str__(self):
        return self.name


NOBODY = Q(pk__in=[])
LIVE = Q(deleted_at=None)
MAX_PIECES = 50
# Users are told of a new file when the scanner passes it, if that is no later than this after the upload.
NEWS_AFTER_A_SCAN = timedelta(days=7)
STUCK_AFTER = 6
"""Failed scans in a row, about a quarter of an hour. After them the file is listed with those in quarantine."""
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
    # Keep the hold last: the database then looks for holds only on files that have expired.
    return Q(expires_at=None) | Q(expires_at__gt=prepared.now()) | _held()


class FileQuerySet(models.QuerySet):
    """The rules of what a user may do with a file. No other module decides this."""

    def held(self):
        """Files under a legal hold: on the file, its folder, the folder's owner or the file's uploader."""
        return self.filter(_held())

    def not_held(self):
        """Files that no legal hold protects."""
        return self.filter(~_held())

    def kept(self):
        """Files that are not in the trash and have not expired. A held file does not expire."""
        return self.filter(_unexpired(), LIVE)

    def trashed(self):
        """Files in the trash that can still be restored. A held file can be restored for as long as it is held."""
        recent = Q(deleted_at__gt=prepared.now() - settings.TRASH_LIFETIME)
        return self.filter(_unexpired(), recent | _held(), deleted_at__isnull=False)

    def restorable_by(self, user):
        """Files in the trash that `user` may restore, or delete for good.

        A user may with files they deleted themselves, and with all files of their personal folder; a super with all.
        So an uploader cannot restore a file that a super deleted from a shared folder.
        """
        mine = EVERYTHING if user.is_superuser else Q(deleted_by=user) | Q(folder__owner=user)
        return self.trashed().filter(_deletable(user), mine)

    def expired(self):
        """Files past their expiry, in the trash or not. Legal holds are not considered."""
        return self.filter(expires_at__lte=prepared.now())

    def forgotten(self):
        """Files that have been in the trash for TRASH_LIFETIME. Legal holds are not considered."""
        return self.filter(deleted_at__lte=prepared.now() - settings.TRASH_LIFETIME)

    def waiting_for_a_scan(self):
        """Files that the scanner has not judged yet."""
        return self.filter(WAITING)

    def quarantined(self):
        """Files that stay blocked until a super releases them.

        The scanner found them infected, could not judge them, or failed on them STUCK_AFTER times. When no scanner is
        configured, all waiting files are among them too.
        """
        kept_back = self.filter(~CLEAN)
        return kept_back.filter(~WAITING | Q(scan_failures__gte=STUCK_AFTER)) if settings.CLAMD_URL else kept_back

    def downloadable_by(self, user):
        """Files that `user` may download: clean, and public or in a folder they may download from."""
        return self.kept().filter(CLEAN, _downloadable(user))

    def awaited_by(self, user):
        """Files that `user` may download once the virus scanner has passed them."""
        return self.kept().filter(WAITING, _downloadable(user))

    def downloadable_pieces(self, folders):
        """downloadable_by a user of these folders (ids), and no super, as a list of querysets.

        An index returns the rows of each queryset in order of time. So a user who sees few files of a large portal
        gets them without a scan of all the others.
        """
        places = [Q(folder=folder) for folder in folders]
        # Build this once for all pieces: Django needs as long to build it as the database to answer it.
        kept = self.kept().filter(CLEAN)
        return [kept.filter(place) for place in [*places, Q(visibility=Visibility.PUBLIC)]]

    def visible_to(self, user):
        """Files that `user` may know of: those they may download, and those they may delete.

        A user sees the files they may delete even when these are not clean.
        """
        return self.kept().filter(CLEAN & _downloadable(user) | _deletable(user))

    def deletable_by(self, user):
        """Files that `user` may delete, rename and tag.

        These are their own uploads while they may see the folder, and all files of their personal folder. A super may
        with all files.
        """
        return self.kept().filter(_deletable(user))

    def shareable_by(self, user):
        """Files to which `user` may make share links: those they may delete and that are clean."""
        return self.deletable_by(user).filter(CLEAN)

    def publishable_by(self, user):
        """Files whose visibility `user` may set: those of their personal folder; for a super, of all such folders."""
        if not user.is_active:
            return self.none()
        personal = self.kept().filter(folder__owner__isnull=False)
        return personal if user.is_superuser else personal.filter(folder__owner=user)

    def in_folder(self, folder, user):
        """Files of `folder` that `user` may know of. Of `folder`, a row from with_rights(user), it reads `pk`,
        `owner_id` and `can_download`.

        A user who may download from the folder sees its clean files and their own uploads. The folder's owner and
        supers see all its files.
        """
        if not folder.can_download:
            return self.visible_to(user).filter(folder=folder.pk)
        sees_all = user.is_superuser or folder.owner_id == user.pk
        own = EVERYTHING if sees_all else Q(uploaded_by=user)
        return self.kept().filter(CLEAN | own, folder=folder.pk)

    def versions_of(self, file):
        """Files of the same name in the same folder and subfolder, `file` among them."""
        return self.filter(folder=file.folder_id, subfolder=file.subfolder_id, filename=file.filename)

    def latest_versions(self):
        """The newest version of each name and place, with_version_count.

        Only the files of this queryset are compared, so a newer version that the user may not see hides no older one.
        """
        newer = self._same_name().filter(
            Q(uploaded_at__gt=OuterRef("uploaded_at")) | Q(uploaded_at=OuterRef("uploaded_at"), pk__gt=OuterRef("pk"))
        )
        return self.with_version_count().filter(~Exists(newer))

    def to_carry(self):
        """Files whose bytes are still where they were before the file was moved."""
        return self.filter(next_key__isnull=False)

    def named_by(self, keys):
        """Files whose bytes are at one of these keys of the store, or on their way there."""
        return self.filter(Q(object_key__in=keys) | Q(next_key__in=keys))

    def with_version_count(self):
        """Annotated with version_count: how many files of this queryset have the same name and place."""
        count = self._same_name().values("folder").annotate(n=Count("pk")).values("n")
        return self.annotate(version_count=Coalesce(Subquery(count, output_field=IntegerField()), Value(1)))

    def _same_name(self):
        both_at_the_root = Q(IsNull(OuterRef("subfolder"), True), subfolder=None)
        same_place = Q(subfolder=OuterRef("subfolder")) | both_at_the_root
        return self.order_by().filter(same_place, folder=OuterRef("folder"), filename=OuterRef("filename"))

    def with_details(self, user):
        """Joined with folder, subfolder and uploader, annotated with can_delete for `user`; tags are in `tag_list`."""
        return (
            self._with_can_delete(user)
            .select_related("folder", "subfolder", "uploaded_by")
            .prefetch_related(Prefetch("tags", to_attr="tag_list"))
        )

    def as_rows(self, user):
        """What `rows.made` needs, in tuples: the same as with_details, but the tags, and with_version_count if that
        was asked for."""
        counted = "version_count" in self.query.annotations
        queryset = self if counted else self.annotate(version_count=Value(1))
        return queryset._with_can_delete(user).values_list(*COLUMNS)

    def _with_can_delete(self, user):
        return self.annotate(can_delete=Case(When(_deletable(user), then=Value(True)), default=Value(False)))

    def come_between(self, since, until):
        """Clean files that became downloadable after `since` and up to `until`; came_at is that moment.

        For a scanned file it is when the scanner passed it, else when it was uploaded. Files uploaded more than
        NEWS_AFTER_A_SCAN before `since` and scanned again are left out: users knew them already.
        """
        young = Q(uploaded_at__gt=since - NEWS_AFTER_A_SCAN)
        at_once = Q(scanned_at=None, uploaded_at__gt=since, uploaded_at__lte=until)
        passed = Q(scanned_at__gt=since, scanned_at__lte=until) & young
        return self.filter(CLEAN, at_once | passed).annotate(came_at=Coalesce("scanned_at", "uploaded_at"))

    def count_downloads(self):
        """Add one to the download count of each file, in the caller's transaction."""
        # An UPDATE locks its rows in any order; what moves, deletes or tags files locks them in this one.
        rows = self.order_by("pk").select_for_update(of=("self",), no_key=True)
        ids = list(rows.values_list("pk", flat=True))
        self.model.objects.filter(pk__in=ids).update(**downloads_counted(1))


def downloads_counted(times):
    """What a count of so many downloads changes in a file."""
    return {"download_count": F("download_count") + times}


class File(FileFacts, models.Model):
    """A stored file. Two uploads of one name to one place are two rows: versions, ordered by `uploaded_at`.

    `sent_as` is the name of a picture that was sent under the ending of another kind of picture; "" for other files.
    `sha256` (hex) and `crc32` cover the whole content; they are empty on a large upload until the checksum task has
    read it. `etag` is the object store's, unquoted. `object_key` is where the bytes are. `next_key` is where they are
    carried to after the file was moved to another folder (fileshare.many.carrying); else None. A file with `deleted_at`
    is in the trash: only users who may restore it see it, and its bytes still count towards the quota. `scan_detail`
    names the virus, or says why there is no verdict. `scanned_at` is the time of the verdict; `scan_due_at` is when a
    worker may next take a waiting file; `scan_failures` counts the failed scans in a row. The search compares
    `folded_name`.
    """

    id = models.UUIDField(primary_key=True, editable=False)
    folder = models.ForeignKey(Folder, on_delete=models.PROTECT, related_name="files", db_index=False)
    subfolder = models.ForeignKey(Subfolder, on_delete=models.PROTECT, null=True, blank=True, related_name="files")
    filename = models.CharField(max_length=255)
    folded_name = FoldedField(of="filename")
    sent_as = models.CharField(max_length=255, blank=True, db_default="", editable=False)
    size_bytes = models.BigIntegerField()
    content_type = models.CharField(max_length=127)
    sha256 = models.CharField(max_length=64, blank=True)
    crc32 = models.BigIntegerField(null=True, blank=True)
    etag = models.CharField(max_length=100, blank=True)
    object_key = models.CharField(max_length=500, unique=True)
    # Null, not "": SQLite uses the partial index for a key only where the condition is IS NOT NULL.
    next_key = models.CharField(max_length=500, null=True, blank=True, editable=False)  # noqa: DJ001
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
            models.CheckConstraint(condition=Q(size_bytes__gte=0), name="file_size_not_negative"),
            models.CheckConstraint(condition=Q(visibility__in=Visibility.values), name="file_visibility_known"),
            models.CheckConstraint(condition=Q(scan_state__in=ScanState.values), name="file_scan_state_known"),
            models.CheckConstraint(condition=~WAITING | Q(scan_due_at__isnull=False), name="file_scan_is_due"),
        ]
        # The indexes of the lists leave out the trash, so that a folder with many deleted files is not slower to list.
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
            models.Index(fields=["id"], condition=Q(folded_name=None), name="file_not_folded"),
            models.Index(fields=["next_key"], condition=Q(next_key__isnull=False), name="file_to_carry"),
        ]

    def __str__(self):
        return self.filename

    def save(self, *args, update_fields=None, **options):
        """Save the row; a new name takes its folded form along."""
        if update_fields is not None and "filename" in update_fields:
            update_fields = {*update_fields, "folded_name"}
        super().save(*args, update_fields=update_fields, **options)

    @property
    def purge_at(self):
        """When the file is deleted for good; None when it is not in the trash."""
        if self.deleted_at is None:
            return None
        purge_at = self.deleted_at + settings.TRASH_LIFETIME
        return min(purge_at, self.expires_at) if self.expires_at else purge_at


class QuarantinedFile(File):
    """A proxy of File for the administrator's list of the quarantine."""

    class Meta:
        proxy = True
        default_permissions = ()
