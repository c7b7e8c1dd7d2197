"""gunicorn's configuration of the portal, with a backup that is due every five seconds instead of every night."""

from datetime import timedelta

from config.contributions import schedule
from config.gunicorn import *  # noqa: F403 - all of it
from config.gunicorn import post_worker_init as begin


def post_worker_init(worker):
    """Change the schedule, then start the jobs as config.gunicorn does."""
    schedule.JOBS["back up"]["schedule"] = timedelta(seconds=5)
    begin(worker)
