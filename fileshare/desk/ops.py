"""What users with the role ops watch: unfinished uploads, which files clients have downloaded, and refused uploads.

Folder.objects.watched_by gives the folders, Folder.objects.clients their clients, and the log says who downloaded what.
Each query of the log is limited to the last DAYS days and to named files, folders or users. So an index serves it,
however long the log is.
"""

from dataclasses import dataclass, field
from datetime import timedelta

from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Count, Exists, Max, OuterRef, Q
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.contributions.actions import Action as AccountAction
from accounts.models import User
from accounts.models.roles import OPS
from accounts.notices import kinds, mail, preferences
from accounts.notices.notifications import notify
from accounts.people.roles import user_has_roles
from audit.log import record
from audit.models import Event
from config.access import get_visible
from config.errors import Conflict, seconds_until
from fileshare.content.refusals import SENTENCES
from fileshare.contributions.actions import Action
from fileshare.models import File, Folder
from fileshare.models.files import CLEAN, MAX_PIECES

DAYS = 30
# At most this many of the newest files are counted for the clients of one page.
MOST_FILES = 1000
# The clients of a file are named when there are at most this many. With more they are only counted.
NAMED_CLIENTS = 50
NUDGE_EVERY = timedelta(days=1)
NUDGE_NAMES = 20
LETTER = "files_waiting"
# Why an upload was refused, by the code in the log.
REASONS = {
    **SENTENCES,
    "quota_exceeded": gettext_lazy("The folder had not enough room."),
    "file_too_large": gettext_lazy("It was larger than the portal takes."),
    "no_room": gettext_lazy("There was no room for it in the file request or its folder."),
    "request_closed": gettext_lazy("The file request was closed."),
    "request_past": gettext_lazy("The time of the file request was over."),
    "request_full": gettext_lazy("The file request was full."),
}


def assert_may(user):
    """Raise PermissionDenied unless `user` has the role ops. Supers have it too."""
    if not user_has_roles(user, OPS):
        raise PermissionDenied


def since(now=None):
    """The earliest time of the log that the ops pages look at."""
    return (now or timezone.now()) - timedelta(days=DAYS)


def shared_folders(user):
    """The folders `user` watches, without personal folders: a super sees those too, but they have no clients."""
    return Folder.objects.watched_by(user).filter(owner=None)


def folder_of(user, slug):
    """The watched shared folder of that slug, with_rights. Raises Http404."""
    rows = shared_folders(user).with_rights(user)
    return get_visible(rows.filter(slug=slug).values_list("pk", flat=True).first(), rows)


def recent_files(user):
    """(the files `user` may see in the folders they watch, the same in pieces for keyset_page or None)."""
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


def reason_of(event):
    """Why the upload of such an event was refused, in words; the bare code when it has no words."""
    code = event.detail.get("code", "")
    return REASONS.get(code, code)


def within(events, folders):
    """Those of `events` that happened in `folders`, without those in deleted folders that had the same slugs."""
    there = folders.order_by().filter(slug=OuterRef("folder_slug"), created_at__lte=OuterRef("created_at"))
    return events.filter(Exists(there), folder_slug__in=folders.order_by().values("slug"))


# --- Who has fetched what -----------------------------------------------------------------------------


@dataclass
class Fetched:
    """A File, and how many clients of its folder have downloaded it.

    `yes` lists (User, when last) of those who have, `no` the Users who have not. Both are None when the folder has more
    than NAMED_CLIENTS clients.
    """

    file: File
    count: int = 0
    yes: list | None = None
    no: list | None = None


def downloads_of(files):
    """The DOWNLOAD events of these files (a list). The index by target finds only events of these files."""
    if not files:
        return Event.objects.none()
    return Event.objects.filter(
        target_id__in=[str(file.pk) for file in files],
        action=Action.DOWNLOAD,
        created_at__gte=min(file.uploaded_at for file in files),
    ).order_by()


def last_fetched(files, people):
    """{(file id as text, user id): when last} of the downloads of `files` by `people`, both lists."""
    return _last(downloads_of(files), people)


def last_fetched_by(people, files):
    """As last_fetched, for many files and few users: it reads what these users did since the first upload."""
    if not files:
        return {}
    ids, first = {str(file.pk) for file in files}, min(file.uploaded_at for file in files)
    changes = Event.objects.filter(
        action=AccountAction.EMAIL_CHANGED, actor__in=[user.pk for user in people], created_at__gte=first
    )
    # A row of the log keeps the e-mail address that the user had at the time.
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
    """(a Fetched for each of `files`, a list of files of `folder`; the number of the folder's clients)."""
    clients = Folder.objects.filter(pk=folder.pk).clients()
    few = list(clients.order_by("name", "email")[: NAMED_CLIENTS + 1])
    if len(few) > NAMED_CLIENTS:
        counts = dict(
            downloads_of(files)
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
    """Of `count` files in one folder, one client has not downloaded `missing`. `nudged_at` is their last reminder."""

    folder: Folder
    missing: int
    count: int
    nudged_at: object = None

    @property
    def may_be_nudged(self):
        """True when files wait and the last reminder was a day ago or longer."""
        return self.missing > 0 and (self.nudged_at is None or timezone.now() - self.nudged_at >= NUDGE_EVERY)


@dataclass
class Client:
    """A client, with a Waiting for each watched folder that they may download from and that has files of DAYS days."""

    user: User
    folders: list = field(default_factory=list)

    @property
    def missing(self):
        """How many files they have not downloaded."""
        return sum(row.missing for row in self.folders)


def clients_of(user, *, folder=None, text=""):
    """The clients of the folders `user` watches, or of one `folder`, by name; `text` is in their name or address."""
    folders = shared_folders(user) if folder is None else Folder.objects.filter(pk=folder.pk)
    people = folders.clients().select_related("company")
    return (people.matching(text) if text else people).order_by("name", "email")


def waiting(people, *, user, folder=None):
    """(a Client for each of `people`, a list; whether older files were left out because there are over MOST_FILES).

    It counts the files of the last DAYS days in the folders `user` watches, or in one `folder`. The number of queries
    is fixed.
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
    """Remind a client of the files of a folder that they have not downloaded. Returns how the reminder is sent.

    "now": an e-mail with the files' names. "digest": a line in their daily e-mail. "off": only a notice in the portal,
    because they want no such e-mail. A client is reminded of a folder at most once a day. Raises PermissionDenied
    unless `user` has the role ops, Http404 when they do not watch the folder or the other is not a client of it, and
    Conflict (409) when no file waits or the client was reminded within a day.
    """
    assert_may(user)
    folder = get_visible(folder_id, shared_folders(user))
    clients = Folder.objects.filter(pk=folder.pk).clients()
    # Lock the client: of two requests at once, the second waits and then finds the reminder of the first in the log.
    client = get_visible(client_id, clients.select_for_update(of=("self",), no_key=True))
    if nudged_at := _nudged([client]).get((str(client.pk), folder.slug)):
        raise Conflict(
            _("They were reminded of this folder within the last day."),
            code="nudged_before",
            retry_after=seconds_until(nudged_at + NUDGE_EVERY),
        )
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
        own_letter=wish == kinds.NOW,
    )
    if wish == kinds.NOW:
        mail.post(LETTER, to=client.email, user_id=str(client.pk), folder_id=str(folder.pk), kind=LETTER)
    record(Action.CLIENT_NUDGED, user=user, target=client, folder=folder, files=len(files), mail=wish)
    return wish


def letter_context(stored):
    """The context of the reminder's e-mail at the time it is sent; None when no file waits: then it is not sent.

    Raises mail.NotYet while all the files that the client has not downloaded wait for the virus scanner.
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
