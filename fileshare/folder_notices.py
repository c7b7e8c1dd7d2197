"""Notices about folders and files.

They are about a folder that is nearly full, new files, files that expire, files that another user deleted or renamed,
files in quarantine, and permissions of a role.

Notices to thousands of users are written in batches. Each batch is a transaction with a fixed number of queries. Every
notice stores the time up to which it tells (`until`). So no user is told the same thing twice, even when a task is
killed or two workers run it at once.
"""

from datetime import datetime, time, timedelta
from itertools import groupby
from operator import itemgetter

from django.core.cache import cache
from django.db.models import Count, F
from django.db.models.functions import TruncDate
from django.utils import timezone

from accounts.models import User
from accounts.notices.notifications import notify, notify_many

from .models import File, Folder

BATCH = 500
NEARLY_FULL_PERCENT = 90
# A file's upload time is a little earlier than the commit that makes its row visible to other transactions.
SETTLE = timedelta(seconds=10)
# How far back to look for new files when the cache has lost the time up to which users were told.
MEMORY = timedelta(days=1)
TOLD_UNTIL = "fileshare.news.told-until"
# At most this many new files of a folder are counted.
MOST_FILES = 1000
EXPIRY_DAYS = 3


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
    people = people.only("pk", "email", "language", "is_active").order_by("pk")
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
    until = files[0][0]

    def payload_of(user, earlier):
        known = _moment(earlier.payload.get("until")) if earlier else None
        theirs = [name for at, by, name in files if by != user.pk and (known is None or at > known)]
        if not theirs:
            return None
        unread = earlier is not None and not earlier.is_read
        before = earlier.payload.get("count", 0) if unread else 0
        return {
            "folder": folder.name,
            "folder_slug": folder.slug,
            "filename": theirs[0],
            "count": before + len(theirs),
            "until": until.isoformat(),
        }

    return sum(
        notify_many(batch, "folder_upload", about=str(folder.pk), since=since, payload_of=payload_of)
        for batch in _batches(readers_of(folder))
    )


def _moment(text):
    return datetime.fromisoformat(text) if text else None


# --- Files that expire ------------------------------------------------------------------------------


def tell_of_expiring_files(*, now=None):
    """Notify users of their files that expire within three days, one notice per folder. Returns how many were told.

    An unread notice is updated with the present number. After it is read, only days that it did not cover give a new
    one. So it does not matter how often this runs. A file uploaded later that expires on a day already covered is not
    announced, for example one that is kept for less than three days.
    """
    now = now or timezone.now()
    last_day = (now + timedelta(days=EXPIRY_DAYS)).date()
    end = datetime.combine(last_day, time.max, tzinfo=now.tzinfo)
    rows = (
        File.objects.not_held()
        .filter(deleted_at=None, expires_at__gt=now, expires_at__lte=end, uploaded_by__is_active=True)
        .annotate(day=TruncDate("expires_at"))
        .order_by("folder", "uploaded_by", "day")
        .values("folder", "uploaded_by", "day")
        .annotate(n=Count("pk"))
    )
    told = 0
    # Read all rows first: on SQLite no query may stay open while the notices are written.
    for folder_id, of_folder in groupby(list(rows), key=itemgetter("folder")):
        folder = Folder.objects.filter(pk=folder_id).first()
        if folder is None:
            continue
        days = {
            user_id: {row["day"].isoformat(): row["n"] for row in of_user}
            for user_id, of_user in groupby(of_folder, key=itemgetter("uploaded_by"))
        }
        told += _tell_of_expiry(folder, days, last_day.isoformat(), now)
    return told


def _tell_of_expiry(folder, days_of, until, now):
    def payload_of(user, earlier):
        days = days_of[user.pk]
        told = earlier.payload.get("until", "") if earlier else ""
        fresh = {day: n for day, n in days.items() if day > told}
        if not fresh:
            return None
        counted = days if earlier is not None and not earlier.is_read else fresh
        return {
            "folder": folder.name,
            "folder_slug": folder.slug,
            "count": sum(counted.values()),
            "date": max(counted),
            "until": until,
        }

    ids, told = sorted(days_of), 0
    for start in range(0, len(ids), BATCH):
        batch = User.objects.filter(pk__in=ids[start : start + BATCH]).order_by("pk")
        told += notify_many(
            batch, "file_expiring", about=str(folder.pk), since=now - timedelta(days=30), payload_of=payload_of
        )
    return told


# --- Grants to a role -------------------------------------------------------------------------------


def tell_role(*, kind, grant_id, role_id, facts):
    """Notify each active user of a role, once, that a grant to the role began or ended. Returns how many were told."""
    people = User.objects.filter(groups=role_id, is_active=True, is_superuser=False)
    return sum(
        notify_many(
            batch,
            kind,
            about=grant_id,
            since=timezone.now() - timedelta(days=30),
            payload_of=lambda user, earlier: None if earlier else facts,
        )
        for batch in _batches(people)
    )
