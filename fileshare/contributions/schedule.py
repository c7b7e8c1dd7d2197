"""The scheduled jobs of this app, and when they run (UTC)."""

from datetime import timedelta

from celery.schedules import crontab
from django.conf import settings

LONG = (
    "fileshare.tasks.back_up",
    "fileshare.tasks.carry_moved_files",
    "fileshare.tasks.complete_checksums",
    "fileshare.tasks.fold_all_names",
    "fileshare.tasks.recalculate_quotas",
    "fileshare.tasks.reconcile_store",
)


def jobs():
    """{name: (task, when)} of the jobs; backups and virus scans only when the settings ask for them."""
    found = {
        "tell of new files": ("fileshare.tasks.tell_of_new_files", timedelta(minutes=1)),
        "tell of expiring files": ("fileshare.tasks.tell_of_expiring_files", crontab(minute=20)),
        "remove abandoned uploads": ("fileshare.tasks.remove_abandoned_uploads", timedelta(minutes=5)),
        "complete received uploads": ("fileshare.tasks.complete_received_uploads", timedelta(minutes=10)),
        "carry moved files": ("fileshare.tasks.carry_moved_files", timedelta(minutes=10)),
        "recalculate quotas": ("fileshare.tasks.recalculate_quotas", crontab(hour=2, minute=30)),
        "reconcile store and rows": ("fileshare.tasks.reconcile_store", crontab(hour=3, minute=30)),
        "remove expired files": ("fileshare.tasks.remove_expired_files", timedelta(minutes=10)),
        "refresh the bucket's expiry": ("fileshare.tasks.refresh_expiry", crontab(hour=4, minute=30)),
        "mail receipts of file requests": ("fileshare.tasks.mail_receipts", timedelta(minutes=1)),
        "fold new names": ("fileshare.tasks.fold_new_names", timedelta(minutes=10)),
        "fold all names": ("fileshare.tasks.fold_all_names", crontab(hour=2, minute=10)),
        "complete checksums": ("fileshare.tasks.complete_checksums", timedelta(minutes=2)),
    }
    if settings.BACKUP_SCHEDULED:
        found["back up"] = ("fileshare.tasks.back_up", crontab(hour=1, minute=30))
    if settings.CLAMD_URL:
        found["scan waiting files"] = ("fileshare.tasks.scan_waiting_files", timedelta(minutes=1))
    return found
