"""Background jobs without a broker: beat, and a Celery worker for each queue, run as threads of the one web process.

Only for CELERY_BROKER_URL = memory://, whose queue is lost with the process. Work that must not be lost is also a row
in the database; the schedule picks it up after a restart.
"""

import contextlib
import logging
import threading
import time

from celery.beat import Service
from celery.worker.consumer import Consumer
from django.conf import settings

from .celery import app

logger = logging.getLogger(__name__)

THREADS = {"celery": 2, "sweep": 1}
"""How many jobs of each queue run at the same time."""


def wanted():
    """True when the queue is in this process's memory."""
    return settings.CELERY_BROKER_URL.startswith("memory:")


def start():
    """Start workers and beat as daemon threads; they end with the process."""
    # Before the first thread: two workers that import the tasks at the same time get in each other's way, and one of
    # them can end up without any ("Received unregistered task") for as long as the process lives.
    app.loader.import_default_modules()
    app.finalize()
    # Beat's file holds only when each job last ran. Start with a fresh one, so that every due job runs at once.
    schedule = settings.DATA_DIR / "beat"
    for old in settings.DATA_DIR.glob("beat*"):
        with contextlib.suppress(OSError):
            old.unlink()
    for queue in THREADS:
        _thread(f"celery-worker-{queue}", lambda queue=queue: _work(queue))
    _thread("celery-beat", lambda: _tick(str(schedule)))


def _tick(filename):
    # Celery's class takes no notice of the setting; its command line does.
    Service(app, schedule_filename=filename, scheduler_cls=app.conf.beat_scheduler).start(embedded_process=True)


def _work(queue):
    class OfOneQueue(Consumer):
        """Serves one queue only. Celery's own setting (-Q) is for the whole application, and here run two workers."""

        def on_ready(self):
            for other in THREADS.keys() - {queue}:
                self.task_consumer.cancel_by_queue(other)
            super().on_ready()

    app.WorkController(
        hostname=f"{queue}@",
        consumer_cls=OfOneQueue,
        pool="threads",
        concurrency=THREADS[queue],
        without_mingle=True,
        without_gossip=True,
        without_heartbeat=True,
    ).start()


def _thread(name, body):
    def keep_running():
        while True:
            try:
                body()
            except Exception:  # restart it: a dead worker would go unnoticed, and all later jobs would wait
                logger.exception("%s stopped; starting it again", name)
            time.sleep(1)

    threading.Thread(target=keep_running, daemon=True, name=name).start()
