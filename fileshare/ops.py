"""What people of the role ops look after: uploads on their way, what clients have fetched, what was refused.

The folders are Folder.objects.watched_by, their clients Folder.objects.clients, and what was fetched is what the log
says. Everything of the log is bound to the last DAYS days and to files or folders that are named, so that an index
serves it however long the log is.
"""

from dataclasses import dataclass, field
from datetime import timedelta

from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Count, Exists, Max, OuterRef, Q
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts import mail, notices, preferences
from accounts.models import User
from accounts.models.roles import OPS
from accounts.notifications import notify
from accounts.roles import user_has_roles
from audit.log import record
from audit.models import Action, Event
from config.access import get_visible
from config.errors import Conflict

from .models import File, Folder
from .models.files import CLEAN, MAX_PIECES

DAYS = 30
# So many of the newest files are counted for the clients of one page.
MOST_FILES = 1000
# A file with no more clients than this names them all.
NAMED_CLIENTS = 50
NUDGE_EVERY = timedelta(days=1)
NUDGE_NAMES = 20
LETTER = "files_waiting"


def assert_may(user):
    """Raise PermissionDenied unless `user` has the role ops; supers have it."""
    if not user_has_roles(user, OPS):
        raise PermissionDenied


def since(now=None):
    """How far back the log is looked at."""
    return (now or timezone.now()) - timedelta(days=DAYS)


def shared_folders(user):
    """Those of `user`'s folders that have clients: the personal ones, which a super sees too, have none."""
    return Folder.objects.watched_by(user).filter(owner=None)


def folder_of(user, slug):
    """The watched shared folder of that slug, with_rights. Raises Http404."""
    rows = shared_folders(user).with_rights(user)
    return get_visible(rows.filter(slug=slug).values_list("pk", flat=True).first(), rows)


def recent_files(user):
    """(files `user` may know of in the folders they watch, pieces of them for keyset_page or None)."""
    folders = Folder.objects.watched_by(user)
    files = File.objects.visible_to(user)
    if user.is_superuser:
        return files, None
    places = list(folders.values_list("pk", flat=True)[: MAX_PIECES + 1])
    pieces = None if len(places) > MAX_PIECES else [File.objects.kept().filter(folder=place) for place in places]
    return files.filter(folder__in=folders.values("pk")), pieces


def refusals(user):
    """The Events of uploads refused in the folders `user` watches, within DAYS days."""
    events = Event.objects.filter(action=Action.UPLOAD_REFUSED, created_at__gte=since())
    return events if user.is_superuser else within(events, Folder.objects.watched_by(user))


def within(events, folders):
    """Those of `events` that happened in `folders`, not in others that had their slugs before."""
    there = folders.order_by().filter(slug=OuterRef("folder_slug"), created_at__lte=OuterRef("created_at"))
    return events.filter(Exists(there), folder_slug__in=folders.order_by().values("slug"))


# --- Who has fetched what -----------------------------------------------------------------------------


@dataclass
class Fetched:
    """A File, and who of its folder's clients has it: how many, and where they are few their names.

    `yes` are (User, when last), `no` Users; both are None where there are more than NAMED_CLIENTS.
    """

    file: File
    count: int = 0
    yes: list | None = None
    no: list | None = None


def _downloads(files):
    """The DOWNLOAD events of these files (a list): their index by target holds nothing but what was done to them."""
    if not files:
        return Event.objects.none()
    return Event.objects.filter(
        target_id__in=[str(file.pk) for file in files],
        action=Action.DOWNLOAD,
        created_at__gte=min(file.uploaded_at for file in files),
    ).order_by()


def last_fetched(files, people):
    """{(file id as text, user id): when last} of the downloads of `files` by `people`, both lists."""
    return _last(_downloads(files), people)


def last_fetched_by(people, files):
    """The same, of many files and few people: what is read is what these people did since the first file came."""
    if not files:
        return {}
    ids, first = {str(file.pk) for file in files}, min(file.uploaded_at for file in files)
    changes = Event.objects.filter(
        action=Action.EMAIL_CHANGED, actor__in=[user.pk for user in people], created_at__gte=first
    )
    # A row of the log keeps the address that somebody had at the time.
    emails = {user.email for user in people} | {event.detail["old_email"] for event in changes}
    rows = Event.objects.filter(actor_email__in=emails, action=Action.DOWNLOAD, created_at__gte=first).order_by()
    return {key: at for key, at in _last(rows, people).items() if key[0] in ids}


def _last(downloads, people):
    rows = downloads.filter(actor__in=[user.pk for user in people])
    return {
        (row["target_id"], row["actor"]): row["last"]
        for row in rows.values("target_id", "actor").annotate(last=Max("created_at"))
    }


def fetched(files, *, folder):
    """(a Fetched for each of `files`, a list of `folder`'s; the number of the folder's clients)."""
    clients = Folder.objects.filter(pk=folder.pk).clients()
    few = list(clients.order_by("name", "email")[: NAMED_CLIENTS + 1])
    if len(few) > NAMED_CLIENTS:
        counts = dict(
            _downloads(files)
            .filter(actor__in=clients.values("pk"))
            .values("target_id")
            .annotate(n=Count("actor", distinct=True))
            .values_list("target_id", "n")
        )
        return [Fetched(file, counts.get(str(file.pk), 0)) for file in files], clients.count()
    last = last_fetched(files, few)
    rows = []
    for file in files:
        yes = [(user, last[(str(file.pk), user.pk)]) for user in few if (str(file.pk), user.pk) in last]
        no = [user for user in few if (str(file.pk), user.pk) not in last]
        rows.append(Fetched(file, len(yes), sorted(yes, key=lambda row: row[1], reverse=True), no))
    return rows, len(few)


@dataclass
class Waiting:
    """Of one client in one folder: how many files they have not fetched, of how many; when they were last reminded."""

    folder: Folder
    missing: int
    count: int
    nudged_at: object = None

    @property
    def may_be_nudged(self):
        """True when something waits and the last reminder is a day old."""
        return self.missing > 0 and (self.nudged_at is None or timezone.now() - self.nudged_at >= NUDGE_EVERY)


@dataclass
class Client:
    """A client, with a Waiting for each watched folder they download from that got files within DAYS days."""

    user: User
    folders: list = field(default_factory=list)

    @property
    def missing(self):
        """How many files they have not fetched."""
        return sum(row.missing for row in self.folders)


def clients_of(user, *, folder=None, text=""):
    """The clients of the folders `user` watches, or of one of them, by name; `text` is in their name or address."""
    folders = shared_folders(user) if folder is None else Folder.objects.filter(pk=folder.pk)
    people = folders.clients().select_related("company")
    return (people.matching(text) if text else people).order_by("name", "email")


def waiting(people, *, user, folder=None):
    """(a Client for each of `people`, a list; whether older files than MOST_FILES were left out).

    Counted are the files of the last DAYS days in the folders `user` watches, or in one of them. The number of
    queries is fixed.
    """
    watched = shared_folders(user) if folder is None else Folder.objects.filter(pk=folder.pk)
    reach = watched.reach(people)
    wanted = set().union(*reach.values()) if reach else set()
    rows = File.objects.kept().filter(CLEAN, folder__in=wanted, uploaded_at__gte=since())
    files = list(rows.only("pk", "folder", "uploaded_at", "uploaded_by").order_by("-uploaded_at")[: MOST_FILES + 1])
    is_cut, files = len(files) > MOST_FILES, files[:MOST_FILES]
    last = last_fetched_by(people, files)
    of_folder = {}
    for file in files:
        of_folder.setdefault(file.folder_id, []).append(file)
    folders = {row.pk: row for row in Folder.objects.filter(pk__in=of_folder).order_by("name")}
    nudged = _nudged(people)
    found = []
    for person in people:
        client = Client(person)
        for pk in (pk for pk in folders if pk in reach[person.pk]):
            theirs = [file for file in of_folder[pk] if file.uploaded_by_id != person.pk]
            missing = sum((str(file.pk), person.pk) not in last for file in theirs)
            when = nudged.get((str(person.pk), folders[pk].slug))
            client.folders.append(Waiting(folders[pk], missing, len(theirs), when))
        found.append(client)
    return found, is_cut


# --- Reminding ----------------------------------------------------------------------------------------


def _nudged(people):
    """{(user id as text, folder slug): when they were last reminded}, within NUDGE_EVERY."""
    rows = Event.objects.filter(
        target_id__in=[str(user.pk) for user in people],
        action=Action.CLIENT_NUDGED,
        created_at__gt=timezone.now() - NUDGE_EVERY,
    ).order_by()
    return {
        (row["target_id"], row["folder_slug"]): row["last"]
        for row in rows.values("target_id", "folder_slug").annotate(last=Max("created_at"))
    }


def unfetched(client, folder):
    """The files of the last DAYS days in `folder` that `client` may download and has not, newest first; a list."""
    return _unfetched(client, folder, File.objects.downloadable_by(client))


def _unfetched(client, folder, files):
    rows = files.filter(~Q(uploaded_by=client), folder=folder, uploaded_at__gte=since())
    files = list(rows.order_by("-uploaded_at", "-pk")[:MOST_FILES])
    last = last_fetched_by([client], files)
    return [file for file in files if (str(file.pk), client.pk) not in last]


@transaction.atomic
def nudge(*, user, folder_id, client_id):
    """Remind a client of the files of a folder that they have not fetched. Returns how it reaches them.

    "now": a letter with the files' names; "digest": a line of their daily letter; "off": a notice in the portal, for
    they want no such mail. At most once a day for each client and folder. Raises PermissionDenied unless `user` has
    the role ops, Http404 for a folder they do not watch or somebody who is no client of it, Conflict (409) when
    nothing waits or they were reminded within a day.
    """
    assert_may(user)
    folder = get_visible(folder_id, shared_folders(user))
    clients = Folder.objects.filter(pk=folder.pk).clients()
    # Two that remind at once take turns, and the second finds what the first has logged.
    client = get_visible(client_id, clients.select_for_update(of=("self",), no_key=True))
    if _nudged([client]).get((str(client.pk), folder.slug)):
        raise Conflict(_("They were reminded of this folder within the last day."), code="nudged_before")
    files = unfetched(client, folder)
    if not files:
        raise Conflict(_("They have fetched everything of the last days."), code="nothing_waiting")
    wish = preferences.of_many([client.pk], LETTER)[client.pk]
    notify(
        client,
        LETTER,
        about=str(folder.pk),
        folder=folder.name,
        folder_slug=folder.slug,
        waiting=len(files),
        own_letter=wish == notices.NOW,
    )
    if wish == notices.NOW:
        mail.post(LETTER, to=client.email, user_id=str(client.pk), folder_id=str(folder.pk), kind=LETTER)
    record(Action.CLIENT_NUDGED, user=user, target=client, folder=folder, files=len(files), mail=wish)
    return wish


def letter_context(stored):
    """What the reminder says, as things are when it goes; None, and it is dropped, when nothing waits any more.

    Raises mail.NotYet while all that they have not fetched is kept back for the virus scanner.
    """
    client = User.objects.filter(pk=stored["user_id"], is_active=True, email_verified_at__isnull=False).first()
    folder = Folder.objects.filter(pk=stored["folder_id"]).first()
    if client is None or folder is None:
        return None
    files = unfetched(client, folder)
    if not files:
        if _unfetched(client, folder, File.objects.awaited_by(client)):
            raise mail.NotYet
        return None
    return preferences.letter_context(client, stored) | {
        "folder": folder,
        "names": [file.filename for file in files[:NUDGE_NAMES]],
        "more": max(0, len(files) - NUDGE_NAMES),
        "count": len(files),
    }
