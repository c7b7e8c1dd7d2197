"""Share links, by which people without an account open or download a file, several files, or those of a folder."""

import uuid
from datetime import timedelta
from functools import reduce
from operator import or_

from django.conf import settings
from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import (
    CharField,
    DurationField,
    Exists,
    ExpressionWrapper,
    F,
    IntegerField,
    OuterRef,
    Prefetch,
    Q,
    Subquery,
    Value,
)
from django.db.models.lookups import Exact, GreaterThanOrEqual, IsNull
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from .files import NOBODY, File
from .folders import Folder, Subfolder

MAX_SHARED_FILES = 1000
NAMED = 3
"""Where a link for several files is listed, the names of so many of them stand there."""


class SharePermission(models.TextChoices):
    """What a person who opens a share link may do."""

    DOWNLOAD = "download", _("Download")
    VIEW = "view", _("View only")


class ShareState(models.TextChoices):
    """The state of a share link.

    BLOCKED: there is nothing that it may still show (ShareLink.carried).
    """

    LIVE = "live", _("Live")
    EXPIRED = "expired", _("Expired")
    USED_UP = "used_up", _("Used up")
    REVOKED = "revoked", _("Revoked")
    BLOCKED = "blocked", _("Blocked")


def _unspent():
    has_uses = Q(max_downloads=None) | Q(download_count__lt=F("max_downloads"))
    return Q(revoked_at=None, expires_at__gt=timezone.now()) & has_uses


def _rules_kept(password, lifetime):
    """A condition on files: a link with this password hash ("" for none) and lifetime, both expressions, keeps the
    rules of the file's folder. For the words of a refusal Folder.share_rules_broken asks the same of one folder."""
    # SQLite multiplies a duration by an IntegerField, not by a PositiveIntegerField.
    days = ExpressionWrapper(F("folder__share_max_days"), output_field=IntegerField())
    most = ExpressionWrapper(days * Value(timedelta(days=1), DurationField()), output_field=DurationField())
    has_password = ~Q(Exact(password, Value("", CharField())))
    return (Q(folder__share_password_required=False) | has_password) & (
        Q(folder__share_max_days=None) | Q(GreaterThanOrEqual(most, lifetime))
    )


def _carries_some(maker):
    """A condition on links, with their `lifetime`: they are of `maker` and carry a file now (ShareLink.carried)."""
    files = File.objects.shareable_by(maker).filter(_rules_kept(OuterRef("password"), OuterRef("lifetime")))
    inside = Q(IsNull(OuterRef("subfolder"), True)) | Q(subfolder=OuterRef("subfolder"))
    # The order makes the database look in the folder's own index. It would else read all files from the first one.
    newest = files.filter(inside, folder=OuterRef("folder")).order_by("-uploaded_at", "-pk").values("pk")[:1]
    # Three questions, each answered by an index; one question with "or" would read all files, too.
    some = (
        Q(Exists(files.filter(pk=OuterRef("file"))))
        | Q(IsNull(Subquery(newest), False))
        | Q(Exists(files.filter(shared__share=OuterRef("pk"))))
    )
    # The maker comes first: what follows costs more, and is asked of that maker's links alone.
    return Q(created_by=maker) & some


class ShareLinkQuerySet(models.QuerySet):
    """The rules of who may see and revoke a share link, and of whether it works. No other module decides this."""

    def of(self, user):
        """Links that `user` may see and revoke: their own. A super may see and revoke all."""
        if not user.is_active:
            return self.none()
        return self.all() if user.is_superuser else self.filter(created_by=user)

    def mailed_to(self, user):
        """Links that were mailed to the address that `user` has today."""
        return self.filter(recipient=user.email) if user.is_active else self.none()

    def entitled(self, makers):
        """Links made by one of `makers` (users) that carry at least one file now (ShareLink.carried)."""
        lifetime = ExpressionWrapper(F("expires_at") - F("created_at"), output_field=DurationField())
        return self.alias(lifetime=lifetime).filter(reduce(or_, map(_carries_some, makers), NOBODY))

    def leading_to(self, file):
        """Links to this File: to it alone, to several of which it is one, and to the place where it lies."""
        links, here = self.model.objects.order_by(), Q(subfolder=None)
        if file.subfolder_id is not None:
            here |= Q(subfolder=file.subfolder_id)
        ways = [
            links.filter(file=file),
            links.filter(shared_files__file=file),
            links.filter(here, folder=file.folder_id),
        ]
        alone, *others = (way.values("pk") for way in ways)
        return self.filter(pk__in=alone.union(*others, all=True))

    def unspent(self):
        """Links that are not revoked, not expired and not used up. Their makers' rights are not checked."""
        return self.filter(_unspent())

    def empty(self):
        """Links to several files of which none is left, those in the trash counted as left."""
        return self.filter(~Exists(SharedFile.objects.filter(share=OuterRef("pk"))), file=None, folder=None)

    def with_details(self):
        """Joined with file, folder, subfolder, maker and the maker's company, which `state_for` and the pages read; the
        first NAMED of several files are in `first_shared`."""
        first = SharedFile.objects.select_related("file__folder").order_by("pk")[:NAMED]
        return self.select_related(
            "file__folder", "file__subfolder", "folder__owner", "subfolder", "created_by__company"
        ).prefetch_related(Prefetch("shared_files", queryset=first, to_attr="first_shared"))


class ShareLink(models.Model):
    """A link to one file, to several, or to a folder. Every person who has the link can use it.

    It has exactly one kind of target: `file`; or `folder`, all of it or the files of one `subfolder`; or several files,
    which are rows of SharedFile and were `file_count` when the link was made. What it shows is asked anew each time
    (`carried`).

    The token is in the link only; `token_hash` is its SHA-256 (hex). `password` is a hash made by Django, "" for none.
    `recipient` is the address the link was mailed to, "" when its maker passes it on. One conditional UPDATE of
    `download_count` spends a use. A link for viewing counts no uses.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    file = models.ForeignKey(
        File, on_delete=models.CASCADE, null=True, blank=True, related_name="shares", db_index=False
    )
    folder = models.ForeignKey(
        Folder, on_delete=models.CASCADE, null=True, blank=True, related_name="shares", db_index=False
    )
    subfolder = models.ForeignKey(
        Subfolder, on_delete=models.CASCADE, null=True, blank=True, related_name="shares", db_index=False
    )
    file_count = models.PositiveIntegerField(null=True, blank=True, validators=[MinValueValidator(2)])
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="shares", db_index=False
    )
    token_hash = models.CharField(max_length=64, unique=True)
    permission = models.CharField(max_length=10, choices=SharePermission.choices)
    expires_at = models.DateTimeField()
    password = models.CharField(max_length=256, blank=True)
    max_downloads = models.PositiveIntegerField(null=True, blank=True)
    download_count = models.PositiveIntegerField(default=0)
    revoked_at = models.DateTimeField(null=True, blank=True)
    recipient = models.EmailField(max_length=254, blank=True)
    created_at = models.DateTimeField(default=timezone.now)

    objects = ShareLinkQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at", "-id"]
        constraints = [
            models.CheckConstraint(condition=Q(permission__in=SharePermission.values), name="share_permission_known"),
            models.CheckConstraint(condition=Q(expires_at__gt=F("created_at")), name="share_lives"),
            models.CheckConstraint(
                condition=Q(max_downloads=None) | Q(max_downloads__gte=1, download_count__lte=F("max_downloads")),
                name="share_within_limit",
            ),
            models.CheckConstraint(
                condition=~Q(permission="view") | Q(max_downloads=None, download_count=0), name="share_view_counts_none"
            ),
            models.CheckConstraint(
                condition=Q(file__isnull=False, folder=None, subfolder=None, file_count=None)
                | Q(file=None, folder__isnull=False, file_count=None)
                # A comparison with NULL alone would let everything pass.
                | Q(file=None, folder=None, subfolder=None, file_count__isnull=False)
                & Q(file_count__gte=2, file_count__lte=MAX_SHARED_FILES),
                name="share_of_one_kind",
            ),
        ]
        indexes = [
            models.Index(fields=["file", "-created_at", "-id"], name="share_newest_of_file"),
            models.Index(fields=["created_by", "-created_at", "-id"], name="share_newest_of_maker"),
            # Each deletion of a folder or subfolder looks for the links to it.
            models.Index(fields=["folder"], condition=Q(folder__isnull=False), name="share_of_folder"),
            models.Index(fields=["subfolder"], condition=Q(subfolder__isnull=False), name="share_of_subfolder"),
        ]

    def __str__(self):
        """The log's name of a link for several files, in no language: "a.pdf +9"."""
        if self.file_count is None:
            return str(self.file or self.subfolder or self.folder)
        return f"{self.first_names[0]} +{self.file_count - 1}" if self.first_names else f"+{self.file_count}"

    @property
    def target(self):
        """What the log's rows about it are about: the File or the Folder; for several files the link itself."""
        return self.file or self.folder or self

    @property
    def target_folder(self):
        """The Folder of its file, or the one it leads to; None for several files."""
        return self.file.folder if self.file else self.folder

    @property
    def first_names(self):
        """The names of the first NAMED files of a link for several (with_details), those in the trash too."""
        return [shared.file.filename for shared in self.first_shared]

    @property
    def title(self):
        """What it leads to, in a few words of the reader's language (with_details)."""
        if self.file:
            return self.file.filename
        if self.folder:
            name = self.folder.shown_name
            return f"{name} / {self.subfolder.name}" if self.subfolder else name
        if not self.first_names:
            return ngettext("%(n)d file", "%(n)d files", self.file_count) % {"n": self.file_count}
        more = self.file_count - 1
        text = ngettext("%(name)s and %(n)d more file", "%(name)s and %(n)d more files", more)
        return text % {"name": self.first_names[0], "n": more}

    @property
    def lifetime(self):
        """How long it lives from its making, a timedelta."""
        return self.expires_at - self.created_at

    def targeted(self):
        """The Files it leads to, whatever the rights: those it was made for, or those that are in its folder now."""
        if self.file_id:
            return File.objects.filter(pk=self.file_id)
        if self.folder_id:
            inside = {"subfolder": self.subfolder_id} if self.subfolder_id else {}
            return File.objects.filter(folder=self.folder_id, **inside)
        return File.objects.filter(shared__share=self.pk)

    def carried(self):
        """The Files it shows now: those it leads to, that its maker may still share (shareable_by), and in whose
        folder's rules it fits. So of a folder that is not the maker's own it shows the maker's own uploads; of any
        folder all files while its maker is a super."""
        rules = _rules_kept(Value(self.password, CharField()), Value(self.lifetime, DurationField()))
        return self.targeted().shareable_by(self.created_by).filter(rules)

    @property
    def has_password(self):
        """True when the link asks for a password."""
        return bool(self.password)

    @property
    def downloads_left(self):
        """How many uses are left; None without a limit."""
        return None if self.max_downloads is None else max(0, self.max_downloads - self.download_count)

    @property
    def ends_at(self):
        """When the link stops working: at its own end, or at its one file's expiry if that is earlier."""
        ends = self.file.expires_at if self.file else None
        return min(self.expires_at, ends) if ends else self.expires_at

    def state_for(self, *, carries):
        """The link's ShareState. `carries`: there is a file that it shows now."""
        if self.revoked_at is not None:
            return ShareState.REVOKED
        if self.expires_at <= timezone.now():
            return ShareState.EXPIRED
        if self.downloads_left == 0:
            return ShareState.USED_UP
        return ShareState.LIVE if carries else ShareState.BLOCKED


class SharedFile(models.Model):
    """One of the files of a share link for several; the order of the ids is that in which they were named."""

    share = models.ForeignKey(ShareLink, on_delete=models.CASCADE, related_name="shared_files", db_index=False)
    file = models.ForeignKey(File, on_delete=models.CASCADE, related_name="shared")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["share", "file"], name="shared_file_once")]

    def __str__(self):
        return f"{self.share_id}: {self.file_id}"


class ShareDownloadQuerySet(models.QuerySet):
    """Uses of share links."""

    def open(self):
        """Uses that may still fetch bytes: younger than RESUME_GRACE_SECONDS, of a link that is not revoked."""
        since = timezone.now() - timedelta(seconds=settings.RESUME_GRACE_SECONDS)
        return self.filter(downloaded_at__gt=since, share__revoked_at=None)


class ShareDownload(models.Model):
    """One use of a share link: when, and from which address and browser. For RESUME_GRACE_SECONDS its client may
    resume the download.

    `file` is the one that was downloaded; None for a ZIP of `file_count` files, and when the file is gone.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    share = models.ForeignKey(ShareLink, on_delete=models.CASCADE, related_name="downloads", db_index=False)
    file = models.ForeignKey(File, on_delete=models.SET_NULL, null=True, related_name="+", db_index=False)
    file_count = models.PositiveIntegerField(default=1, db_default=1)
    downloaded_at = models.DateTimeField(default=timezone.now)
    address = models.GenericIPAddressField(null=True, blank=True)
    user_agent = models.CharField(max_length=300, blank=True)

    objects = ShareDownloadQuerySet.as_manager()

    class Meta:
        ordering = ["-downloaded_at", "-id"]
        indexes = [
            models.Index(fields=["share", "-downloaded_at", "-id"], name="share_download_newest"),
            # Each deletion of a file looks for these.
            models.Index(fields=["file"], condition=Q(file__isnull=False), name="share_download_of_file"),
        ]

    def __str__(self):
        return f"{self.share_id} from {self.address}"

    @property
    def what(self):
        """What was downloaded, in words; "" when the file is gone."""
        if self.file_count > 1:
            return ngettext("%(n)d file as a ZIP", "%(n)d files as a ZIP", self.file_count) % {"n": self.file_count}
        return self.file.filename if self.file else ""

    @property
    def agent(self):
        """The browser or program that used the link, in a word or two."""
        names = ("Edg", "OPR", "Firefox", "Chrome", "Safari")
        known = {"Edg": "Edge", "OPR": "Opera"}
        for name in names:
            if f"{name}/" in self.user_agent:
                return known.get(name, name)
        return self.user_agent.split(" ")[0][:40]
