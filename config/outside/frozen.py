"""Switches on that a process gives a query up when PostgreSQL is frozen (config.outside.postgresql)."""

from celery import signals


class _Watching:
    on = False


def watch(**kwargs):
    """Watch the connections that this process opens from now on, and those of its later forks."""
    _Watching.on = True


def is_watched():
    """True in web processes and in workers; a command waits for a slow server."""
    return _Watching.on


signals.worker_init.connect(watch)
signals.beat_init.connect(watch)
