"""The one table of this app: signs of life."""

from django.db import models


class Heartbeat(models.Model):
    """A sign of life of a worker, of the schedule, or of a scheduled job.

    A table, and not the cache: without Redis the cache is in the memory of one process, and `manage.py doctor` is
    another. A row is written about once a minute (config.watch.heartbeats). All times but `own_clock` are the
    database's, so that they can be compared whatever the clocks of the machines say.
    """

    class Kind(models.TextChoices):
        WORKER = "worker"
        SCHEDULE = "schedule"
        JOB = "job"

    # A worker's own name (celery@host), "schedule", or the name of a job's task.
    name = models.CharField(max_length=255, primary_key=True)
    kind = models.CharField(max_length=10, choices=Kind)
    # The queues that a worker serves, separated by commas.
    queues = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField()
    # The last sign of life; of a job, the end of its last run without an error.
    seen_at = models.DateTimeField(null=True)
    begun_at = models.DateTimeField(null=True)
    failed_at = models.DateTimeField(null=True)
    # The class of the exception that ended the last failed run.
    fault = models.CharField(max_length=100, blank=True)
    # What the machine's clock said at `seen_at`.
    own_clock = models.DateTimeField(null=True)

    def __str__(self):
        return self.name
