"""Who sees what is put into a folder: in numbers for everybody who uses it, by name for those who upload to it."""

from dataclasses import dataclass

from django.core.exceptions import PermissionDenied
from django.db.models import Count, Q
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from accounts.models.roles import OPS
from accounts.people.roles import user_has_roles
from config.errors import Invalid
from config.prepared import Among, Fixed, Prepared, Several

from . import folders
from .models import Folder

_FOLDER_PK = Folder._meta.pk
MOST_NAMED = 3
"""A line names so many companies; of more it tells the number."""


def _groups(folder, is_personal):
    rows = Folder.objects.filter(pk=folder)
    people = rows.readers().exclude(pk__in=rows.values("owner")) if is_personal else rows.audience()
    people = people.with_ops().order_by().values("is_ops", "company", "company__name")
    return people.annotate(n=Count("pk")).values_list("is_ops", "company", "company__name", "n")


_GROUPS = Prepared(_groups, folder=_FOLDER_PK, is_personal=Fixed())
_SIZE = Prepared(
    lambda folders: (
        Folder.objects.filter(Among("id", folders))
        .audience()
        .order_by()
        .values("is_active")
        .annotate(n=Count("pk"), k=Count("company", distinct=True))
        .values_list("n", "k")
    ),
    folders=Several(_FOLDER_PK),
)


@dataclass
class Seen:
    """What a page with a drop zone says: the line on who sees the folder, the question before the first upload, and the
    sentence to tick in its place; the two are "" when there is nothing to ask."""

    line: str
    question: str = ""
    consent: str = ""


@dataclass
class Audience:
    """The people who may download what is put into a folder.

    `companies` are (id, name, number of clients of it), by name; `alone` counts clients without a company, `firm` the
    people of the firm: supers and the role ops. Of a folder for `everybody` only `people` and `crowd_companies` are
    known, of the others these are the sums. A personal folder counts its owner, and supers only with a grant.
    """

    folder: Folder
    everybody: bool
    people: int
    crowd_companies: int
    companies: list
    alone: int = 0
    firm: int = 0

    def seen(self, viewer):
        """The Seen of a page for `viewer`."""
        return Seen(self.line(viewer), self.question(), self.consent())

    def line(self, viewer=None):
        """One sentence for `viewer`, who is a User, or None for somebody without an account.

        Only the firm's people read the names of companies; a client reads their own company's.
        """
        if self.everybody:
            return _("Seen by everybody with an account (%(n)d)") % {"n": self.people}
        if viewer is None:
            who = _number_of_people(self.people)
        elif self.people == 1 and self._has(viewer):
            who = _("only you")
        else:
            who = ", ".join(self._parts(viewer))
        return _("Seen by: %(who)s") % {"who": who}

    def _has(self, viewer):
        if self.folder.owner_id:
            return self.folder.owner_id == viewer.pk
        return self.folder.can_download

    def _parts(self, viewer):
        owner = self.folder.owner if self.folder.owner_id else None
        parts = [] if owner is None else [_("you") if owner == viewer else owner.get_full_name()]
        if is_of_the_firm(viewer):
            named, others, alone = self.companies, 0, self.alone
        else:
            named = [company for company in self.companies if company[0] == viewer.company_id]
            others, alone = sum(n for pk, _name, n in self.companies if pk != viewer.company_id) + self.alone, 0
            if owner != viewer and viewer.company_id is None and self.folder.can_download:
                parts.append(_("you"))
                others -= 1
        if len(named) > MOST_NAMED:
            parts.append(_crowd(sum(n for _pk, _name, n in named), len(named)))
        else:
            parts += [
                ngettext("%(name)s (%(n)d person)", "%(name)s (%(n)d people)", n) % {"name": name, "n": n}
                for _pk, name, n in named
            ]
        if others:
            parts.append(ngettext("%(n)d other person", "%(n)d other people", others) % {"n": others})
        if alone:
            words = ngettext("%(n)d person without a company", "%(n)d people without a company", alone)
            parts.append(words % {"n": alone})
        if self.firm:
            parts.append(ngettext("the firm (%(n)d person)", "the firm (%(n)d people)", self.firm) % {"n": self.firm})
        return parts

    @property
    def is_of_several_companies(self):
        """True when clients of more than one company see the folder, or everybody does."""
        return self.everybody or self.crowd_companies > 1

    def question(self):
        """What to ask before the first upload; "" when there is nothing to ask."""
        if self.everybody:
            return _("Everybody with an account (%(crowd)s) will see these files. Upload?") % {"crowd": self._crowd()}
        if self.is_of_several_companies:
            return _("%(crowd)s will see these files. Upload?") % {"crowd": self._crowd()}
        return ""

    def consent(self):
        """The answer to the question as a sentence to tick, in the form without scripts; "" without a question."""
        if self.everybody:
            return _("Everybody with an account (%(crowd)s) may see this file.") % {"crowd": self._crowd()}
        return _("%(crowd)s may see this file.") % {"crowd": self._crowd()} if self.is_of_several_companies else ""

    def _crowd(self):
        return _crowd(self.people, self.crowd_companies)


def _number_of_people(n):
    return ngettext("%(n)d person", "%(n)d people", n) % {"n": n}


def _crowd(people, companies):
    if not companies:
        return _number_of_people(people)
    of = ngettext("%(k)d company", "%(k)d companies", companies) % {"k": companies}
    return _("%(people)s of %(companies)s") % {"people": _number_of_people(people), "companies": of}


def is_of_the_firm(user):
    """True for supers and the role ops, who may read names of every client."""
    return user_has_roles(user, OPS)


def of_folder(folder):
    """The Audience of a Folder, by one query if it came from with_rights."""
    if folder.is_for_everybody:
        ((people, companies),) = _SIZE.all(folders=[folder.pk]) or [(0, 0)]
        return Audience(folder, True, people, companies, [])
    is_personal = folder.owner_id is not None
    rows = _GROUPS.all(folder=folder.pk, is_personal=is_personal)
    companies = [(pk, name, n) for is_firm, pk, name, n in rows if not is_firm and pk is not None]
    return Audience(
        folder,
        everybody=False,
        people=sum(row[3] for row in rows) + is_personal,
        crowd_companies=len(companies),
        companies=sorted(companies, key=lambda company: company[1].casefold()),
        alone=sum(n for is_firm, pk, _name, n in rows if not is_firm and pk is None),
        firm=sum(row[3] for row in rows if row[0]),
    )


def told_of_everybody(rows):
    """The same list of Folders (with_rights). Those for everybody get `seen_by`, the line; one query for all."""
    open_ones = [folder for folder in rows if folder.is_for_everybody]
    if open_ones:
        ((people, companies),) = _SIZE.all(folders=[folder.pk for folder in open_ones]) or [(0, 0)]
        for folder in open_ones:
            folder.seen_by = Audience(folder, True, people, companies, []).line()
    return rows


def assert_agreed(folder, *, agreed):
    """Raise Invalid (400) for an upload by a form that asked, unless whoever sent it `agreed`."""
    if not agreed and (consent := of_folder(folder).consent()):
        raise Invalid("agreed", _("Go back and confirm who will see the file: “%(consent)s”") % {"consent": consent})


@dataclass
class People:
    """The people who see a `folder`: a queryset in order, of those whose names the user may read; `hidden` counts the
    others."""

    folder: Folder
    rows: object
    hidden: int


def people_of(*, user, slug):
    """The People of a folder, for whoever may upload to it.

    The firm's people read all names; a client those of the firm, of their own company, and the owner's. Each has
    `is_ops`, true for the firm's people, and company. Raises Http404, PermissionDenied.
    """
    folder = folders.visible_folder(user=user, slug=slug)
    if not folder.can_upload:
        raise PermissionDenied
    everyone = Folder.objects.filter(pk=folder.pk).audience().with_ops()
    rows, hidden = everyone, 0
    if not is_of_the_firm(user):
        known = Q(is_ops=True) | Q(pk=user.pk) | Q(pk=folder.owner_id)
        if user.company_id is not None:
            known |= Q(company=user.company_id)
        rows = everyone.filter(known)
        hidden = everyone.count() - rows.count()
    return People(folder, rows.select_related("company").order_by("-is_ops", "company__name", "name", "pk"), hidden)
