"""Folders and who may use them."""

import uuid

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Case, Exists, F, OuterRef, Q, Value, When
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from accounts.models import Company, Role

DOCUMENTS_SLUG = "documents"
MAX_RETENTION_DAYS = 36_500


class PermissionType(models.TextChoices):
    """What a grant allows."""

    DOWNLOAD = "download", _("Download")
    UPLOAD = "upload", _("Upload")


class TypePolicy(models.TextChoices):
    """Which kinds of files a folder takes (fileshare.file_types)."""

    OFFICE = "office", _("Office documents only")
    GENERAL = "general", _("All but dangerous kinds")


class FolderPermissionQuerySet(models.QuerySet):
    """Grants."""

    def held_by(self, user):
        """Those given to `user`, or to one of their roles."""
        return self.filter(Q(user=user) | Q(role__user=user))


class FolderQuerySet(models.QuerySet):
    """What a person may do with a folder is decided here and nowhere else."""

    def downloadable_by(self, user):
        """Those whose files `user` may download."""
        if not user.is_active:
            return self.none()
        if user.is_superuser:
            return self.all()
        allowed = Q(owner=user) | Q(self._granted(user, PermissionType.DOWNLOAD))
        # Without the guard, no company would equal no company.
        if user.company_id is not None:
            allowed |= Q(company=user.company_id)
        return self.filter(allowed)

    def uploadable_by(self, user):
        """Those `user` may upload into; being of a company is not enough."""
        if not user.is_active:
            return self.none()
        if user.is_superuser:
            return self.all()
        return self.filter(Q(owner=user) | Q(self._granted(user, PermissionType.UPLOAD)))

    def visible_to(self, user):
        """Those `user` may download from or upload to."""
        if not user.is_active:
            return self.none()
        if user.is_superuser:
            return self.all()
        seen = self.model.objects
        return self.filter(
            Q(pk__in=seen.downloadable_by(user).values("pk")) | Q(pk__in=seen.uploadable_by(user).values("pk"))
        )

    def manageable_by(self, user):
        """Those `user` may change, delete, and grant permissions on."""
        return self.all() if user.is_active and user.is_superuser else self.none()

    def may_be_made_by(self, user):
        """True when `user` may make folders (their personal one aside)."""
        return user.is_active and user.is_superuser

    def _granted(self, user, permission_type):
        grants = FolderPermission.objects.held_by(user)
        return Exists(grants.filter(folder=OuterRef("pk"), permission_type=permission_type))

    def with_rights(self, user):
        """Annotated with can_download, can_upload and can_manage of `user`; company joined, subfolders fetched."""
        rights = {
            "can_download": self.model.objects.downloadable_by(user),
            "can_upload": self.model.objects.uploadable_by(user),
            "can_manage": self.model.objects.manageable_by(user),
        }
        return (
            self.annotate(**{name: Exists(folders.filter(pk=OuterRef("pk"))) for name, folders in rights.items()})
            .select_related("company", "owner")
            .prefetch_related("subfolders")
        )

    def in_order(self):
        """Client documents first, then company and special folders by name, personal ones last."""
        rank = Case(When(slug=DOCUMENTS_SLUG, then=Value(0)), When(owner=None, then=Value(1)), default=Value(2))
        return self.order_by(rank, "name", "pk")


def default_quota():
    """Bytes of a folder that was given no quota."""
    return settings.DEFAULT_FOLDER_QUOTA_BYTES


class Folder(models.Model):
    """A root folder: of a company, of a user (personal), the seeded Client documents, or special.

    Sizes are bytes. `used_bytes` counts stored files, `reserved_bytes` uploads on their way; both move
    by conditional UPDATEs only (fileshare.quotas). `retention_days` None keeps files for ever.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=200)
    slug = models.SlugField(max_length=100, unique=True)
    description = models.TextField(blank=True, max_length=2000)
    company = models.ForeignKey(Company, on_delete=models.PROTECT, null=True, blank=True, related_name="folders")
    owner = models.OneToOneField(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="personal_folder"
    )
    type_policy = models.CharField(max_length=10, choices=TypePolicy.choices, default=TypePolicy.GENERAL)
    retention_days = models.PositiveIntegerField(
        null=True,
        blank=True,
        default=settings.DEFAULT_RETENTION_DAYS,
        validators=[MinValueValidator(1), MaxValueValidator(MAX_RETENTION_DAYS)],
    )
    quota_bytes = models.BigIntegerField(default=default_quota, validators=[MinValueValidator(0)])
    used_bytes = models.BigIntegerField(default=0, editable=False)
    reserved_bytes = models.BigIntegerField(default=0, editable=False)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+", editable=False
    )
    created_at = models.DateTimeField(auto_now_add=True)

    objects = FolderQuerySet.as_manager()

    class Meta:
        ordering = ["name", "id"]
        constraints = [
            models.CheckConstraint(condition=Q(company=None) | Q(owner=None), name="folder_of_company_or_owner"),
            models.CheckConstraint(
                condition=Q(quota_bytes__gte=0, used_bytes__gte=0, reserved_bytes__gte=0), name="folder_bytes_positive"
            ),
        ]

    def __str__(self):
        return self.name

    def get_absolute_url(self):
        """The folder's page."""
        return reverse("folder", args=[self.slug])

    @property
    def kind(self):
        """documents, personal, company or special."""
        if self.slug == DOCUMENTS_SLUG:
            return "documents"
        if self.owner_id:
            return "personal"
        return "company" if self.company_id else "special"

    @property
    def used_percent(self):
        """0 to 100, rounded up, of what is used or on its way."""
        if not self.quota_bytes:
            return 100
        taken = self.used_bytes + self.reserved_bytes
        return min(100, -(-taken * 100 // self.quota_bytes))


class Subfolder(models.Model):
    """One level inside a folder, with its permissions."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    folder = models.ForeignKey(Folder, on_delete=models.CASCADE, related_name="subfolders", db_index=False)
    name = models.CharField(max_length=200)
    slug = models.SlugField(max_length=100)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name", "id"]
        constraints = [models.UniqueConstraint(fields=["folder", "slug"], name="subfolder_slug_in_folder")]

    def __str__(self):
        return self.name

    def get_absolute_url(self):
        """The subfolder's page."""
        return reverse("subfolder", args=[self.folder.slug, self.slug])


class FolderPermission(models.Model):
    """`download` or `upload` on one folder, for one user or one role."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    folder = models.ForeignKey(Folder, on_delete=models.CASCADE, related_name="permissions")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, null=True, blank=True, related_name="folder_permissions"
    )
    role = models.ForeignKey(Role, on_delete=models.CASCADE, null=True, blank=True, related_name="folder_permissions")
    permission_type = models.CharField(max_length=10, choices=PermissionType.choices)
    granted_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+", editable=False
    )
    granted_at = models.DateTimeField(auto_now_add=True)

    objects = FolderPermissionQuerySet.as_manager()

    class Meta:
        ordering = ["granted_at", "id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(user=None, role__isnull=False) | Q(user__isnull=False, role=None),
                name="permission_for_user_or_role",
            ),
            models.CheckConstraint(
                condition=Q(permission_type__in=PermissionType.values), name="permission_type_known"
            ),
            models.UniqueConstraint(
                fields=["folder", "user", "permission_type"],
                condition=Q(user__isnull=False),
                name="permission_once_per_user",
            ),
            models.UniqueConstraint(
                fields=["folder", "role", "permission_type"],
                condition=Q(role__isnull=False),
                name="permission_once_per_role",
            ),
        ]

    def __str__(self):
        return f"{self.get_permission_type_display()}: {self.user or self.role} on {self.folder}"


def room_for(size_bytes):
    """The condition that a folder has `size_bytes` left."""
    return Q(quota_bytes__gte=F("used_bytes") + F("reserved_bytes") + size_bytes)
