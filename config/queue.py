"""Handing work to the queue: after the commit, and never at the cost of the request."""

import logging

from django.db import transaction
from kombu.exceptions import OperationalError

from . import context
from .celery import app
from .outage import Outage

logger = logging.getLogger(__name__)

OUTAGE_SECONDS = 10
"""A broker that did not answer is left alone for so long: one that hangs costs seconds each time it is asked."""

outage = Outage(OUTAGE_SECONDS, lambda: OperationalError("the broker did not answer a moment ago"))


def send_after_commit(task, **kwargs):
    """Queue the task of that name ("accounts.tasks.send_mail") with ids as keyword arguments, after the commit.

    A broker that is down costs nothing but time: the row the task works on is there, and the
    schedule finds it.
    """
    # No partial: Django names what failed by its __qualname__, which a partial has not.
    transaction.on_commit(lambda: _send(task, kwargs), robust=True)


def _send(task, kwargs):
    try:
        with outage.passed():
            _publish(task, kwargs)
    except (OperationalError, OSError) as error:
        logger.warning("%s waits for the schedule: %s", task, error)


def _publish(task, kwargs):
    try:
        # So that the task's lines and its rows in the record bear the id of the request that caused it.
        app.send_task(task, kwargs=kwargs, retry=False, headers={"request_id": context.current().request_id})
    except (OperationalError, OSError):
        outage.began()
        raise
    outage.ended()
