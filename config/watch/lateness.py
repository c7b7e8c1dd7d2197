"""Reads the signs of life: which workers are there, whether the schedule runs, and which jobs are late."""

from datetime import timedelta

from celery.schedules import maybe_schedule
from django.conf import settings
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from config import embedded
from config.contributions import schedule
from config.models import Heartbeat

from . import metrics, parts
from .heartbeats import SCHEDULE

SILENT_AFTER = timedelta(minutes=3)
"""A worker and the schedule beat every half minute."""
GRACE, INTERVALS = timedelta(minutes=15), 3
"""A job may be this late, or this many of its intervals if that is longer."""
LONGEST_RUN = timedelta(hours=12)
"""A long job may run this long, and the others of its queue may wait for it."""


def ask():
    """{part: Verdict} of the schedule, the worker of each queue, and each job of the schedule."""
    rows = {row.name: row for row in Heartbeat.objects.annotate(now=Now())}
    now = next((row.now for row in rows.values()), None)
    beats = _beats(rows.get(SCHEDULE), now)
    workers = [row for row in rows.values() if row.kind == Heartbeat.Kind.WORKER]
    return (
        {"schedule": beats}
        | {f"worker {queue}": _worker(queue, workers, now) for queue in settings.CELERY_TASK_QUEUES}
        | {f"job {name}": _job(entry, rows, beats, now) for name, entry in schedule.JOBS.items()}
    )


def _is_silent(row, now):
    return now - row.seen_at > SILENT_AFTER


def _start(command):
    """How to start what is missing; without a broker it lives in the web process."""
    if embedded.wanted():
        return _("Start the portal anew, and look into its log for the reason."), {}
    return _("Start it: %(command)s"), {"command": command}


def _beats(row, now):
    cure, facts = _start("celery -A config beat")
    if row is None:
        return parts.degraded(_("The schedule has never run: no mail is sent again, no backup is made."), cure, **facts)
    if _is_silent(row, now):
        facts["minutes"] = _minutes(now - row.seen_at)
        return parts.degraded(
            _("The schedule has been silent for %(minutes)d minutes: no mail is sent again, no backup is made."),
            cure,
            **facts,
        )
    return parts.FINE


def _worker(queue, workers, now):
    serving = [row for row in workers if queue in row.queues.split(",")]
    alive = sorted(row.name for row in serving if not _is_silent(row, now))
    if alive:
        return parts.Verdict(parts.State.OK, _("Served by: %(names)s."), facts={"names": ", ".join(alive)})
    cure, facts = _start(f"celery -A config worker -Q {queue} -n {queue}@%h")
    facts["queue"] = queue
    if not serving:
        return parts.degraded(_("No worker serves the queue %(queue)s."), cure, **facts)
    last = max(serving, key=lambda row: row.seen_at)
    facts |= {"name": last.name, "minutes": _minutes(now - last.seen_at)}
    return parts.degraded(
        _("No worker serves the queue %(queue)s: %(name)s has been silent for %(minutes)d minutes."), cure, **facts
    )


def _job(entry, rows, beats, now):
    row = rows.get(entry["task"])
    since = _since(row, rows)
    cure = _("Look for %(task)s in the log of the workers; the worker of its queue and the schedule must be there.")
    facts = {"task": entry["task"]}
    if since is None:
        return parts.degraded(_("It waits for the schedule."), _("Mend the schedule first."))
    if row is not None and row.failed_at and (row.seen_at is None or row.failed_at > row.seen_at):
        facts |= {"at": f"{row.failed_at:%Y-%m-%d %H:%M}", "fault": row.fault}
        return parts.degraded(_("Its last run failed on %(at)s UTC: %(fault)s."), cure, **facts)
    if is_late(entry, since, now) and not _is_busy(entry, rows, now):
        if not beats.is_ok:
            cure, facts = _("Mend the schedule first."), {}
        if row is None or row.seen_at is None:
            return parts.degraded(_("It should have run, and never has."), cure, **facts)
        facts["at"] = f"{row.seen_at:%Y-%m-%d %H:%M}"
        return parts.degraded(_("It last ran on %(at)s UTC, and should have run since."), cure, **facts)
    if row is None or row.seen_at is None:
        return parts.Verdict(parts.State.OK, _("Its first run is not due yet."))
    return parts.Verdict(parts.State.OK, _("It last ran on %(at)s UTC."), facts={"at": f"{row.seen_at:%Y-%m-%d %H:%M}"})


def _since(row, rows):
    """From when on the job's next time counts: its last run, or its place in the schedule. None without a schedule."""
    if row is not None:
        return row.seen_at or row.created_at
    return rows[SCHEDULE].created_at if SCHEDULE in rows else None


def is_late(entry, since, now):
    """True when a job that last ran at `since` should have run again, and some time before `now`."""
    when = maybe_schedule(entry["schedule"])
    due = timezone.now() + when.remaining_estimate(since) if since else now
    grace = max(GRACE, INTERVALS * entry["schedule"]) if isinstance(entry["schedule"], timedelta) else GRACE
    return now > due + grace


def _is_busy(entry, rows, now):
    """True while a long job of the same queue runs: the job itself, or one that it waits for."""
    queue = schedule.LONG_TASKS.get(entry["task"])
    if queue is None:
        return False
    return any(_is_running(row, now) for name, row in rows.items() if schedule.LONG_TASKS.get(name) == queue)


def _is_running(row, now):
    if row.begun_at is None or now - row.begun_at > LONGEST_RUN:
        return False
    return all(ended is None or ended < row.begun_at for ended in (row.seen_at, row.failed_at))


def _minutes(time):
    return int(time.total_seconds() // 60)


# --- Metrics ----------------------------------------------------------------------------------------


@metrics.reader
def state():
    """The state of each part, and how long each job, each queue's worker and the schedule have been silent."""
    order = list(parts.State)
    states = {(name,): order.index(verdict.state) for name, verdict in parts.READINESS.verdicts().items()}
    return [metrics.gauge("portal_state", "0 ok, 1 degraded, 2 unavailable, by part.", states, ["part"]), *_ages()]


def _ages():
    rows = list(Heartbeat.objects.exclude(seen_at=None).annotate(now=Now()))
    seconds = {row.name: max(0, (row.now - row.seen_at).total_seconds()) for row in rows}
    jobs = {(name,): seconds.get(entry["task"]) for name, entry in schedule.JOBS.items()}
    workers = {
        (queue,): min((seconds[row.name] for row in rows if queue in row.queues.split(",")), default=None)
        for queue in settings.CELERY_TASK_QUEUES
    }
    return [
        metrics.gauge("portal_job_seconds", "Since the last good run of a job.", jobs, ["job"]),
        metrics.gauge("portal_worker_seconds", "Since a worker of the queue was last alive.", workers, ["queue"]),
        metrics.gauge("portal_schedule_seconds", "Since the schedule was last alive.", seconds.get(SCHEDULE)),
    ]
