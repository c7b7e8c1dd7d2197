"""The scheduled tasks of this app (UTC)."""

from datetime import timedelta

from celery.schedules import crontab

JOBS = {
    "send waiting mail": ("accounts.tasks.send_waiting_mail", timedelta(seconds=20)),
    "forget old tokens and links": ("accounts.tasks.forget_expired", timedelta(hours=1)),
    "write daily letters": ("accounts.tasks.send_digests", crontab(minute="2-59/15")),
    "erase closed accounts": ("accounts.tasks.erase_closed_accounts", crontab(hour=5, minute=30)),
}
LONG = ("accounts.tasks.erase_closed_accounts",)
