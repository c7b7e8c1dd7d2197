"""Background jobs without a broker: a Celery worker for each queue and beat as threads of the one web process.

Only for CELERY_BROKER_URL = memory://, whose queue lives and dies with the process: what must not be
lost is a row, which the schedule picks up again after a restart.
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
"""How many jobs of each queue are worked on at once."""


def wanted():
    """True when the queue is in this process's memory."""
    return settings.CELERY_BROKER_URL.startswith("memory:")


def start():
    """Start workers and beat as daemon threads; they end with the process."""
    # Beat keeps only when it last ran what; a fresh file each start runs everything due at once, which is meant.
    schedule = settings.DATA_DIR / "beat"
    for old in settings.DATA_DIR.glob("beat*"):
        with contextlib.suppress(OSError):
            old.unlink()
    for queue in THREADS:
        _thread(f"celery-worker-{queue}", lambda queue=queue: _work(queue))
    _thread("celery-beat", lambda: Service(app, schedule_filename=str(schedule)).start(embedded_process=True))


def _work(queue):
    class OfOneQueue(Consumer):
        """Celery keeps which queues are served (-Q) for the whole application, and here two workers have one."""

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
            except Exception:  # a dead worker would be silent; a fault must cost one job, not all of them
                logger.exception("%s stopped; starting it again", name)
            time.sleep(1)

    threading.Thread(target=keep_running, daemon=True, name=name).start()
