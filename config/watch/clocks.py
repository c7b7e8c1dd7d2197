"""Compares this machine's clock with those of the servers behind the portal.

Clocks that differ do harm in silence: a letter that is due at ten waits for a worker whose clock says eight.
"""

import threading
import time
from datetime import UTC, datetime, timedelta

from django.conf import settings
from django.db import connection
from django.db.models import F
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from redis import Redis
from redis.exceptions import RedisError

from config.contributions.registry import Registry
from config.errors import Refused
from config.models import Heartbeat

from . import parts

CLOCKS = Registry("clock")
"""Functions that return the time of a server (an aware datetime), or None where the portal does not use it.

They run in threads of their own, and ask no database.
"""
PATIENCE_SECONDS = 1.5
"""How long all of them together may take; less than parts.PATIENCE_SECONDS. Silent ones are left out."""
ALLOWED = timedelta(seconds=30)
"""Clocks may differ this much: tokens and links allow for it."""


def ask():
    """One Verdict on all clocks. Their names are in its facts: they hold names of machines, which are not public."""
    # Read the other clocks at the same time. A server that does not answer is a part of its own, which says so.
    readings = [_Reading(name, read) for name, read in CLOCKS.items()]
    compared = {}
    if (ahead := difference(of_database)) is not None:
        compared["database"] = ahead
    workers = Heartbeat.objects.filter(kind=Heartbeat.Kind.WORKER).annotate(now=Now())
    for row in workers.filter(seen_at__gt=F("now") - timedelta(minutes=10)):
        # The worker compared its clock with the database's; so did this machine.
        compared[row.name] = row.own_clock - row.seen_at + compared.get("database", timedelta())
    end = time.monotonic() + PATIENCE_SECONDS
    for reading in readings:
        if (ahead := reading.after(end - time.monotonic())) is not None:
            compared[reading.name] = ahead
    return _verdict(compared)


class _Reading(threading.Thread):
    """Reads one clock. A daemon thread: a silent server must not keep the process from ending."""

    def __init__(self, name, read):
        super().__init__(name=name, daemon=True)
        self._read, self._ahead, self._fault = read, None, None
        self.start()

    def run(self):
        try:
            self._ahead = difference(self._read)
        except (OSError, RedisError, Refused):
            pass
        except Exception as fault:  # noqa: BLE001 - raised in the thread that asks
            self._fault = fault

    def after(self, seconds):
        """How far it is ahead, after at most `seconds`; None without an answer."""
        self.join(max(0, seconds))
        if self._fault is not None:
            raise self._fault
        return self._ahead


def _verdict(compared):
    wrong = {name: ahead for name, ahead in compared.items() if abs(ahead) > ALLOWED}
    if wrong:
        # +7200 s: ahead of this machine's.
        apart = ", ".join(f"{name} {round(ahead.total_seconds()):+d} s" for name, ahead in sorted(wrong.items()))
        return parts.degraded(
            _("These clocks differ from this machine's: %(apart)s."),
            _("Let all machines take their time from a time server (timedatectl set-ntp true)."),
            apart=apart,
        )
    names = ", ".join(compared)
    said = _("It agrees with: %(names)s.") if names else _("There is no other clock to compare with.")
    return parts.Verdict(parts.State.OK, said, facts={"names": names})


def difference(read):
    """How far the clock that `read` reads is ahead of this machine's, as a timedelta; None without such a clock."""
    before = timezone.now()
    there = read()
    after = timezone.now()
    # Half of the way there and back counts for each direction.
    return None if there is None else there - (before + (after - before) / 2)


def of_database():
    """The database's time; None for SQLite, which has this machine's."""
    if connection.vendor == "sqlite":
        return None
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        return cursor.fetchone()[0]


def of_redis():
    """The time of Redis; None without one."""
    if not settings.REDIS_URL:
        return None
    with Redis.from_url(settings.REDIS_URL, socket_connect_timeout=1, socket_timeout=1) as client:
        seconds, microseconds = client.time()
    return datetime.fromtimestamp(seconds + microseconds / 1_000_000, UTC)
