"""Folders, subfolders and permissions. Supers create, change and delete them.

A personal folder is created when its owner first needs it.
"""

from datetime import timedelta

from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, transaction
from django.db.models import DateTimeField, F, Value
from django.db.models.functions import Coalesce, Greatest, Least
from django.http import Http404
from django.shortcuts import get_object_or_404
from django.utils import timezone
from django.utils.text import slugify
from django.utils.translation import gettext as _

from accounts.models import Company, Role, User
from accounts.notices.notifications import notify
from accounts.people.roles import company_of
from audit.log import record
from config.access import get_allowed
from config.errors import Conflict, Invalid, seconds_until
from config.outside.queue import send_after_commit
from config.plain_names import clean_title
from fileshare.contributions.actions import Action

from . import holds, lists
from .models import DOCUMENTS_SLUG, Folder, FolderPermission, Subfolder, TypePolicy
from .models.folders import PERSONAL_NAME

PERSONAL_PREFIX = "u-"
# People are told of a file a week before it expires. With a day more none is too late.
LEAST_WARNING = timedelta(days=8)


def personal_folder(user):
    """The user's own folder. The first use creates it; two requests at once create only one."""
    folder = lists.PERSONAL.first(owner=user.pk)
    if folder is None:
        folder, _created = Folder.objects.get_or_create(
            owner=user,
            defaults={
                "name": PERSONAL_NAME,
                "slug": f"{PERSONAL_PREFIX}{user.pk}",
                "type_policy": TypePolicy.GENERAL,
                "retention_days": None,
                "quota_bytes": settings.PERSONAL_QUOTA_BYTES,
                "created_by": user,
            },
        )
    return folder


def documents_folder():
    """The folder "Client documents", which a migration creates."""
    return Folder.objects.get(slug=DOCUMENTS_SLUG)


def _manageable(user, folder_id):
    """The locked Folder `user` may manage. Raises Http404 or PermissionDenied."""
    return get_allowed(
        folder_id,
        visible=Folder.objects.visible_to(user),
        allowed=Folder.objects.manageable_by(user).select_for_update(of=("self",), no_key=True),
    )


def _new_slug(given, name, taken):
    """`given` if it is free; without it, a free slug made from `name`. Raises Conflict (409) or Invalid (400)."""
    if given:
        if given.startswith(PERSONAL_PREFIX):
            raise Invalid("slug", _("Slugs that begin with u- are those of personal folders."))
        if taken(given):
            raise Conflict(_("This slug is taken."), code="slug_taken")
        return given
    base = slugify(name)[:90].strip("-")
    if base.startswith(PERSONAL_PREFIX):
        base = f"folder-{base}"
    if not base:
        base = "folder"
    slug, number = base, 2
    while taken(slug):
        slug, number = f"{base}-{number}", number + 1
    return slug


@transaction.atomic
def create_folder(*, user, name, slug=None, company_id=None, **facts):
    """Create a company folder, or a special folder when there is no `company_id`. Returns the Folder.

    `facts`: description, quota_bytes, retention_days, type_policy. Raises PermissionDenied, Invalid
    (400), Conflict (409).
    """
    if not Folder.objects.may_be_made_by(user):
        raise PermissionDenied
    return make_folder(by=user, name=name, slug=slug, company=company_of(company_id), **facts)


def make_folder(*, by, name, slug=None, company=None, **facts):
    """create_folder without the check of rights, in the caller's transaction. `by` is None for portal commands."""
    name = clean_title(name)
    folder = Folder(name=name, company=company, created_by=by, **facts)
    folder.slug = _new_slug(slug, name, lambda text: Folder.objects.filter(slug=text).exists())
    _save(folder)
    record(Action.FOLDER_CREATED, user=by, target=folder, folder=folder)
    return folder


@transaction.atomic
def change_folder(*, user, folder_id, **changes):
    """Change name, slug, description, company_id, quota_bytes, retention_days or type_policy. Returns the Folder.

    A folder that goes to another company, or to none, takes back what its company was granted on it. A new retention
    also changes when the folder's present files expire; with a longer one none expires earlier. None expires within
    LEAST_WARNING because of it, so that whom it concerns is told (fileshare.folder_notices) before it is gone. Objects
    in the store keep the old slug in their keys. Raises Http404, PermissionDenied, Invalid (400), Conflict (409).
    """
    folder = _manageable(user, folder_id)
    if "name" in changes:
        changes["name"] = clean_title(changes["name"])
    asked = list(changes)
    before = {name: getattr(folder, name) for name in asked}
    slug = changes.pop("slug", None)
    if slug and slug != folder.slug:
        if folder.kind in ("documents", "personal"):
            raise Conflict(_("This folder keeps its slug."), code="built_in_folder")
        folder.slug = _new_slug(slug, folder.name, lambda text: Folder.objects.filter(slug=text).exists())
    if "company_id" in changes:
        company = company_of(changes.pop("company_id"))
        if company is not None and folder.kind in ("documents", "personal"):
            raise Conflict(_("This folder belongs to no company."), code="built_in_folder")
        if folder.company_id is not None and folder.company != company:
            # What its company was granted goes with the company: set-up grants it without being asked each time.
            for permission in folder.permissions.filter(company=folder.company_id):
                _take_back(permission, user)
        folder.company = company
    days = changes.get("retention_days", folder.retention_days)
    if days != folder.retention_days:
        is_longer = days is not None and folder.retention_days is not None and days > folder.retention_days
        folder.files.update(expires_at=None if days is None else _expiry_after(days, is_longer=is_longer))
        # Update the bucket's expiry rules. Otherwise it might remove objects before the new retention is over.
        send_after_commit("fileshare.tasks.refresh_expiry")
    for name, value in changes.items():
        setattr(folder, name, value)
    _save(folder)
    after = {name: getattr(folder, name) for name in asked}
    record(Action.FOLDER_CHANGED, user=user, target=folder, folder=folder, before=before, after=after)
    return folder


def _expiry_after(days, *, is_longer):
    """An expression for a file row: when it expires in a folder that keeps files for `days` from now on.

    When these are more than before (`is_longer`), no file expires earlier: one that was moved here is kept from its
    move on, and not from its upload on.
    """
    warned = Value(timezone.now() + LEAST_WARNING, output_field=DateTimeField())
    present = Coalesce("expires_at", warned)
    return Greatest(F("uploaded_at") + timedelta(days=days), present if is_longer else Least(present, warned))


def _save(folder):
    try:
        with transaction.atomic():
            folder.save()
    except IntegrityError:
        raise Conflict(_("This slug is taken."), code="slug_taken") from None


@transaction.atomic
def delete_folder(*, user, folder_id):
    """Delete a folder without files and unfinished uploads, with its subfolders and permissions.

    Raises Http404, PermissionDenied, Held (409), and Conflict (409) when it has files, also in the trash, unfinished
    uploads, or bought space that is still running, because a user paid for it.
    """
    holds.guard()
    folder = _manageable(user, folder_id)
    holds.assert_folder_free(folder)
    if folder.kind == "documents":
        raise Conflict(_("Client documents cannot be deleted."), code="built_in_folder")
    _assert_empty(folder, _("The folder is not empty."))
    if last := folder.grants.active().order_by("-ends_at").first():
        raise Conflict(
            _("The folder has extra space that still runs. Delete it when that is over."),
            code="space_running",
            retry_after=seconds_until(last.ends_at),
        )
    record(Action.FOLDER_DELETED, user=user, target=folder, folder=folder)
    folder.delete()


@transaction.atomic
def create_subfolder(*, user, folder_id, name, slug=None):
    """Create a subfolder. Raises Http404, PermissionDenied, Conflict (409) when the folder has that slug already."""
    return make_subfolder(by=user, folder=_manageable(user, folder_id), name=name, slug=slug)


def make_subfolder(*, by, folder, name, slug=None):
    """create_subfolder without the check of rights. The caller holds the lock of the folder's row.

    Without a `slug`, a name whose slug is taken raises Conflict (409): a second "Reports" is probably a mistake. A name
    that leaves nothing for a slug, such as one in Chinese, gets a numbered one instead.
    """
    name = clean_title(name)
    if not slug and slugify(name) and folder.subfolders.filter(slug=slugify(name)).exists():
        raise Conflict(_("There is a subfolder of this name. Choose another name or slug."), code="slug_taken")
    slug = _new_slug(slug, name, lambda text: folder.subfolders.filter(slug=text).exists())
    subfolder = Subfolder.objects.create(folder=folder, name=name, slug=slug)
    record(Action.FOLDER_CREATED, user=by, target=subfolder, folder=folder, subfolder=subfolder)
    return subfolder


@transaction.atomic
def rename_subfolder(*, user, subfolder_id, name):
    """Rename a subfolder. Its slug stays, because keys and addresses contain it.

    Raises Http404, PermissionDenied, Invalid (400).
    """
    name = clean_title(name)
    folders = Folder.objects
    subfolder = get_allowed(
        subfolder_id,
        visible=Subfolder.objects.filter(folder__in=folders.visible_to(user)),
        allowed=Subfolder.objects.filter(folder__in=folders.manageable_by(user)).select_for_update(of=("self",)),
    )
    before, subfolder.name = {"name": subfolder.name}, name
    subfolder.save(update_fields=["name"])
    record(
        Action.FOLDER_CHANGED,
        user=user,
        target=subfolder,
        folder=subfolder.folder,
        subfolder=subfolder,
        before=before,
        after={"name": name},
    )
    return subfolder


@transaction.atomic
def delete_subfolder(*, user, subfolder_id):
    """Delete an empty subfolder.

    Raises Http404, PermissionDenied, Conflict (409) when it has files, also in the trash, or unfinished uploads, and
    Held (409) for a hold on its folder.
    """
    holds.guard()
    folders = Folder.objects
    subfolder = get_allowed(
        subfolder_id,
        visible=Subfolder.objects.filter(folder__in=folders.visible_to(user)),
        allowed=Subfolder.objects.filter(folder__in=folders.manageable_by(user)),
    )
    # An upload into the subfolder locks the folder's row first. Take the locks in the same order, or both may deadlock.
    folder = locked_folder(subfolder.folder_id)
    holds.assert_folder_free(folder)
    _assert_empty(subfolder, _("The subfolder is not empty."))
    record(Action.FOLDER_DELETED, user=user, target=subfolder, folder=folder, subfolder=subfolder)
    subfolder.delete()


def _assert_empty(place, message):
    if place.uploads.exists() or place.files.filter(deleted_at=None).exists():
        raise Conflict(message, code="not_empty")
    if place.files.exists():
        text = _("The trash still holds files of this folder. Delete them there for good first.")
        raise Conflict(text, code="not_empty")


def locked_folder(folder_id):
    """The Folder, its row locked until the transaction ends. Lock it before any row inside the folder."""
    return Folder.objects.select_for_update(of=("self",), no_key=True).get(pk=folder_id)


def locked_folders(ids):
    """{id: Folder} of those that exist, with_quota, their rows locked until the transaction ends.

    They are locked in one order, whoever calls. Lock them before any row inside the folders.
    """
    rows = Folder.objects.with_quota().select_for_update(of=("self",), no_key=True)
    return {folder.pk: folder for folder in rows.filter(pk__in=ids).order_by("pk")}


@transaction.atomic
def grant(*, user, folder_id, permission_type, user_id=None, role=None, company_id=None):
    """Grant a user, a role (by its name) or a company `download` or `upload` on a folder. Returns the FolderPermission.

    Raises Http404, PermissionDenied, Invalid (400), Conflict (409) when it was granted before.
    """
    folder = _manageable(user, folder_id)
    if [user_id, role, company_id].count(None) != 2:
        raise Invalid("user_id", _("Name a person, a role or a company: one of them."))
    if user_id is not None:
        field, holder = "user_id", {"user": User.objects.filter(pk=user_id).first()}
    elif role is not None:
        field, holder = "role", {"role": Role.objects.filter(name=role).first()}
    else:
        field, holder = "company_id", {"company": Company.objects.filter(pk=company_id).first()}
    if None in holder.values():
        raise Invalid(field, _("There is nobody of that name."))
    return make_grant(by=user, folder=folder, permission_type=permission_type, **holder)


def make_grant(*, by, folder, permission_type, **holder):
    """grant without the check of rights, in the caller's transaction. `holder` is user=, role= or company=.

    `by` is None for portal commands. Raises Conflict (409) when it was granted before.
    """
    try:
        with transaction.atomic():
            permission = FolderPermission.objects.create(
                folder=folder, permission_type=permission_type, granted_by=by, **holder
            )
    except IntegrityError:
        raise Conflict(_("This was granted before."), code="already_granted") from None
    _tell(permission, "folder_granted")
    record(Action.GRANTED, user=by, folder=folder, target=permission, **_facts(permission))
    return permission


@transaction.atomic
def revoke(*, user, permission_id):
    """Revoke a grant; this takes effect with the next request. Raises Http404 or PermissionDenied."""
    folders = Folder.objects
    permission = get_allowed(
        permission_id,
        visible=FolderPermission.objects.filter(folder__in=folders.visible_to(user)),
        allowed=FolderPermission.objects.filter(folder__in=folders.manageable_by(user)).select_for_update(of=("self",)),
    )
    _take_back(permission, user)


def _take_back(permission, by):
    record(Action.REVOKED, user=by, folder=permission.folder, target=permission, **_facts(permission))
    _tell(permission, "folder_revoked")
    permission.delete()


def _facts(permission):
    return {
        "permission_type": permission.permission_type,
        "holder": permission.user.email if permission.user_id else permission.holder.name,
    }


def _tell(permission, kind):
    facts = {
        "folder": permission.folder.name,
        "folder_slug": permission.folder.slug,
        "permission_type": permission.permission_type,
    }
    if permission.user_id:
        notify(permission.user, kind, **facts)
        return
    facts = {"kind": kind, "grant_id": str(permission.pk), "facts": facts}
    if permission.role_id:
        send_after_commit("fileshare.tasks.tell_role", role_id=permission.role_id, **facts)
    else:
        send_after_commit("fileshare.tasks.tell_company", company_id=str(permission.company_id), **facts)


def permissions_of(*, user, folder_id):
    """The grants on a folder, oldest first. Raises Http404 or PermissionDenied."""
    folder = get_allowed(folder_id, visible=Folder.objects.visible_to(user), allowed=Folder.objects.manageable_by(user))
    return folder.permissions.select_related("user", "role", "company", "granted_by").order_by("granted_at", "pk")


def use_of_role(role):
    """Why a role cannot be deleted, for supers: it has permissions on folders. "" when it has none."""
    if role.folder_permissions.exists():
        return _("Folders are still open to this role. Take that back first.")
    return ""


def visible_folder(*, user, folder_id=None, slug=None):
    """A folder `user` sees, with_rights, by id or slug. Raises Http404."""
    folder = lists.folder_seen_by(user, pk=folder_id, slug=slug)
    if folder is None:
        raise Http404
    return folder


def subfolder_of(folder, *, slug):
    """The subfolder of that slug. Raises Http404."""
    subfolder = get_object_or_404(folder.subfolders, slug=slug)
    subfolder.folder = folder
    return subfolder
