"""The parts of the portal that this app stands on: the outbox, and the mail server behind it."""

from datetime import timedelta
from pathlib import Path

from django.conf import settings
from django.core.mail import get_connection
from django.db.models import Count, Min, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from config.watch import parts

from .models import OutgoingMail

LONGEST_WAIT = timedelta(minutes=15)
SOON = timedelta(minutes=5)
"""A letter that was never tried is due at once; one that is due later comes from a machine with a wrong clock."""


def register():
    """Register the parts of this app."""
    parts.register("mail", outbox, kept_seconds=10, in_turn=True)
    # Only workers talk to the mail server, so a web process cannot tell.
    parts.register(
        "mail server",
        server,
        thorough=True,
        cure=_("Compare EMAIL_HOST, EMAIL_PORT, EMAIL_HOST_USER and EMAIL_HOST_PASSWORD with the mail server."),
    )


def outbox():
    """Letters leave soon after they were written."""
    now = timezone.now()
    late = Q(next_try_at__lt=now - LONGEST_WAIT) | Q(tries__gt=0, created_at__lt=now - LONGEST_WAIT)
    future = Q(tries=0, next_try_at__gt=now + SOON)
    facts = OutgoingMail.objects.filter(sent_at=None, failed_at=None).aggregate(
        late=Count("pk", filter=late), oldest=Min("created_at", filter=late), future=Count("pk", filter=future)
    )
    if facts["future"]:
        return parts.degraded(
            _("Letters are due only in the future (%(count)d): the clock of a machine is ahead."),
            _("Set the clocks of all machines (timedatectl set-ntp true); the letters go out at their time."),
            count=facts["future"],
        )
    if facts["late"]:
        return parts.degraded(
            _("Letters wait (%(count)d), the oldest since %(at)s UTC."),
            _("Look for accounts.notices.mail in the log of the workers, and run manage.py doctor beside them."),
            count=facts["late"],
            at=f"{facts['oldest']:%Y-%m-%d %H:%M}",
        )
    return None


def server():
    """The mail server lets the portal in. Nothing is sent."""
    kind = settings.EMAIL_BACKEND_KIND
    if kind in ("file", "console"):
        facts = {"kind": kind, "folder": Path(settings.EMAIL_FILE_PATH)}
        told = _("Letters are sent to nobody: EMAIL_BACKEND_KIND=%(kind)s.")
        if settings.SITE_IS_LOCAL:
            return parts.Verdict(parts.State.OK, told, facts=facts)
        return parts.degraded(told, _("Set EMAIL_BACKEND_KIND to smtp, brevo or sendgrid."), **facts)
    if kind == "brevo":
        # Its back end opens a session without a request, so that a wrong key would pass.
        return parts.Verdict(
            parts.State.OK, _("Brevo cannot be asked without a letter. The part mail tells of letters that wait.")
        )
    connection = get_connection(fail_silently=False)
    connection.open()
    connection.close()
    return None
