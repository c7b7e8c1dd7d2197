"""The part "payments": M-Pesa tells how payments ended."""

from datetime import timedelta

from django.db.models import Count, Min
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from config.watch import parts

from .models import Transaction

LONGEST_PENDING = timedelta(hours=2)
"""After an hour of questions without an answer a payment is left to a person, and is pending no more."""


def register():
    """Register the part of this app."""
    parts.register("payments", payments, kept_seconds=10, in_turn=True)


def payments():
    """No payment is pending for longer than the portal asks after it."""
    old = Transaction.objects.pending().filter(created_at__lt=timezone.now() - LONGEST_PENDING)
    facts = old.aggregate(count=Count("pk"), oldest=Min("created_at"))
    if not facts["count"]:
        return None
    return parts.degraded(
        _("Payments have been pending since %(at)s UTC or later (%(count)d): M-Pesa is not asked about them."),
        _("See that the schedule and a worker of the queue celery are there, and look for payments in its log."),
        count=facts["count"],
        at=f"{facts['oldest']:%Y-%m-%d %H:%M}",
    )
