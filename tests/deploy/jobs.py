"""A job for the workers of test_workers: `celery … --include tests.deploy.jobs`."""

import time
from pathlib import Path

from celery import shared_task


@shared_task
def take_a_while(folder, seconds):
    """Create the file `begun` in `folder`, and `seconds` later the file `ended`."""
    Path(folder, "begun").touch()
    time.sleep(seconds)
    Path(folder, "ended").touch()
