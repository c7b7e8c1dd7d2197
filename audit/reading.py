"""Reading the log: for supers, through one form of filters, and itself a row of the log."""

from datetime import UTC, datetime, timedelta

from django.core.exceptions import PermissionDenied
from django.db.models import Count, IntegerField, Value
from django.utils import timezone

from .log import record
from .models import Action, Event

HISTORY = 50
DAYS = 30
# Whoever is under a hold is not told of it, nor that it has ended.
SECRET_ACTIONS = (Action.HOLD_PLACED, Action.HOLD_RELEASED)
EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)


def read(*, user, filters, events=None, action=Action.LOG_READ, way="page"):
    """The events that fit the form `filters`, newest first; that `user` read them is recorded as `action`.

    `events` narrows what there is to read; the row about this reading is not among them. Raises PermissionDenied
    for anybody but a super, Refused (400) for filters that make no sense.
    """
    if not (user.is_active and user.is_superuser):
        raise PermissionDenied
    found = filters.apply(Event.objects.all() if events is None else events)
    found = found.filter(created_at__lt=timezone.now())
    record(action, user=user, way=way, filters=filters.asked())
    return found


def history(*, user, target, is_theirs):
    """What happened to `target`, a saved row: its newest HISTORY events, actors joined; none for most people.

    A super sees all of it; whoever the target belongs to (`is_theirs`) sees what, when and whose name it was, of
    all but legal holds.
    """
    if not (user.is_superuser or is_theirs):
        return []
    events = Event.objects.about(target)
    if not user.is_superuser:
        events = events.exclude(action__in=SECRET_ACTIONS)
    return list(events.select_related("actor")[:HISTORY])


def activity(events, *, end=None, days=DAYS):
    """[{day, count}] of the last `days` days (UTC) before `end`, oldest first, empty days included.

    Each day is a count over a range of an index, all in one query.
    """
    end = max(EARLIEST, min(end or timezone.now(), timezone.now()))
    # The end itself is no part of it: until midnight is until the day before.
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
