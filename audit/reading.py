"""Reads the log: only for supers, with one form of filters. Each reading adds a row to the log."""

from datetime import UTC, datetime, timedelta

from django.core.exceptions import PermissionDenied
from django.db.models import Count, IntegerField, Value
from django.utils import timezone

from . import actions
from .actions import Action
from .log import record
from .models import Event

HISTORY = 50
DAYS = 30
EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)


def read(*, user, filters, events=None, action=Action.LOG_READ, way="page"):
    """The events that pass the form `filters`, newest first. Records as `action` that `user` read them.

    `events` limits what can be read. The row about this reading is not among the results. Raises PermissionDenied for
    users who are not supers, Refused (400) for invalid filters.
    """
    if not (user.is_active and user.is_superuser):
        raise PermissionDenied
    found = filters.apply(Event.objects.all() if events is None else events)
    found = found.filter(created_at__lt=timezone.now())
    record(action, user=user, way=way, filters=filters.asked())
    return found


def history(*, user, target, is_theirs):
    """The newest HISTORY events about `target`, a saved row, with actors joined.

    A super sees them all. The owner (`is_theirs`) sees all but the secret actions: what happened, when, and under which
    name. Other users get an empty list.
    """
    if not (user.is_superuser or is_theirs):
        return []
    events = Event.objects.about(target)
    if not user.is_superuser:
        events = events.exclude(action__in=actions.secret())
    return list(events.select_related("actor")[:HISTORY])


def activity(events, *, end=None, days=DAYS):
    """[{day, count}] of the last `days` days (UTC) before `end`, oldest first, empty days included.

    Counts each day over a range of an index, all in one query.
    """
    end = max(EARLIEST, min(end or timezone.now(), timezone.now()))
    # The end is exclusive: an end at midnight means the day before.
    first = (end - timedelta(microseconds=1)).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(
        days=days - 1
    )
    starts = [first + timedelta(days=number) for number in range(days)]
    counts = [
        events.order_by()
        .filter(created_at__gte=start, created_at__lt=start + timedelta(days=1))
        .values(number=Value(number, IntegerField()))
        .annotate(count=Count("*"))
        .values_list("number", "count")
        for number, start in enumerate(starts)
    ]
    found = dict(counts[0].union(*counts[1:], all=True))
    return [{"day": start.date(), "count": found.get(number, 0)} for number, start in enumerate(starts)]
