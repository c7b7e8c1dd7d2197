"""How much was uploaded, downloaded and stored each day in the folders a user watches."""

import hashlib
import time
from datetime import timedelta

from django.core.cache import cache
from django.db.models import Count, Sum
from django.db.models.functions import TruncDate
from django.utils import timezone

from audit.models import Event
from fileshare.contributions.actions import Action
from fileshare.models import Folder

from . import ops

KEPT_SECONDS = 300
OLD_SECONDS = 3600
"""The cache keeps an old answer for this long, for requests that come while another computes a new one."""
COUNTING_SECONDS, WAIT_SECONDS = 60, 5
"""A request that computes keeps others from doing so for this long; others wait this long for the first answer."""
MOST_FOLDERS = 500
UP, DOWN, GONE = (Action.UPLOAD,), (Action.DOWNLOAD,), (Action.PURGE, Action.EXPIRED)


def by_day(user, *, days):
    """[{day, uploads, uploaded, downloads, downloaded, stored}] of the last `days` days, oldest first.

    `uploads` and `downloads` are counts; `uploaded`, `downloaded` and `stored` are bytes. `stored` is the space in use
    at the end of the day: the present space, minus what was uploaded since, plus what was deleted since. The two
    queries take a while on a long log. So the cache keeps the answer for KEPT_SECONDS, and only one request computes it
    at a time.
    """
    places = None
    if not user.is_superuser:
        places = list(Folder.objects.watched_by(user).order_by("pk").values_list("pk", flat=True)[:MOST_FOLDERS])
    today = timezone.localdate()
    scope = "everything" if places is None else hashlib.sha256("/".join(map(str, places)).encode()).hexdigest()
    return _kept(f"fileshare.desk.traffic:{scope}:{today}:{days}", lambda: _by_day(places, today, days))


def _kept(key, count):
    """The result of `count()`, at most KEPT_SECONDS old; it may be older while another request computes a new one."""
    kept = cache.get(key)
    if kept is not None and kept[0] > time.time():
        return kept[1]
    if not cache.add(f"{key}:counting", True, COUNTING_SECONDS):
        end = time.monotonic() + WAIT_SECONDS
        while kept is None and time.monotonic() < end:
            time.sleep(0.1)
            kept = cache.get(key)
        if kept is not None:
            return kept[1]
    try:
        rows = count()
        cache.set(key, (time.time() + KEPT_SECONDS, rows), OLD_SECONDS)
    finally:
        cache.delete(f"{key}:counting")
    return rows


def _by_day(places, today, days):
    folders = Folder.objects.all() if places is None else Folder.objects.filter(pk__in=places)
    start = timezone.now() - timedelta(days=days + 1)
    events = Event.objects.filter(action__in=[*UP, *DOWN, *GONE], created_at__gte=start)
    if places is not None:
        events = ops.within(events, folders)
    sums = {
        (row["day"], row["action"]): (row["n"], row["size"] or 0)
        for row in events.order_by()
        .annotate(day=TruncDate("created_at"))
        .values("day", "action")
        .annotate(n=Count("pk"), size=Sum("size_bytes"))
    }
    stored = folders.aggregate(size=Sum("used_bytes"))["size"] or 0
    rows = []
    for day in (today - timedelta(days=number) for number in range(days)):
        (uploads, uploaded), (downloads, downloaded), (_gone, freed) = (
            _total(sums, day, actions) for actions in (UP, DOWN, GONE)
        )
        rows.append(
            {
                "day": day,
                "uploads": uploads,
                "uploaded": uploaded,
                "downloads": downloads,
                "downloaded": downloaded,
                "stored": max(0, stored),
            }
        )
        stored += freed - uploaded
    return rows[::-1]


def _total(sums, day, actions):
    found = [sums.get((day, action), (0, 0)) for action in actions]
    return sum(n for n, _size in found), sum(size for _n, size in found)
