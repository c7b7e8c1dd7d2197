"""The part "audit log": it is whole, and its end is signed with our key."""

from datetime import timedelta

from django.db.models import Min
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from config.watch import heartbeats, parts

from . import chain, verifying
from .models import ChainHead, Event

LONGEST_UNSEALED = timedelta(minutes=10)


def register():
    """Register the part of this app."""
    parts.register("audit log", log, kept_seconds=10, in_turn=True)


def log():
    """The end of the chain bears our signature, rows get their place soon, and the last check found no fault."""
    head = ChainHead.objects.first()
    if head is not None and head.signature and not chain.is_signed(head.seq, head.hash, head.signature):
        return parts.degraded(
            _("The end of the audit log is not signed with SECRET_KEY: the key was changed, or the log was forged."),
            _(
                "Put the former key into SECRET_KEY_FALLBACKS; if the key was never changed, treat it as a break-in "
                "and run manage.py verify_audit."
            ),
        )
    # Not the cache: without Redis each process has one of its own.
    if heartbeats.fault_of(verifying.JOB) == verifying.FAULTY:
        return parts.degraded(
            _("The last check of the audit log found a fault."), _("Run manage.py verify_audit, which names the row.")
        )
    oldest = Event.objects.unsealed().aggregate(oldest=Min("created_at"))["oldest"]
    if oldest is not None and timezone.now() - oldest > LONGEST_UNSEALED:
        return parts.degraded(
            _("Rows of the audit log have waited for their place in the chain since %(at)s UTC."),
            _("See that the schedule and a worker of the queue celery are there, then run manage.py verify_audit."),
            at=f"{oldest:%Y-%m-%d %H:%M}",
        )
    return None
