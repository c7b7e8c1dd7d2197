"""Metrics of payments."""

from datetime import timedelta

from django.db.models import Count, Min
from django.utils import timezone

from config.watch import metrics

from .models import PENDING, Status, Transaction

RECENT = timedelta(days=1)


def payments():
    """The open payments, and the last day's by state. Counting the whole history at each scrape would cost too much."""
    waiting = (*PENDING, Status.NEEDS_REVIEW)
    counts = dict.fromkeys(((status,) for status in waiting), 0)
    rows = Transaction.objects.filter(status__in=waiting).order_by()
    counts |= {(status,): number for status, number in rows.values_list("status").annotate(n=Count("pk"))}
    oldest = Transaction.objects.pending().aggregate(oldest=Min("created_at"))["oldest"]
    age = 0 if oldest is None else max(0, (timezone.now() - oldest).total_seconds())
    recent = Transaction.objects.filter(created_at__gte=timezone.now() - RECENT).order_by()
    last_day = {(status,): 0 for status in Status.values}
    last_day |= {(status,): number for status, number in recent.values_list("status").annotate(n=Count("pk"))}
    return [
        metrics.gauge("portal_payments_open", "Payments that wait, by state.", counts, ["status"]),
        metrics.gauge("portal_payments_oldest_pending_seconds", "Age of the oldest pending payment.", age),
        metrics.gauge("portal_payments_last_day", "Payments begun in 24 hours, by state.", last_day, ["status"]),
    ]
