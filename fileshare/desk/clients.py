"""The clients desk: companies with their folders, people and invitations, for users with the role ops and supers.

Folder.objects.companies_served_by and clients_served_by say whose clients a user looks after.
"""

from dataclasses import dataclass

from django.db import transaction
from django.db.models import Count, Exists, F, Max, OuterRef, Q, Subquery, Sum
from django.db.models.functions import Coalesce
from django.utils.translation import gettext as _

from accounts.contributions.actions import Action as AccountAction
from accounts.models import Company, OutgoingMail, Role, User
from accounts.models.roles import CLIENT
from accounts.people import companies, invitations, roles
from audit.models import Event
from config.access import get_visible
from config.errors import Conflict
from fileshare import company_folders
from fileshare.contributions.actions import Action
from fileshare.models import File, FileRequest, Folder, FolderPermission
from fileshare.models.files import CLEAN

from . import ops, people_lists

MOST_EVENTS = 30
# How many changes of an account to look back for the one that switched it off.
MOST_CHANGES = 100
SORTS = {
    "name": ["name", "pk"],
    "-seen": [F("seen").desc(nulls_last=True), "name", "pk"],
    "seen": [F("seen").asc(nulls_first=True), "name", "pk"],
    "-people": ["-people_count", "name", "pk"],
    "-space": ["-used_bytes", "name", "pk"],
}
"""Orders of the list of companies, by the word in the page's address."""


# --- Lists ------------------------------------------------------------------------------------------


@dataclass
class Row:
    """A Company with people_count, seen (a time or None) and used_bytes, and what waits for its people.

    `unfetched` is how many of the newest files in its folders none of its people has downloaded, `asked` how many file
    requests into its folders are open.
    """

    company: Company
    unfetched: int = 0
    asked: int = 0


def companies_of(user, *, text="", sort="name"):
    """The companies `user` serves, with people_count, seen and used_bytes; `text` is in their or a person's name."""
    people = User.objects.filter(company=OuterRef("pk"), is_superuser=False, closed_at=None).order_by()
    counted, seen = (
        people.values("company").annotate(found=found).values("found") for found in (Count("pk"), Max("last_login"))
    )
    folders = Folder.objects.filter(company=OuterRef("pk")).order_by().values("company")
    rows = Folder.objects.companies_served_by(user).annotate(
        people_count=Coalesce(Subquery(counted), 0),
        seen=Subquery(seen),
        used_bytes=Coalesce(Subquery(folders.annotate(found=Sum("used_bytes")).values("found")), 0),
    )
    if text:
        rows = rows.filter(Q(name__icontains=text) | Exists(people.matching(text)))
    return rows.order_by(*SORTS.get(sort, SORTS["name"]))


def rows_of(found, *, user):
    """A Row for each of `found`, a list of companies. The number of queries is fixed.

    It counts the files of the last ops.DAYS days, at most the newest ops.MOST_FILES of them.
    """
    rows = {company.pk: Row(company) for company in found}
    files = list(
        File.objects.kept()
        .filter(CLEAN, folder__company__in=rows, uploaded_at__gte=ops.since())
        .filter(Q(uploaded_by=None) | Q(uploaded_by__company=None) | ~Q(uploaded_by__company=F("folder__company")))
        .annotate(company=F("folder__company"))
        .order_by("-uploaded_at")
        .only("pk", "uploaded_at")[: ops.MOST_FILES]
    )
    fetched = set(
        ops.downloads_of(files).filter(actor__company__in=rows).values_list("target_id", "actor__company").distinct()
    )
    for file in files:
        rows[file.company].unfetched += (str(file.pk), file.company) not in fetched
    asked = FileRequest.objects.visible_to(user).open().filter(folder__company__in=rows).order_by()
    for company, count in asked.values_list("folder__company").annotate(n=Count("pk")):
        rows[company].asked = count
    return list(rows.values())


def company_of(user, company_id):
    """A company `user` serves, with the same numbers as in the list. Raises Http404."""
    return get_visible(company_id, companies_of(user))


def people_of(user, *, company=None, text=""):
    """The clients `user` serves, of one company or all, by name; `text` is in their name or address."""
    people = Folder.objects.clients_served_by(user).select_related("company")
    if company is not None:
        people = people.filter(company=company)
    return (people.matching(text) if text else people).order_by("name", "email", "pk")


def person_of(user, person_id):
    """A client `user` serves. Raises Http404."""
    return get_visible(person_id, people_of(user))


def failed_letters(people):
    """The addresses, of these people, to whom the newest letter could not be sent; by one query."""
    newest = OutgoingMail.objects.filter(to=OuterRef("to")).order_by("-created_at").values("pk")[:1]
    failed = OutgoingMail.objects.filter(to__in=[person.email for person in people], failed_at__isnull=False)
    return set(failed.filter(pk=Subquery(newest)).values_list("to", flat=True))


def rights_of(user, person):
    """What `person` may use of the folders that `user` watches, and why: as Folder.objects.reasons gives it."""
    return Folder.objects.watched_by(user).filter(owner=None).reasons(person)


def activity_of(user, person):
    """The newest uploads and downloads by `person` in the folders that `user` watches: a list of Events."""
    events = Event.objects.filter(
        actor=person, action__in=[Action.UPLOAD, Action.DOWNLOAD], created_at__gte=ops.since()
    )
    seen = events if user.is_superuser else ops.within(events, Folder.objects.watched_by(user))
    return list(seen.order_by("-created_at")[:MOST_EVENTS])


# --- Making clients ---------------------------------------------------------------------------------


@dataclass
class Made:
    """A new Company, its Folder, and the Users who were invited."""

    company: Company
    folder: Folder
    invited: list


@transaction.atomic
def make_client(*, user, name, people=(), **wishes):
    """Make a company with its folder and invite its `people`, a list of Persons. Returns a Made.

    `wishes` are those of company_folders.make; the role ops may work in the folder. All or nothing. Raises
    PermissionDenied unless `user` has the role ops, Invalid (400), Conflict (409) for a name that is taken.
    """
    ops.assert_may(user)
    company = companies.make_company(by=user, name=name)
    done = company_folders.make(by=user, company_id=company.pk, staff=True, **wishes)
    return Made(company, done.folder, _invite(user, company, people))


@transaction.atomic
def add_people(*, user, company_id, people):
    """Invite `people`, a list of Persons, to a company. Returns the Users; nobody is invited when one is refused.

    Raises PermissionDenied, Http404 for a company that `user` does not serve, Invalid (400).
    """
    ops.assert_may(user)
    served = get_visible(company_id, Folder.objects.companies_served_by(user))
    return _invite(user, roles.company_of(served.pk), people)


def _invite(user, company, people):
    if not people:
        return []
    if not user.is_superuser:
        _demand_nobody_elses(company, people)
    try:
        return invitations.make_invited(
            by=user, people={person.email: person.name for person in people}, roles=[CLIENT], company=company
        )
    except invitations.AddressTaken as refusal:
        raise _taken(people, refusal) from None


def _demand_nobody_elses(company, people):
    """Refuse who signed up without confirming and was then given something by a super: an invitation would take it
    along."""
    pending = User.objects.unconfirmed().filter(email__in=[person.email for person in people])
    given = (
        Exists(Role.objects.filter(~Q(name=CLIENT), user=OuterRef("pk")))
        | Exists(FolderPermission.objects.filter(user=OuterRef("pk")))
        | Q(company__isnull=False) & ~Q(company=company)
    )
    if others := list(pending.filter(given).values_list("email", flat=True)):
        raise _taken(people, invitations.AddressTaken(others))


def _taken(people, refusal):
    taken = set(refusal.addresses)
    return people_lists.refusal([(person.line, refusal.message) for person in people if person.email in taken])


@transaction.atomic
def invite_again(*, user, person_id):
    """Mail a new link to an invited client; earlier links stop working. Returns the User.

    Raises PermissionDenied, Http404 for a client whom `user` does not serve, NotInvited (409).
    """
    person = _locked(user, person_id)
    return invitations.invite_once_more(by=user, user_id=person.pk)


@transaction.atomic
def switch(*, user, person_id, is_active):
    """Take a client's access, with every session, token and download link at once, or give it back. Returns the User.

    Raises PermissionDenied, Http404 for a client whom `user` does not serve, Conflict (409) for an account whose
    address is not verified, and for one that a super switched off, which only a super switches on.
    """
    person = _locked(user, person_id)
    if not person.is_verified:
        raise Conflict(
            _("They have not accepted their invitation yet: it can be withdrawn."), code="email_not_verified"
        )
    if is_active and not user.is_superuser and _was_switched_off_by_a_super(person):
        raise Conflict(_("A super took this access: ask them to give it back."), code="taken_by_super")
    return roles.switch(person, by=user, is_active=is_active)


def _was_switched_off_by_a_super(person):
    changes = Event.objects.filter(target_id=str(person.pk), action=AccountAction.USER_CHANGED).order_by("-created_at")
    for change in changes.select_related("actor")[:MOST_CHANGES]:
        if change.detail.get("after", {}).get("is_active") is False:
            return change.actor is None or change.actor.is_superuser
    return True


@transaction.atomic
def withdraw(*, user, person_id):
    """Withdraw the invitation of a client who has not accepted it: delete the account. Returns the address.

    Raises PermissionDenied, Http404 for a client whom `user` does not serve, NotInvited or Vetoed (409).
    """
    ops.assert_may(user)
    person = person_of(user, person_id)
    invitations.take_back(by=user, user_id=person.pk)
    return person.email


def _locked(user, person_id):
    ops.assert_may(user)
    return get_visible(person_id, people_of(user).select_for_update(of=("self",), no_key=True))
