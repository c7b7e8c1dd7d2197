"""Metrics of the log: whether it is whole, and how often each action happened."""

from datetime import UTC, datetime, timedelta

from django.core.cache import cache
from django.db.models import Case, Count, Min, Q, Sum, Value, When
from django.utils import timezone

from config.watch import metrics

from . import chain
from .actions import ACTIONS
from .models import Event

TALLY = "metrics:events"
LOCK_SECONDS = 30
# Count rows this late, so that transactions that began earlier have time to commit theirs.
LATEST = timedelta(seconds=15)
# After a longer pause skip what happened in between: a scraper has no use for it, and counting it would load the
# database.
LONGEST = timedelta(days=1)


def record():
    """The metric families of the log."""
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
    """({(action, kind): rows}, {(action, kind): bytes}) since the first scrape.

    The database counts only the rows since the last scrape; the sums are in the cache. So every process and machine
    gives the same answer, and it includes the rows of workers.
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
    # Start each kind at zero, so that its first row shows as an increase.
    zero = {(name, way): 0 for name, kind in ACTIONS.items() for way in kind.ways.values() or [""]}
    return zero | counts, {key: 0 for key in zero if ACTIONS[key[0]].has_bytes} | sizes


def _settled():
    return timezone.now() - LATEST


def _advanced(since, counts, sizes):
    end = _settled()
    start = max(datetime.fromtimestamp(since, UTC), end - LONGEST)
    if start >= end:
        return since, counts, sizes
    kind = Case(*_ways(), default=Value(""))
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


def _ways():
    """The conditions that divide an action's rows; the first that fits counts."""
    for name, kind in ACTIONS.items():
        for member, way in kind.ways.items():
            condition = Q(action=name, detail__has_key=member) if member else Q(action=name)
            yield When(condition, then=Value(way))
