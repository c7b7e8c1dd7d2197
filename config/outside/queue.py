"""Queues tasks after the commit; a broker that is down never makes the request fail."""

import logging

from django.db import transaction
from kombu.exceptions import OperationalError

from config import context
from config.celery import app

from .outage import Outage

logger = logging.getLogger(__name__)

OUTAGE_SECONDS = 10
"""After a failure skip the broker for this long: a broker that hangs costs seconds at each attempt."""

outage = Outage(OUTAGE_SECONDS, lambda: OperationalError("the broker did not answer a moment ago"))


def send_after_commit(task, **kwargs):
    """Queue the task of that name ("accounts.tasks.send_mail") after the commit, with ids as keyword arguments.

    If the broker is down, the task only runs later: the schedule finds the row that it works on.
    """
    # Not a functools.partial: Django logs a failed callback by its __qualname__, which a partial lacks.
    transaction.on_commit(lambda: _send(task, kwargs), robust=True)


def _send(task, kwargs):
    try:
        with outage.passed():
            _publish(task, kwargs)
    except (OperationalError, OSError) as error:
        logger.warning("%s waits for the schedule: %s", task, error)


def _publish(task, kwargs):
    try:
        # The task's log lines and audit rows then carry the id of the request that caused it.
        app.send_task(task, kwargs=kwargs, retry=False, headers={"request_id": context.current().request_id})
    except (OperationalError, OSError):
        outage.began()
        raise
    outage.ended()
