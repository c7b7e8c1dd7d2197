"""What of the log is told at /metrics: whether it is whole, and what it says has happened."""

from datetime import UTC, datetime, timedelta

from django.core.cache import cache
from django.db.models import Case, Count, Min, Q, Sum, Value, When
from django.utils import timezone

from config import metrics

from . import chain
from .models import Action, Event

TALLY = "metrics:events"
# How a file was downloaded: by itself, by a share link, or in an archive.
KINDS = FILE, SHARE, ARCHIVE = "file", "share", "archive"
LOCK_SECONDS = 30
# Rows of transactions that began before and are not committed yet get their time to be.
LATEST = timedelta(seconds=15)
# Who asks again after a longer time has no use for what happened in between, and the database would have work.
LONGEST = timedelta(days=1)


@metrics.reader
def record():
    """Whether the record is whole, and what it says has happened."""
    oldest = Event.objects.filter(seq=None).aggregate(oldest=Min("created_at"))["oldest"]
    age = 0 if oldest is None else (timezone.now() - oldest).total_seconds()
    counts, sizes = _tally()
    return [
        metrics.gauge("portal_audit_unsealed", "Rows of the record not in its chain yet.", chain.unsealed_count()),
        metrics.gauge("portal_audit_unsealed_oldest_seconds", "Age of the oldest of them.", age),
        metrics.gauge(
            "portal_audit_faults",
            "What the last verify_audit found wrong; absent before the first.",
            metrics.recall("audit_faults"),
        ),
        metrics.counter("portal_events", "What happened, by the record's words.", counts, ["action", "kind"]),
        metrics.counter("portal_event_bytes", "Bytes of the files it was about.", sizes, ["action", "kind"]),
    ]


def _tally():
    """({(action, kind): rows}, {(action, kind): bytes}) since somebody first asked.

    The database counts only what is new since the last time, and the sums lie in the cache: whichever
    process and machine is asked, the answer is the same, and what workers did is in it.
    """
    state = cache.get(TALLY)
    if state is None:
        state = (_settled().timestamp(), {}, {})
        cache.add(TALLY, state, timeout=None)
    if cache.add(f"{TALLY}:lock", True, timeout=LOCK_SECONDS):
        try:
            state = _advanced(*(cache.get(TALLY) or state))
            cache.set(TALLY, state, timeout=None)
        finally:
            cache.delete(f"{TALLY}:lock")
    _since, counts, sizes = state
    # From zero, so that the first of a kind is an increase, too.
    downloads = {(Action.DOWNLOAD.value, kind): 0 for kind in KINDS}
    zero = {(action, ""): 0 for action in Action.values if action != Action.DOWNLOAD} | downloads
    return zero | counts, {(Action.UPLOAD.value, ""): 0} | downloads | sizes


def _settled():
    return timezone.now() - LATEST


def _advanced(since, counts, sizes):
    end = _settled()
    start = max(datetime.fromtimestamp(since, UTC), end - LONGEST)
    if start >= end:
        return since, counts, sizes
    kind = Case(
        When(~Q(action=Action.DOWNLOAD), then=Value("")),
        When(detail__has_key="share", then=Value(SHARE)),
        When(detail__has_key="bulk", then=Value(ARCHIVE)),
        default=Value(FILE),
    )
    rows = Event.objects.filter(created_at__gte=start, created_at__lt=end).order_by()
    counts, sizes = dict(counts), dict(sizes)
    for action, of_kind, number, size in rows.values_list("action", kind).annotate(
        n=Count("pk"), size=Sum("size_bytes")
    ):
        key = (action, of_kind)
        counts[key] = counts.get(key, 0) + number
        if size is not None:
            sizes[key] = sizes.get(key, 0) + size
    return end.timestamp(), counts, sizes
