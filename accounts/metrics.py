"""The figures about outgoing mail at /metrics."""

from django.db.models import Count, Min
from django.utils import timezone

from config.watch import metrics

from .models import OutgoingMail


def mail():
    """Gauges of the outbox."""
    waiting = OutgoingMail.objects.filter(sent_at=None, failed_at=None)
    facts = waiting.aggregate(count=Count("pk"), oldest=Min("created_at"))
    age = 0 if facts["oldest"] is None else (timezone.now() - facts["oldest"]).total_seconds()
    given_up = OutgoingMail.objects.filter(failed_at__isnull=False).count()
    return [
        metrics.gauge("portal_mail_waiting", "Letters that wait in the outbox.", facts["count"]),
        metrics.gauge("portal_mail_failed", "Letters given up in the last thirty days.", given_up),
        metrics.gauge("portal_mail_oldest_seconds", "Age of the oldest waiting letter.", age),
    ]
