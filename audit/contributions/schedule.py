"""This app's scheduled jobs (UTC)."""

from datetime import timedelta

from celery.schedules import crontab

JOBS = {
    "place rows of the audit log": ("audit.tasks.seal", timedelta(seconds=10)),
    "keep the head of the audit log": ("audit.tasks.keep_head", crontab(hour="*/6", minute=10)),
    "check the whole audit log": ("audit.tasks.verify", crontab(day_of_week=0, hour=1, minute=10)),
}
LONG = ("audit.tasks.keep_head", "audit.tasks.verify")
