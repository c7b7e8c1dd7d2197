"""Links that let people without an account have a file."""

import uuid
from datetime import timedelta
from functools import reduce
from operator import or_

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from .files import NOBODY, File


class SharePermission(models.TextChoices):
    """What the bearer of a share link may do."""

    DOWNLOAD = "download", _("Download")
    VIEW = "view", _("View only")


class ShareState(models.TextChoices):
    """How a share link stands. BLOCKED: its maker may share the file no more, or its folder's rules forbid it."""

    LIVE = "live", _("Live")
    EXPIRED = "expired", _("Expired")
    USED_UP = "used_up", _("Used up")
    REVOKED = "revoked", _("Revoked")
    BLOCKED = "blocked", _("Blocked")


def _unspent():
    has_uses = Q(max_downloads=None) | Q(download_count__lt=F("max_downloads"))
    return Q(revoked_at=None, expires_at__gt=timezone.now()) & has_uses


class ShareLinkQuerySet(models.QuerySet):
    """Whose a share link is, and whether it is good, is decided here and nowhere else."""

    def of(self, user):
        """Those `user` may see and revoke: their own; a super all."""
        if not user.is_active:
            return self.none()
        return self.all() if user.is_superuser else self.filter(created_by=user)

    def mailed_to(self, user):
        """Those that went to the address `user` has today."""
        return self.filter(recipient=user.email) if user.is_active else self.none()

    def entitled(self, makers):
        """Those made by one of `makers` (users) who may still share the file: it is kept, and theirs to give."""
        rules = (Q(created_by=maker, file__in=File.objects.shareable_by(maker).values("pk")) for maker in makers)
        return self.filter(reduce(or_, rules, NOBODY))

    def live(self, maker):
        """Those of `maker` that are good at this moment, the rules of their folders aside (breaks_folder_rules)."""
        return self.entitled([maker]).unspent()

    def unspent(self):
        """Those neither revoked, expired nor used up; whether their maker may still share is another question."""
        return self.filter(_unspent())

    def with_details(self):
        """Joined with file, folder and maker, as state and pages want them."""
        return self.select_related("file__folder", "file__subfolder", "created_by__company")


class ShareLink(models.Model):
    """One link to one file, for whoever has it.

    The token is nowhere but in the link: `token_hash` is its SHA-256 (hex). `password` is a hash of Django's, ""
    for none. `recipient` is the address it was mailed to, "" for one that its maker passes on. A use is spent by
    one conditional UPDATE of `download_count`; a link to view counts none.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    file = models.ForeignKey(File, on_delete=models.CASCADE, related_name="shares", db_index=False)
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
        ]
        indexes = [
            models.Index(fields=["file", "-created_at", "-id"], name="share_newest_of_file"),
            models.Index(fields=["created_by", "-created_at", "-id"], name="share_newest_of_maker"),
        ]

    def __str__(self):
        return str(self.pk)

    @property
    def has_password(self):
        """True when a password is asked for."""
        return bool(self.password)

    @property
    def downloads_left(self):
        """How many uses are left; None without a limit."""
        return None if self.max_downloads is None else max(0, self.max_downloads - self.download_count)

    @property
    def ends_at(self):
        """When it stops being good: its own time, or the file's where that is earlier."""
        return min(self.expires_at, self.file.expires_at) if self.file.expires_at else self.expires_at

    @property
    def breaks_folder_rules(self):
        """True when the folder of the file now asks for more than this link has."""
        return bool(
            self.file.folder.share_rules_broken(
                has_password=self.has_password, lifetime=self.expires_at - self.created_at
            )
        )

    def state_for(self, *, entitled):
        """Its ShareState, `entitled` being whether its maker may still share the file."""
        if self.revoked_at is not None:
            return ShareState.REVOKED
        if self.expires_at <= timezone.now():
            return ShareState.EXPIRED
        if self.downloads_left == 0:
            return ShareState.USED_UP
        if not entitled or self.breaks_folder_rules:
            return ShareState.BLOCKED
        return ShareState.LIVE


class ShareDownloadQuerySet(models.QuerySet):
    """Fetches, and the grants they are."""

    def open(self):
        """Those whose bytes may still be fetched: made a few minutes ago, by a link nobody has revoked."""
        since = timezone.now() - timedelta(seconds=settings.RESUME_GRACE_SECONDS)
        return self.filter(downloaded_at__gt=since, share__revoked_at=None)


class ShareDownload(models.Model):
    """One use of a share link: who fetched when, and the grant to go on for RESUME_GRACE_SECONDS."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    share = models.ForeignKey(ShareLink, on_delete=models.CASCADE, related_name="downloads", db_index=False)
    downloaded_at = models.DateTimeField(default=timezone.now)
    address = models.GenericIPAddressField(null=True, blank=True)
    user_agent = models.CharField(max_length=300, blank=True)

    objects = ShareDownloadQuerySet.as_manager()

    class Meta:
        ordering = ["-downloaded_at", "-id"]
        indexes = [models.Index(fields=["share", "-downloaded_at", "-id"], name="share_download_newest")]

    def __str__(self):
        return f"{self.share_id} from {self.address}"

    @property
    def agent(self):
        """The program that fetched, in a word or two."""
        names = ("Edg", "OPR", "Firefox", "Chrome", "Safari")
        known = {"Edg": "Edge", "OPR": "Opera"}
        for name in names:
            if f"{name}/" in self.user_agent:
                return known.get(name, name)
        return self.user_agent.split(" ")[0][:40]
