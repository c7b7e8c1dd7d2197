from celery import shared_task


@shared_task
def count_things():
    """The number of things."""
