"""Background doors to the operations of this app. Each may run twice, by two, or be killed and run again."""

from celery import shared_task

from . import asking, callback_records, notices


@shared_task
def process_callback(*, record_id):
    """Do what one kept callback says, now."""
    callback_records.process_callback(record_id)


@shared_task
def process_waiting_callbacks():
    """Process the callbacks that wait, and tell of those that belong to nothing. Never waits for Daraja."""
    callback_records.process_waiting()
    callback_records.report_strays()


@shared_task
def settle_payments():
    """Ask after the payments that are due, for a few seconds, one worker at a time."""
    asking.ask_due()


@shared_task
def remind_of_ending_space():
    """Tell payers whose space ends soon, or has ended."""
    return notices.remind()


@shared_task
def forget_old_callbacks():
    """Remove what came without the secret, long ago."""
    return callback_records.forget_old_callbacks()
