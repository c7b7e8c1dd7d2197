"""A sign of life for whoever watches over a worker: a file whose time moves while the worker's main loop turns.

Loaded where it is wanted: `celery -A config worker --include config.liveness`. `deploy/healthcheck.py worker`
reads it. A worker beats every two seconds or so from the loop that fetches tasks, and only while the broker
is there; asking it (`celery inspect ping`) would start a second Django each time to learn the same.
"""

import tempfile
from pathlib import Path

from celery.signals import heartbeat_sent

WORKER_ALIVE = Path(tempfile.gettempdir()) / "portal-worker-alive"


@heartbeat_sent.connect
def note_life(**kwargs):
    """Move the file's time on."""
    WORKER_ALIVE.touch(mode=0o600)
