"""Share links, by which people without an account open or download one file."""

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
    """What a person who opens a share link may do."""

    DOWNLOAD = "download", _("Download")
    VIEW = "view", _("View only")


class ShareState(models.TextChoices):
    """The state of a share link.

    BLOCKED: its maker may no longer share the file, or the link breaks a rule of the file's folder.
    """

    LIVE = "live", _("Live")
    EXPIRED = "expired", _("Expired")
    USED_UP = "used_up", _("Used up")
    REVOKED = "revoked", _("Revoked")
    BLOCKED = "blocked", _("Blocked")


def _unspent():
    has_uses = Q(max_downloads=None) | Q(download_count__lt=F("max_downloads"))
    return Q(revoked_at=None, expires_at__gt=timezone.now()) & has_uses


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
        """Links made by one of `makers` (users), where that maker may still share the file (shareable_by)."""
        rules = (Q(created_by=maker, file__in=File.objects.shareable_by(maker).values("pk")) for maker in makers)
        return self.filter(reduce(or_, rules, NOBODY))

    def live(self, maker):
        """Links of `maker` that work now. The rules of folders are not checked here (see breaks_folder_rules)."""
        return self.entitled([maker]).unspent()

    def unspent(self):
        """Links that are not revoked, not expired and not used up. Their makers' rights are not checked."""
        return self.filter(_unspent())

    def with_details(self):
        """Joined with file, folder, subfolder, maker and the maker's company, which `state_for` and the pages read."""
        return self.select_related("file__folder", "file__subfolder", "created_by__company")


class ShareLink(models.Model):
    """A link to one file. Every person who has the link can use it.

    The token is in the link only; `token_hash` is its SHA-256 (hex). `password` is a hash made by Django, "" for none.
    `recipient` is the address the link was mailed to, "" when its maker passes it on. One conditional UPDATE of
    `download_count` spends a use. A link for viewing counts no uses.
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
        """True when the link asks for a password."""
        return bool(self.password)

    @property
    def downloads_left(self):
        """How many uses are left; None without a limit."""
        return None if self.max_downloads is None else max(0, self.max_downloads - self.download_count)

    @property
    def ends_at(self):
        """When the link stops working: at its own end, or at the file's expiry if that is earlier."""
        return min(self.expires_at, self.file.expires_at) if self.file.expires_at else self.expires_at

    @property
    def breaks_folder_rules(self):
        """True when the link breaks a rule that the file's folder has now."""
        return bool(
            self.file.folder.share_rules_broken(
                has_password=self.has_password, lifetime=self.expires_at - self.created_at
            )
        )

    def state_for(self, *, entitled):
        """The link's ShareState. `entitled`: its maker may still share the file."""
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
    """Uses of share links."""

    def open(self):
        """Uses that may still fetch bytes: younger than RESUME_GRACE_SECONDS, of a link that is not revoked."""
        since = timezone.now() - timedelta(seconds=settings.RESUME_GRACE_SECONDS)
        return self.filter(downloaded_at__gt=since, share__revoked_at=None)


class ShareDownload(models.Model):
    """One use of a share link: when, and from which address and browser. For RESUME_GRACE_SECONDS its client may
    resume the download."""

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
        """The browser or program that used the link, in a word or two."""
        names = ("Edg", "OPR", "Firefox", "Chrome", "Safari")
        known = {"Edg": "Edge", "OPR": "Opera"}
        for name in names:
            if f"{name}/" in self.user_agent:
                return known.get(name, name)
        return self.user_agent.split(" ")[0][:40]
