"""Notices about folders and files.

They are about a folder that is nearly full, new files, files that expire, files that another user deleted or renamed,
files in quarantine, and permissions of a role.

Notices to thousands of users are written in batches. Each batch is a transaction with a fixed number of queries. Every
notice stores the time up to which it tells (`until`). So no user is told the same thing twice, even when a task is
killed or two workers run it at once.
"""

from collections import Counter
from datetime import datetime, time, timedelta

from django.core.cache import cache
from django.db import transaction
from django.db.models import Count, F
from django.db.models.functions import TruncDate
from django.utils import timezone

from accounts.models import User
from accounts.notices.notifications import notify, notify_many

from . import new_file_letters
from .models import File, Folder, ScanState

BATCH = 500
NEARLY_FULL_PERCENT = 90
# A file's upload time is a little earlier than the commit that makes its row visible to other transactions.
SETTLE = timedelta(seconds=10)
# How far back to look for new files when the cache has lost the time up to which users were told.
MEMORY = timedelta(days=1)
TOLD_UNTIL = "fileshare.news.told-until"
# At most this many new files of a folder are counted.
MOST_FILES = 1000
EXPIRY_DAYS = 7


def tell_of_little_room(*, folder_id, taken_bytes):
    """Notify the folder's owner, or the supers, when the `taken_bytes` reserved just now made it 90 % full.

    The caller holds the lock of the folder's row. So of several reservations at once only one crosses the line.
    """
    taken = F("used_bytes") + F("reserved_bytes")
    folder = (
        Folder.objects.with_quota()
        .alias(hundredfold=taken * 100, line=(F("quota_bytes") + F("granted_bytes")) * NEARLY_FULL_PERCENT)
        .filter(
            pk=folder_id, quota_bytes__gt=0, hundredfold__gte=F("line"), hundredfold__lt=F("line") + taken_bytes * 100
        )
        .select_related("owner")
        .first()
    )
    if folder is None:
        return
    people = (
        [folder.owner] if folder.owner_id else User.objects.filter(is_superuser=True, is_active=True).order_by("pk")
    )
    for user in people:
        notify(
            user,
            "quota_near_full",
            about=str(folder.pk),
            folder=folder.name,
            folder_slug=folder.slug,
            percent=folder.used_percent,
        )


def tell_of_deletions(files, *, by):
    """Notify the uploaders, in the caller's transaction, that `by` deleted their files.

    There is no notice when uploaders delete their own files. Until it is read, one notice counts all deleted files of
    the same folder.
    """
    others = {}
    for file in files:
        if file.uploaded_by is not None and file.uploaded_by_id != by.pk:
            others.setdefault((file.uploaded_by_id, file.folder_id), []).append(file)
    for _key, theirs in sorted(others.items()):  # in one order, so that two requests do not wait in a circle
        last = theirs[-1]
        notify(
            last.uploaded_by,
            "file_deleted",
            about=str(last.folder_id),
            folder=last.folder.name,
            folder_slug=last.folder.slug,
            filename=last.filename,
            by=by.get_full_name(),
            count=len(theirs),
        )


def tell_of_rename(file, *, before, by):
    """Notify the uploader, in the caller's transaction, that `by` renamed their file, which was called `before`.

    There is no notice when uploaders rename their own files, or when they may no longer see them.
    """
    uploader = file.uploaded_by
    if uploader is None or uploader.pk == by.pk or not File.objects.visible_to(uploader).filter(pk=file.pk).exists():
        return
    notify(uploader, "file_renamed", filename=file.filename, before=before, file_id=str(file.pk), by=by.get_full_name())


def tell_of_quarantine(file, *, state, signature="", by=None):
    """Notify the uploader, in the caller's transaction, of the state of their file in quarantine.

    `state` is a ScanState, "released" or "deleted". `by` is the super who decided it; they get no notice of their own
    decision.
    """
    if file.uploaded_by is not None and file.uploaded_by != by:
        notify(
            file.uploaded_by,
            "file_quarantined",
            about=str(file.pk),
            mail_again=True,
            filename=file.filename,
            file_id=str(file.pk),
            state=state,
            signature=signature,
        )


def readers_of(folder):
    """The users who are notified of a folder: its readers, without the supers who may download everything."""
    return Folder.objects.filter(pk=folder.pk).readers()


def _batches(people):
    """Yield `people` in lists of at most BATCH users, with one query for each list."""
    people = people.only("pk", "email", "language", "is_active", "company").order_by("pk")
    last = None
    while batch := list((people if last is None else people.filter(pk__gt=last))[:BATCH]):
        yield batch
        last = batch[-1].pk


# --- New files --------------------------------------------------------------------------------------


def tell_of_new_files(*, now=None):
    """Notify the readers of company and special folders of files that others put there. Returns how many were told.

    The cache keeps the time up to which users were told. When the cache has lost it, the task looks at the last day
    again, and the `until` of each notice prevents a second one. Personal folders are left out: only their owner reads
    them.
    """
    now = now or timezone.now()
    until = now - SETTLE
    since = max(cache.get(TOLD_UNTIL) or now - MEMORY, now - MEMORY)
    new = File.objects.come_between(since, until).filter(deleted_at=None)
    told = 0
    for folder in Folder.objects.filter(owner=None, pk__in=new.values("folder")).order_by("pk"):
        told += _tell_of_folder(folder, new.filter(folder=folder), since)
    cache.set(TOLD_UNTIL, until, int(2 * MEMORY.total_seconds()))
    return told


def _tell_of_folder(folder, new, since):
    files = list(new.order_by("-came_at", "-pk").values_list("came_at", "uploaded_by", "filename")[:MOST_FILES])
    if not files:
        return 0
    until, told_of = files[0][0], {}

    def payload_of(user, earlier):
        known = _moment(earlier.payload.get("until")) if earlier else None
        theirs = [name for at, by, name in files if by != user.pk and (known is None or at > known)]
        if not theirs:
            return None
        told_of[user] = (known or since).isoformat()
        unread = earlier is not None and not earlier.is_read
        before = earlier.payload.get("count", 0) if unread else 0
        return {
            "folder": folder.name,
            "folder_slug": folder.slug,
            "filename": theirs[0],
            "count": before + len(theirs),
            "until": until.isoformat(),
            "own_letter": True,
        }

    told = 0
    for batch in _batches(readers_of(folder)):
        with transaction.atomic():
            told_of.clear()
            told += notify_many(batch, new_file_letters.KIND, about=str(folder.pk), since=since, payload_of=payload_of)
            new_file_letters.wait_for(folder, told_of)
    return told


def _moment(text):
    return datetime.fromisoformat(text) if text else None


# --- Files that expire ------------------------------------------------------------------------------


def tell_of_expiring_files(*, now=None):
    """Notify whoever uploaded or may download files that expire within a week. Returns how many were told.

    Everybody gets one notice of all their folders, at most one a day. An unread notice is updated with the present
    number. A read one is followed, from the next day on, by one of the days that have more files than it told of. So it
    does not matter how often this runs. Supers are told as uploaders, or where they hold a grant.
    """
    now = now or timezone.now()
    end = datetime.combine((now + timedelta(days=EXPIRY_DAYS)).date(), time.max, tzinfo=now.tzinfo)
    going = File.objects.not_held().filter(deleted_at=None, expires_at__gt=now, expires_at__lte=end)
    places = Folder.objects.filter(pk__in=going.values("folder"))
    # Read all rows first: on SQLite no query may stay open while the notices are written.
    goers = _Goers(going)
    people = places.readers() | User.objects.filter(pk__in=going.values("uploaded_by"), is_active=True)
    told = 0
    for batch in _batches(people):
        reach = places.reach(batch)
        told += notify_many(
            batch,
            "file_expiring",
            about="expiry",
            since=now - timedelta(days=30),
            payload_of=lambda user, earlier, reach=reach: _expiry(goers.of(user.pk, reach[user.pk]), earlier, now),
        )
    return told


class _Goers:
    """How many files go on which day, for each person: {day: {(name, slug) of a folder: number}}.

    Who may download from a folder is told of its clean files and of all they uploaded; other uploaders of their own.
    """

    def __init__(self, going):
        self._named, self._shown, self._own = {}, {}, {}
        dated = going.annotate(day=TruncDate("expires_at")).order_by()
        place = ("folder", "folder__name", "folder__slug")
        rows = dated.values_list(*place, "uploaded_by", "scan_state", "day").annotate(n=Count("pk"))
        for folder, name, slug, uploader, scan_state, day, n in rows:
            self._named[folder] = (name, slug)
            is_clean, fact = scan_state == ScanState.CLEAN, (day.isoformat(), n)
            if is_clean:
                self._shown.setdefault(folder, []).append(fact)
            self._own.setdefault(uploader, []).append((folder, is_clean, *fact))

    def of(self, user_id, reach):
        """For one person, who may download from the folders of the ids `reach`."""
        found = {}
        facts = [(folder, *fact) for folder in reach for fact in self._shown.get(folder, ())]
        facts += [
            (folder, day, n)
            for folder, is_clean, day, n in self._own.get(user_id, ())
            if folder not in reach or not is_clean
        ]
        for folder, day, n in facts:
            found.setdefault(day, Counter())[self._named[folder]] += n
        return found


def _expiry(going, earlier, now):
    """The payload for what goes, {day: {(name, slug) of a folder: number}}; None when there is nothing new to tell."""
    days, today = {day: sum(of_day.values()) for day, of_day in going.items()}, now.date().isoformat()
    told = earlier.payload.get("days", {}) if earlier else {}
    fresh = {day: n - told.get(day, 0) for day, n in days.items() if n > told.get(day, 0)}
    is_read = earlier is not None and earlier.is_read
    if not fresh or (is_read and earlier.payload.get("told_on") == today):
        return None
    counted = fresh if is_read else days
    where = sorted({folder for day in counted for folder in going[day]})
    return {
        "count": sum(counted.values()),
        "folders": len(where),
        "folder": where[0][0],
        "folder_slug": where[0][1],
        "date": max(counted),
        "days": days,
        "told_on": today,
    }


# --- Grants to a role or a company ------------------------------------------------------------------


def tell_role(*, kind, grant_id, role_id, facts):
    """Notify each active user of a role, once, that a grant to the role began or ended. Returns how many were told."""
    return _tell_holders(User.objects.filter(groups=role_id), kind, grant_id, facts)


def tell_company(*, kind, grant_id, company_id, facts):
    """tell_role for a grant to a company."""
    return _tell_holders(User.objects.filter(company=company_id), kind, grant_id, facts)


def _tell_holders(people, kind, grant_id, facts):
    return sum(
        notify_many(
            batch,
            kind,
            about=grant_id,
            since=timezone.now() - timedelta(days=30),
            payload_of=lambda user, earlier: None if earlier else facts,
        )
        for batch in _batches(people.filter(is_active=True, is_superuser=False))
    )
