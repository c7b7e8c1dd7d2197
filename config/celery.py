"""The Celery application. With a broker run `celery -A config worker -B`; without one config.embedded runs it."""

import os

from celery import Celery, signals
from django.conf import settings
from django.urls import set_script_prefix

from . import context
from .contributions import schedule

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
app = Celery("portal")
app.config_from_object("django.conf:settings", namespace="CELERY")
# Celery reads these lazily, when every app has registered its jobs.
app.add_defaults({"beat_schedule": schedule.JOBS, "task_routes": [schedule.route]})
# The current app is thread-local: without a default, a retry in a worker thread looks for another broker.
app.set_default()
app.autodiscover_tasks()


@signals.setup_logging.connect
def keep_logging(**kwargs):
    """Keep a worker's logging as settings.LOGGING says. Without a receiver of this signal Celery sets up its own."""


@signals.task_prerun.connect
def begin_task(task_id, task, **kwargs):
    """Set the facts of the running task for its log lines: its id, and the id of the request that caused it."""
    # Django keeps the path before each address by thread, and sets it for requests and commands only.
    set_script_prefix(f"{settings.SITE_PATH}/")
    request_id = task.request.get("request_id") or ""
    task.request.context_token = context.enter(context.RequestFacts(request_id=request_id, task_id=task_id))


@signals.task_postrun.connect
def end_task(task, **kwargs):
    """Forget the task's facts."""
    token = task.request.get("context_token")
    if token is not None:
        context.leave(token)
