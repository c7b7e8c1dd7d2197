"""A sign of life of a worker: while the worker's main loop runs, it touches a file.

Load it by `celery -A config worker --include config.watch.liveness`. `deploy/healthcheck.py worker` reads the file. The
loop that fetches tasks touches it about every two seconds, and only while the broker is there. Asking the worker
(`celery inspect ping`) would start a second Django each time to learn the same.
"""

import tempfile
from pathlib import Path

from celery.signals import heartbeat_sent

WORKER_ALIVE = Path(tempfile.gettempdir()) / "portal-worker-alive"


@heartbeat_sent.connect
def note_life(**kwargs):
    """Update the file's time."""
    WORKER_ALIVE.touch(mode=0o600)
