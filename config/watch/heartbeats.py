"""Writes the signs of life (config.models.Heartbeat) of workers, the schedule and the scheduled jobs.

A worker and the schedule write about twice a minute. A job writes after a run, at most once a minute while its runs
succeed; a job of the long queue also when it begins. No web request writes any. A database that is down costs a
warning in the log, and never the work itself.
"""

import logging
import threading
import time
from datetime import timedelta

from celery import bootsteps, signals
from celery.beat import PersistentScheduler
from celery.worker.consumer import Tasks
from django.db import DatabaseError, connection
from django.db.models.functions import Now
from django.utils import timezone

from config.celery import app
from config.contributions import schedule
from config.models import Heartbeat

logger = logging.getLogger(__name__)

BEAT_SECONDS = 30
JOB_SECONDS = 60
"""A job that succeeds again within this time is not written again."""
FORGET_AFTER = timedelta(days=1)
"""Workers that were killed, and not stopped, are forgotten after this time."""
SCHEDULE = "schedule"


def note(name, kind, **facts):
    """Write a sign of life: one statement, which creates the row or changes the columns in `facts`."""
    row = Heartbeat(name=name[:255], kind=kind, created_at=Now(), **facts)
    Heartbeat.objects.bulk_create([row], update_conflicts=True, unique_fields=["name"], update_fields=[*facts])


def _quietly(write, *arguments, **facts):
    """Call `write`, and log a database that refuses: the work must go on without the sign of life. True if written."""
    try:
        write(*arguments, **facts)
    except DatabaseError as error:
        logger.warning("No sign of life was written: %s", type(error).__name__)
        return False
    return True


def keep_result(task, fault):
    """Keep what a job found, for `fault_of` in any process: the name of a fault, or "" when all is well."""
    _quietly(note, task, Heartbeat.Kind.JOB, fault=fault)


def fault_of(task):
    """The fault that a job found or ended with, at its last run that told one; "" for none."""
    return Heartbeat.objects.filter(name=task).values_list("fault", flat=True).first() or ""


# --- Workers --------------------------------------------------------------------------------------


class WorkerHeart(bootsteps.StartStopStep):
    """Part of each worker: beats while its main loop runs and the broker is there."""

    requires = (Tasks,)

    def __init__(self, consumer, **options):
        super().__init__(consumer, **options)
        self._timer = None

    def start(self, consumer):
        """Called after each connection to the broker."""
        # Not at once: the embedded workers leave their other queue a moment later.
        consumer.timer.call_after(1, beat, (consumer,))
        self._timer = consumer.timer.call_repeatedly(BEAT_SECONDS, beat, (consumer,))

    def stop(self, consumer):
        """Called when the connection is lost, and at the end."""
        if self._timer is not None:
            consumer.timer.cancel(self._timer)
            self._timer = None

    def shutdown(self, consumer):
        """A worker that was stopped is not missing."""
        _apart(_forget_worker, consumer.hostname)


def beat(consumer):
    """One beat of a worker."""
    queues = ",".join(sorted(queue.name for queue in consumer.task_consumer.queues))
    facts = {"queues": queues, "seen_at": Now(), "own_clock": timezone.now()}
    _apart(note, consumer.hostname, Heartbeat.Kind.WORKER, **facts)


def _apart(write, *arguments, **facts):
    """Write, and close the connection: a worker forks its children, which must not inherit an open one."""
    try:
        _quietly(write, *arguments, **facts)
    finally:
        connection.close()


def _forget_worker(name):
    Heartbeat.objects.filter(name=name, kind=Heartbeat.Kind.WORKER).delete()


# --- The schedule ---------------------------------------------------------------------------------


class Scheduler(PersistentScheduler):
    """Celery's scheduler, which also beats."""

    _next_beat = 0.0

    def setup_schedule(self):
        super().setup_schedule()
        _quietly(begin_jobs)

    def tick(self, *args, **kwargs):
        """Returns the seconds until the next tick; soon enough for the next beat."""
        if time.monotonic() >= self._next_beat:
            self._next_beat = time.monotonic() + BEAT_SECONDS
            _quietly(_beat_of_schedule)
        return min(super().tick(*args, **kwargs), BEAT_SECONDS)


def begin_jobs():
    """Give each job of the schedule a row, so that a job that never ran can be told from one that is not due yet."""
    jobs = {entry["task"] for entry in schedule.JOBS.values()}
    Heartbeat.objects.filter(kind=Heartbeat.Kind.JOB).exclude(name__in=jobs).delete()
    rows = [Heartbeat(name=task, kind=Heartbeat.Kind.JOB, created_at=Now()) for task in sorted(jobs)]
    Heartbeat.objects.bulk_create(rows, ignore_conflicts=True)


def _beat_of_schedule():
    note(SCHEDULE, Heartbeat.Kind.SCHEDULE, seen_at=Now(), own_clock=timezone.now())
    Heartbeat.objects.filter(kind=Heartbeat.Kind.WORKER, seen_at__lt=Now() - FORGET_AFTER).delete()


# --- Jobs -----------------------------------------------------------------------------------------


class _Written:
    """When this process last wrote a success of each task, by the monotonic clock."""

    lock = threading.Lock()
    until = {}

    @classmethod
    def is_due(cls, task):
        """True when no success of the task was written in the last JOB_SECONDS."""
        with cls.lock:
            return time.monotonic() >= cls.until.get(task, 0.0)

    @classmethod
    def remember(cls, task):
        """A success of the task was written."""
        with cls.lock:
            cls.until[task] = time.monotonic() + JOB_SECONDS

    @classmethod
    def forget(cls, task=None):
        """Write the next success of the task, or of all tasks."""
        with cls.lock:
            if task is None:
                cls.until.clear()
            else:
                cls.until.pop(task, None)


def is_job(task):
    """True for the name of a task that the schedule starts."""
    return any(entry["task"] == task for entry in schedule.JOBS.values())


@signals.task_prerun.connect
def job_begins(task, **kwargs):
    """A long job is running from now on; others of its queue may wait behind it."""
    if task.name in schedule.LONG_TASKS and is_job(task.name):
        _quietly(note, task.name, Heartbeat.Kind.JOB, begun_at=Now())
        _Written.forget(task.name)


@signals.task_success.connect
def job_ended(sender, **kwargs):
    """A job ran to its end."""
    if not is_job(sender.name) or not _Written.is_due(sender.name):
        return
    # A write that failed is tried again after the next run.
    if _quietly(note, sender.name, Heartbeat.Kind.JOB, seen_at=Now()):
        _Written.remember(sender.name)


@signals.task_failure.connect
def job_failed(sender, exception=None, **kwargs):
    """A job ended with an error, and is not tried again before its next time."""
    if is_job(sender.name):
        _Written.forget(sender.name)
        _quietly(note, sender.name, Heartbeat.Kind.JOB, failed_at=Now(), fault=type(exception).__name__[:100])


def start():
    """Make every worker of this process beat. Called once, when the app starts."""
    app.steps["consumer"].add(WorkerHeart)
