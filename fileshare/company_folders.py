"""Create a company's folder with its usual subfolders in one call. A second call creates only what is missing."""

from dataclasses import dataclass, field

from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.utils.text import slugify
from django.utils.translation import gettext as _

from accounts.models import Company, Role
from accounts.models.roles import OPS
from config.access import get_visible
from config.errors import Invalid

from . import folders
from .models import Folder, PermissionType

TECHNICAL = ("VSZ Backups", "Configs", "Migrations", "Exports")
"""Subfolders for a firm that keeps its clients' machines; others have settings.COMPANY_SUBFOLDERS."""
MOST_SUBFOLDERS = 100


@dataclass
class SetUp:
    """The result of `set_up`: the Folder, whether it is new, and the names of new and of existing subfolders."""

    folder: Folder
    is_new: bool
    made: list = field(default_factory=list)
    there: list = field(default_factory=list)


def read_names(text):
    """The names in a text, one on each line or separated by commas."""
    return [name.strip() for name in text.replace(",", "\n").splitlines() if name.strip()]


def set_up(*, user, company_id, **wishes):
    """Give a company its folder and subfolders; `wishes` are those of make. Returns a SetUp.

    Raises PermissionDenied, Http404 or Invalid (400).
    """
    if not Folder.objects.may_be_made_by(user):
        raise PermissionDenied
    return make(by=user, company_id=company_id, **wishes)


@transaction.atomic
def make(*, by, company_id, subfolders=None, quota_bytes=None, retention_days=None, may_send=False, staff=False):
    """set_up without the check of rights. `by` is None for the portal's commands. Returns a SetUp.

    The folder is the one with the company's slug, else its oldest folder, else a new one. `quota_bytes`, when given,
    is the quota of a new folder, `retention_days` how long it keeps files (None: until somebody deletes them); an
    existing folder keeps its own. `subfolders` are names, without them
    settings.COMPANY_SUBFOLDERS; one exists when the folder has one with the same slug. With `may_send` the company's
    people may upload to the folder, with `staff` the role ops may upload to it and download from it. Two calls at once
    create only one of each. Raises Http404 or Invalid (400).
    """
    wanted = _by_slug(settings.COMPANY_SUBFOLDERS if subfolders is None else subfolders)
    if quota_bytes is not None and quota_bytes < 0:
        raise Invalid("quota_bytes", _("A quota is not less than nothing."))
    company = get_visible(company_id, Company.objects.select_for_update())
    own = company.folders.order_by("created_at", "pk")
    folder = own.filter(slug=company.slug).first() or own.first()
    done = SetUp(folder, is_new=folder is None)
    if done.is_new:
        facts = {"retention_days": retention_days}
        if quota_bytes is not None:
            facts["quota_bytes"] = quota_bytes
        slug = None if Folder.objects.filter(slug=company.slug).exists() else company.slug
        if slug and slug.startswith(folders.PERSONAL_PREFIX):
            slug = None
        done.folder = folders.make_folder(by=by, name=company.name, slug=slug, company=company, **facts)
    folder = folders.locked_folder(done.folder.pk)
    there = set(folder.subfolders.values_list("slug", flat=True))
    for slug, name in wanted.items():
        if slug in there:
            done.there.append(name)
        else:
            folders.make_subfolder(by=by, folder=folder, name=name, slug=slug)
            done.made.append(name)
    if may_send:
        _grant_once(by, folder, PermissionType.UPLOAD, company=company)
    if staff:
        for kind in PermissionType:
            _grant_once(by, folder, kind, role=Role.objects.get(name=OPS))
    return done


def _grant_once(by, folder, kind, **holder):
    # The folder's row is locked, as for each grant: no other request grants the same meanwhile.
    if not folder.permissions.filter(permission_type=kind, **holder).exists():
        folders.make_grant(by=by, folder=folder, permission_type=kind, **holder)


def _by_slug(names):
    """{slug: name} in the order of `names`. Raises Invalid (400)."""
    names = [" ".join(str(name).split()) for name in names]
    if len(names) > MOST_SUBFOLDERS:
        raise Invalid("subfolders", _("At most %(most)d subfolders.") % {"most": MOST_SUBFOLDERS})
    wanted = {}
    for name in names:
        slug = slugify(name)[:90].strip("-")
        if not slug or not name.isprintable() or len(name) > 200 or slug.startswith(folders.PERSONAL_PREFIX):
            raise Invalid("subfolders", _("“%(name)s” makes no name of a subfolder.") % {"name": name[:60]})
        wanted.setdefault(slug, name)
    return wanted
