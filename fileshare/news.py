"""Notices that folders and their files give rise to: little room, new files, files that expire, that somebody else
deleted or that are in quarantine, grants to a role.

What concerns thousands is told in batches, each a transaction with a fixed number of queries. Nobody is told
anything twice: every notice says up to when it tells (`until`), so each of these may be cut short, or run by two.
"""

from datetime import datetime, time, timedelta
from itertools import groupby
from operator import itemgetter

from django.core.cache import cache
from django.db.models import Count, F
from django.db.models.functions import TruncDate
from django.utils import timezone

from accounts.models import User
from accounts.notifications import notify, notify_many

from .models import File, Folder

BATCH = 500
NEARLY_FULL_PERCENT = 90
# A file's time is taken a little before its row is there for others to see.
SETTLE = timedelta(seconds=10)
# How far back new files are looked for when nobody knows up to when was told.
MEMORY = timedelta(days=1)
TOLD_UNTIL = "fileshare.news.told-until"
# So many of a folder's new files are counted one by one.
MOST_FILES = 1000
EXPIRY_DAYS = 3


def tell_of_little_room(*, folder_id, taken_bytes):
    """Tell whoever answers for a folder that these `taken_bytes`, just set aside, took it past 90 %.

    Asked under the lock of the row that set them aside, so that of any number of racing reservations one crosses.
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


def tell_of_deletion(file, *, by):
    """Tell the uploader, in the caller's transaction, that `by` deleted their file; nothing of one's own act.

    Of many files of a folder one notice tells, with their number, until it is read.
    """
    if file.uploaded_by is not None and file.uploaded_by_id != by.pk:
        notify(
            file.uploaded_by,
            "file_deleted",
            about=str(file.folder_id),
            folder=file.folder.name,
            folder_slug=file.folder.slug,
            filename=file.filename,
            by=by.get_full_name(),
            count=1,
        )


def tell_of_quarantine(file, *, state, signature="", by=None):
    """Tell the uploader, in the caller's transaction, how their file stands in quarantine.

    `state` is a ScanState, "released" or "deleted"; `by` the super who decided so, who is not told of it.
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
    """Who hears of a folder: its readers. Supers, who may download everything, are not meant."""
    return Folder.objects.filter(pk=folder.pk).readers()


def _batches(people):
    """Lists of people, each from one query, however many there are."""
    people = people.only("pk", "email", "language", "is_active").order_by("pk")
    last = None
    while batch := list((people if last is None else people.filter(pk__gt=last))[:BATCH]):
        yield batch
        last = batch[-1].pk


# --- New files --------------------------------------------------------------------------------------


def tell_of_new_files(*, now=None):
    """Tell the readers of company and special folders of the files that others put there. Returns how many were told.

    Up to when was told is kept in the cache; where that forgets, the last day is gone through again and each
    notice's own `until` holds. A personal folder has no readers but its owner.
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
    """Tell people which of their files expire within three days: one notice a folder. Returns how many were told.

    An unread notice is told anew with the present number; once read, only days that it did not name are news. So
    it does not matter how often this runs. What is uploaded for fewer days than that is not told.
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
    # All of them first: on SQLite nothing may be read while the notices are written.
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
    """Tell the active people of a role of a grant to it, or of its end, once each. Returns how many were told."""
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
