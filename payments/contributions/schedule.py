"""This app's scheduled jobs."""

from datetime import timedelta

JOBS = {
    "process waiting callbacks": ("payments.tasks.process_waiting_callbacks", timedelta(seconds=10)),
    "settle payments": ("payments.tasks.settle_payments", timedelta(seconds=10)),
    "remind of ending space": ("payments.tasks.remind_of_ending_space", timedelta(hours=1)),
    "forget old callbacks": ("payments.tasks.forget_old_callbacks", timedelta(days=1)),
}
