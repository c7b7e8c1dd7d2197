"""The Celery application. `celery -A config worker -B` where there is a broker; config.embedded where not."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
app = Celery("portal")
app.config_from_object("django.conf:settings", namespace="CELERY")
# The current app is thread-local: without a default, a retry in a worker thread looks for another broker.
app.set_default()
app.autodiscover_tasks()
