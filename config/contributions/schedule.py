"""The scheduled jobs: each app registers its own, and Celery's beat reads them here.

An outage of a worker or a broker loses no work: whatever must not be lost is a row in the database that a job finds.
"""

from datetime import timedelta

from .registry import Registry

JOBS = Registry("scheduled job")
LONG_TASKS = Registry("task that may take hours")


def register(jobs, *, long=()):
    """Register an app's jobs: {name: (task, a timedelta or a crontab)}.

    `long` names the app's tasks that may take hours, scheduled or not. They have their own queue and workers, so that
    payments, mail and sealing never wait for them.
    """
    for name, (task, when) in jobs.items():
        JOBS.add(name, _entry(task, when))
    LONG_TASKS.add_all(dict.fromkeys(long, "sweep"))


def _entry(task, when):
    entry = {"task": task, "schedule": when}
    if isinstance(when, timedelta):
        # A frequent job expires when the next one is due, which does the same work; otherwise they pile up behind a
        # long job. At least a minute, so that the clocks of two machines need not agree to the second.
        entry["options"] = {"expires": max(60, when.total_seconds())}
    return entry


def route(name, *_args, **_options):
    """The queue of a task; None for the usual one. Called by Celery through task_routes."""
    return {"queue": LONG_TASKS[name]} if name in LONG_TASKS else None
