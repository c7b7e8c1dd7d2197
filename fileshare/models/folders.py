"""Folders, their subfolders, and the rules of who may use them."""

import uuid
from datetime import timedelta

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import BigIntegerField, Case, Exists, F, OuterRef, Q, Subquery, Sum, Value, When
from django.db.models.functions import Coalesce
from django.urls import reverse
from django.utils.functional import cached_property
from django.utils.translation import gettext_lazy as _

from accounts.models import Company, Role, User
from accounts.models.roles import CLIENT, OPS

from .grants import QuotaGrant
from .holds import Hold

DOCUMENTS_SLUG = "documents"
PERSONAL_NAME = "My files"
MAX_RETENTION_DAYS = 36_500
MAX_SHARE_DAYS = 36_500


class PermissionType(models.TextChoices):
    """What a grant allows."""

    DOWNLOAD = "download", _("Download")
    UPLOAD = "upload", _("Upload")


class TypePolicy(models.TextChoices):
    """Which kinds of files a folder takes (fileshare.content.file_types)."""

    OFFICE = "office", _("Office documents only")
    GENERAL = "general", _("All but dangerous kinds")


class FolderPermissionQuerySet(models.QuerySet):
    """Grants."""

    def held_by(self, user):
        """Grants to `user`, to one of their roles or to their company. `user` is a User, or an OuterRef to one."""
        if isinstance(user, OuterRef):
            return self.filter(Q(user=user) | Q(role__user=user) | Q(company__people=user))
        # The roles in a subquery of their own, and no join: the database then reads them once, and not for each folder.
        roles = User.groups.through.objects.filter(user=user).values("group")
        held = Q(user=user) | Q(role__in=roles)
        if getattr(user, "company_id", None) is not None:
            held |= Q(company=user.company_id)
        return self.filter(held)


class FolderQuerySet(models.QuerySet):
    """The rules of what a user may do with a folder. No other module decides this."""

    def downloadable_by(self, user):
        """Folders whose files `user` may download."""
        if not user.is_active:
            return self.none()
        if user.is_superuser:
            return self.all()
        allowed = Q(owner=user) | Q(self._granted(user, PermissionType.DOWNLOAD))
        # Compare companies only for a user who has one. Otherwise a user without a company would match all
        # folders without a company.
        if user.company_id is not None:
            allowed |= Q(company=user.company_id)
        return self.filter(allowed)

    def uploadable_by(self, user):
        """Folders that `user` may upload to. To belong to the folder's company is not enough."""
        if not user.is_active:
            return self.none()
        if user.is_superuser:
            return self.all()
        return self.filter(Q(owner=user) | Q(self._granted(user, PermissionType.UPLOAD)))

    def uploadable_by_each(self, user):
        """uploadable_by inside a subquery, for rows that each belong to another user.

        `user` is the name of the outer rows' field that holds the user.
        """
        somebody = OuterRef(OuterRef(user))
        people = User.objects.filter(pk=somebody, is_active=True)
        grants = FolderPermission.objects.held_by(somebody).filter(
            folder=OuterRef("pk"), permission_type=PermissionType.UPLOAD
        )
        may = Q(owner=OuterRef(user)) | Exists(grants) | Exists(people.filter(is_superuser=True))
        return self.filter(Exists(people), may)

    def visible_to(self, user):
        """Folders that `user` may download from or upload to."""
        if not user.is_active:
            return self.none()
        if user.is_superuser:
            return self.all()
        seen = self.model.objects
        return self.filter(
            Q(pk__in=seen.downloadable_by(user).values("pk")) | Q(pk__in=seen.uploadable_by(user).values("pk"))
        )

    def watched_by(self, user):
        """Folders whose uploads and downloads `user` watches over.

        A super watches all folders. A user with the role ops watches the shared folders they may upload to.
        """
        if user.is_active and user.is_superuser:
            return self.all()
        return self.uploadable_by(user).filter(Exists(Role.objects.filter(name=OPS, user=user)), owner=None)

    def companies_served_by(self, user):
        """Companies whose clients `user` looks after: those with a folder that `user` watches; for a super, all."""
        if user.is_active and user.is_superuser:
            return Company.objects.all()
        return Company.objects.filter(pk__in=self.watched_by(user).filter(company__isnull=False).values("company"))

    def clients_served_by(self, user):
        """The people of these companies who hold no role but client, those who are switched off among them.

        `user` may invite them, and take and give back their access. Supers and closed accounts are left out.
        """
        return User.objects.filter(
            ~Exists(Role.objects.filter(~Q(name=CLIENT), user=OuterRef("pk"))),
            company__in=self.companies_served_by(user),
            is_superuser=False,
            closed_at=None,
        )

    def of_kind(self, kind):
        """Folders of one `kind`: documents, personal, company or special."""
        shared = Q(owner=None) & ~Q(slug=DOCUMENTS_SLUG)
        return self.filter(
            {
                "documents": Q(slug=DOCUMENTS_SLUG),
                "personal": Q(owner__isnull=False),
                "company": shared & Q(company__isnull=False),
                "special": shared & Q(company=None),
            }[kind]
        )

    def readers(self):
        """Active users who may download from at least one of these folders, except owners and supers.

        They belong to a folder's company, or hold a download grant themselves, by a role or by their company. This is
        downloadable_by asked from the side of the folder.
        """
        mine = self.order_by().values("pk")
        grants = FolderPermission.objects.filter(folder__in=mine, permission_type=PermissionType.DOWNLOAD)
        members = User.groups.through.objects.filter(group__in=grants.filter(role__isnull=False).values("role"))
        companies = self.order_by().filter(company__isnull=False).values("company")
        may = (
            Q(company__in=companies)
            | Q(company__in=grants.filter(company__isnull=False).values("company"))
            | Q(pk__in=grants.filter(user__isnull=False).values("user"))
            | Q(pk__in=members.values("user"))
        )
        return User.objects.filter(may, is_active=True)

    def audience(self):
        """Active users who may download from at least one of these folders: readers, owners and supers."""
        owners = self.order_by().filter(owner__isnull=False).values("owner")
        return self.readers() | User.objects.filter(Q(is_superuser=True) | Q(pk__in=owners), is_active=True)

    def for_everybody(self):
        """Folders that everybody with an account may download from: the role client may, which a sign-up gives."""
        grants = FolderPermission.objects.filter(role__name=CLIENT, permission_type=PermissionType.DOWNLOAD)
        return self.filter(Exists(grants.filter(folder=OuterRef("pk"))))

    def clients(self):
        """The readers of these folders who have verified their e-mail address; supers and ops are left out."""
        return self.readers().filter(
            ~Exists(Role.objects.filter(name=OPS, user=OuterRef("pk"))),
            is_superuser=False,
            email_verified_at__isnull=False,
        )

    def reach(self, people):
        """{user id: the ids of the folders, of these, that the user may download from}, by four queries.

        `people` is a list of users. The rule is that of downloadable_by, without personal folders and without
        the rights of supers.
        """
        found = {user.pk: set() for user in people}
        of_company = {}
        for user in people:
            if user.company_id is not None:
                of_company.setdefault(user.company_id, []).append(user.pk)
        for folder, company in self.order_by().filter(company__in=list(of_company)).values_list("pk", "company"):
            for user in of_company[company]:
                found[user].add(folder)
        mine = self.order_by().values("pk")
        grants = FolderPermission.objects.filter(folder__in=mine, permission_type=PermissionType.DOWNLOAD).order_by()
        for holder in ("user", "role__user", "company__people"):
            held = grants.filter(**{f"{holder}__in": list(found)})
            for user, folder in held.values_list(holder, "folder").distinct():
                found[user].add(folder)
        return found

    def reasons(self, user):
        """Why `user` may use folders of these: a list of (Folder, PermissionType, holder), by name of folder.

        The holder of the right is the User, one of their Roles, or their Company. A super, who may use all folders
        without a reason, has those alone that they would have without being one. Costs three queries.
        """
        if not user.is_active:
            return []
        grants = FolderPermission.objects.held_by(user).filter(folder__in=self.order_by().values("pk"))
        found = [
            (grant.folder, PermissionType(grant.permission_type), grant.holder)
            for grant in grants.select_related("folder", "user", "role", "company")
        ]
        found += [(folder, kind, user) for folder in self.filter(owner=user) for kind in PermissionType]
        if user.company_id is not None:
            found += [(folder, PermissionType.DOWNLOAD, user.company) for folder in self.filter(company=user.company)]
        return sorted(found, key=lambda right: (right[0].name, right[0].slug, right[1], str(right[2])))

    def shareable_by(self, user):
        """Folders to which `user` may make share links: those they may upload to.

        Such a link shows the files that its maker may share when it is opened, those that come later too: of a folder
        of their own, and for a super of any, all files; of another folder only what they uploaded themselves.
        """
        return self.uploadable_by(user)

    def manageable_by(self, user):
        """Folders that `user` may change, delete, and grant permissions on."""
        return self.all() if user.is_active and user.is_superuser else self.none()

    def raisable_by(self, user):
        """Folders that `user` may buy space for: their own and their company's. A super may for any folder."""
        if not user.is_active:
            return self.none()
        if user.is_superuser:
            return self.all()
        allowed = Q(owner=user)
        if user.company_id is not None:
            allowed |= Q(company=user.company_id)
        return self.filter(allowed)

    def held(self):
        """Folders under a legal hold: the hold is on the folder or on its owner."""
        holds = Hold.objects.live()
        return self.filter(
            Q(pk__in=holds.filter(folder__isnull=False).values("folder"))
            | Q(owner__in=holds.filter(user__isnull=False).values("user"))
        )

    def may_be_made_by(self, user):
        """True when `user` may create folders. The portal creates personal folders itself."""
        return user.is_active and user.is_superuser

    def _granted(self, user, permission_type):
        grants = FolderPermission.objects.held_by(user)
        return Exists(grants.filter(folder=OuterRef("pk"), permission_type=permission_type))

    def with_quota(self):
        """Annotated with granted_bytes: the bytes that active grants add to quota_bytes now."""
        return self.annotate(granted_bytes=_granted_now())

    def with_rights(self, user):
        """Annotated with_quota and with can_download, can_upload and can_manage for `user`, and is_for_everybody.

        Company and owner are joined, subfolders prefetched.
        """
        rights = {
            "can_download": self.model.objects.downloadable_by(user),
            "can_upload": self.model.objects.uploadable_by(user),
            "can_manage": self.model.objects.manageable_by(user),
            "is_for_everybody": self.model.objects.for_everybody(),
        }
        return (
            self.with_quota()
            .annotate(**{name: Exists(folders.filter(pk=OuterRef("pk"))) for name, folders in rights.items()})
            .select_related("company", "owner")
            .prefetch_related("subfolders")
        )

    def in_order(self):
        """Client documents first, then company and special folders by name, personal ones last."""
        rank = Case(When(slug=DOCUMENTS_SLUG, then=Value(0)), When(owner=None, then=Value(1)), default=Value(2))
        return self.order_by(rank, "name", "pk")


def shown_name(folder):
    """The name to show of anything with a folder's `name` and `owner_id`; see Folder.shown_name."""
    return _("My files") if folder.owner_id and folder.name == PERSONAL_NAME else folder.name


def default_quota():
    """The quota, in bytes, of a folder that was created without one."""
    return settings.DEFAULT_FOLDER_QUOTA_BYTES


class Folder(models.Model):
    """A root folder: of a company, of a user (personal), the seeded Client documents, or special.

    Sizes are bytes. `used_bytes` counts stored files, `reserved_bytes` unfinished uploads. Only the conditional
    UPDATEs of fileshare.space.quotas may change the two. `retention_days` None keeps files for ever. Share links
    to the folder's files must obey `share_password_required` and `share_max_days` (None: the folder sets no limit).
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
    share_password_required = models.BooleanField(
        _("share links need a password"),
        default=False,
        help_text=_("Links without one stop working at once."),
    )
    share_max_days = models.PositiveIntegerField(
        _("longest life of a share link, in days"),
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(MAX_SHARE_DAYS)],
        help_text=_("Links made for longer stop working at once. Empty: as long as the portal allows."),
    )
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
            models.CheckConstraint(
                condition=Q(share_max_days=None) | Q(share_max_days__gte=1), name="folder_share_days_positive"
            ),
        ]

    def __str__(self):
        return self.name

    def get_absolute_url(self):
        """The folder's page."""
        return reverse("folder", args=[self.slug])

    def share_rules_broken(self, *, has_password, lifetime):
        """The folder's rules that a share link would break, as names of fields. `lifetime` is a timedelta.

        For the words of a refusal; whether a link works now is asked of the database (ShareLink.carried)."""
        broken = []
        if self.share_password_required and not has_password:
            broken.append("share_password_required")
        if self.share_max_days is not None and lifetime > timedelta(days=self.share_max_days):
            broken.append("share_max_days")
        return broken

    def is_shared_whole_by(self, maker):
        """True when a link of `maker` to it shows all its clean files; False when it shows their own uploads only.

        For the words on a page; which files a link shows is asked of File.objects.shareable_by.
        """
        return maker.is_superuser or self.owner_id == maker.pk

    @property
    def shown_name(self):
        """The name to show. The default name of personal folders is translated; a name a super gave is not."""
        return shown_name(self)

    @property
    def kind(self):
        """documents, personal, company or special."""
        if self.slug == DOCUMENTS_SLUG:
            return "documents"
        if self.owner_id:
            return "personal"
        return "company" if self.company_id else "special"

    @cached_property
    def granted_bytes(self):
        """The bytes that active grants add now. Costs a query unless the row came from with_quota."""
        return self.grants.active().total()

    @cached_property
    def is_for_everybody(self):
        """True when everybody with an account may download. Costs a query unless the row came from with_rights."""
        return type(self).objects.filter(pk=self.pk).for_everybody().exists()

    @property
    def room_bytes(self):
        """The quota in force now: the folder's own and the bytes of active grants."""
        return self.quota_bytes + self.granted_bytes

    @property
    def used_percent(self):
        """Per cent of the quota in force that files and unfinished uploads take: 0 to 100, rounded up."""
        if not self.room_bytes:
            return 100
        taken = self.used_bytes + self.reserved_bytes
        return min(100, -(-taken * 100 // self.room_bytes))


class Subfolder(models.Model):
    """A folder inside a root folder, one level deep. The root folder's permissions apply to it."""

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
    """A grant of `download` or `upload` on one folder, to one user, one role or one company."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    folder = models.ForeignKey(Folder, on_delete=models.CASCADE, related_name="permissions")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, null=True, blank=True, related_name="folder_permissions"
    )
    role = models.ForeignKey(Role, on_delete=models.CASCADE, null=True, blank=True, related_name="folder_permissions")
    company = models.ForeignKey(
        Company, on_delete=models.PROTECT, null=True, blank=True, related_name="folder_permissions"
    )
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
                condition=Q(user__isnull=False, role=None, company=None)
                | Q(user=None, role__isnull=False, company=None)
                | Q(user=None, role=None, company__isnull=False),
                name="permission_for_one_holder",
                violation_error_message=_("Name a person, a role or a company: one of them."),
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
            models.UniqueConstraint(
                fields=["folder", "company", "permission_type"],
                condition=Q(company__isnull=False),
                name="permission_once_per_company",
            ),
        ]

    def __str__(self):
        return f"{self.get_permission_type_display()}: {self.holder} on {self.folder}"

    @property
    def holder(self):
        """The User, Role or Company that the grant is for."""
        return self.user or self.role or self.company


def _granted_now():
    """An expression for a folder row: the bytes that its active grants add now, 0 without any."""
    grants = QuotaGrant.objects.active().filter(folder=OuterRef("pk")).order_by().values("folder")
    return Coalesce(
        Subquery(grants.annotate(total=Sum("extra_bytes")).values("total")), 0, output_field=BigIntegerField()
    )


def room_for(size_bytes):
    """A condition on folders: `size_bytes` more fit into the quota, active grants included."""
    return Q(quota_bytes__gte=F("used_bytes") + F("reserved_bytes") + size_bytes - _granted_now())
