"""The Celery application. `celery -A config worker -B` where there is a broker; config.embedded where not."""

import os

from celery import Celery, signals

from . import context

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
app = Celery("portal")
app.config_from_object("django.conf:settings", namespace="CELERY")
# The current app is thread-local: without a default, a retry in a worker thread looks for another broker.
app.set_default()
app.autodiscover_tasks()


@signals.setup_logging.connect
def keep_logging(**kwargs):
    """A worker writes its lines as settings.LOGGING says, and not in Celery's way."""


@signals.task_prerun.connect
def begin_task(task_id, task, **kwargs):
    """While it runs, a task is known by its id, and by that of the request that caused it."""
    request_id = task.request.get("request_id") or ""
    task.request.context_token = context.enter(context.RequestFacts(request_id=request_id, task_id=task_id))


@signals.task_postrun.connect
def end_task(task, **kwargs):
    """Forget both."""
    token = task.request.get("context_token")
    if token is not None:
        context.leave(token)
