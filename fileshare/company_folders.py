"""Create a company's folder with its usual subfolders in one call. A second call creates only what is missing."""

from dataclasses import dataclass, field

from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.utils.text import slugify
from django.utils.translation import gettext as _

from accounts.models import Company
from config.access import get_visible
from config.errors import Invalid

from . import folders
from .models import Folder

SUBFOLDERS = ("VSZ Backups", "Configs", "Migrations", "Exports")
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


def set_up(*, user, company_id, subfolders=SUBFOLDERS, quota_bytes=None, retention_days=None):
    """Give a company its folder and the `subfolders` (names). Returns a SetUp.

    Its folder is the one with the company's slug, else its oldest folder, else a new one. `quota_bytes`, when given,
    is the quota of a new folder, `retention_days` how long it keeps files (None: until somebody deletes them); an
    existing folder keeps its own. A subfolder exists when the folder has one with the
    same slug. Two calls at once create only one of each. Raises PermissionDenied, Http404 or Invalid (400).
    """
    if not Folder.objects.may_be_made_by(user):
        raise PermissionDenied
    return _set_up(user, company_id, subfolders, quota_bytes, retention_days)


def set_up_by_the_portal(*, company_id, subfolders=SUBFOLDERS, quota_bytes=None):
    """set_up for the portal's commands: without a check of rights, and without a user in the log. Files are kept.

    Raises Http404 or Invalid (400).
    """
    return _set_up(None, company_id, subfolders, quota_bytes, None)


@transaction.atomic
def _set_up(by, company_id, subfolders, quota_bytes, retention_days):
    wanted = _by_slug(subfolders)
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
    return done


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
