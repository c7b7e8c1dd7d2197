"""Background tasks of this app. Each may run twice, in two workers at once, or again after it was killed."""

from celery import shared_task

from . import notices
from .mpesa import callback_records, status_queries


@shared_task
def process_callback(*, record_id):
    """Process one stored callback now."""
    callback_records.process_callback(record_id)


@shared_task
def process_waiting_callbacks():
    """Process the waiting callbacks and report those that match no payment. Never waits for Daraja."""
    callback_records.process_waiting()
    callback_records.report_strays()


@shared_task
def settle_payments():
    """Ask M-Pesa about the due payments, for a few seconds, one worker at a time."""
    status_queries.ask_due()


@shared_task
def remind_of_ending_space():
    """Tell payers whose space ends soon, or has ended."""
    return notices.remind()


@shared_task
def forget_old_callbacks():
    """Delete old callbacks that were refused, unreadable or unmatched."""
    return callback_records.forget_old_callbacks()
