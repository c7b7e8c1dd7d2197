"""The daily letter: what is still unread of the notices somebody wants once a day.

A notice waits by a mark on its row. The mark goes in the transaction that writes the letter to the outbox, so a
worker that is killed loses nothing, and two of them write one letter.
"""

import logging
from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from . import mail
from .models import Notification, User

logger = logging.getLogger(__name__)

MOST_LINES = 50
BATCH = 200


def send_all(*, now=None):
    """Write the letter of everybody with notices from before today's DIGEST_HOUR (UTC). Returns how many were written.

    What comes later waits for tomorrow, so this may run as often as it likes: a missed hour is made up for.
    """
    before = _last_digest_hour(now or timezone.now())
    written, last = 0, None
    while True:
        waiting = Notification.objects.filter(for_digest=True, created_at__lt=before).order_by("user_id")
        if last is not None:
            waiting = waiting.filter(user_id__gt=last)
        batch = list(waiting.values_list("user_id", flat=True).distinct()[:BATCH])
        if not batch:
            return written
        for user_id in batch:
            try:
                written += _send(user_id, before)
            except Exception:  # one whose letter cannot be written now costs the others nothing
                logger.exception("The daily letter of user %s was not posted", user_id)
        last = batch[-1]


def _last_digest_hour(now):
    hour = now.replace(hour=settings.DIGEST_HOUR, minute=0, second=0, microsecond=0)
    return hour if hour <= now else hour - timedelta(days=1)


@transaction.atomic
def _send(user_id, before):
    # Whoever finds the user taken leaves them to the worker that has them.
    user = User.objects.select_for_update(skip_locked=True, no_key=True).filter(pk=user_id).first()
    if user is None:
        return False
    waiting = Notification.objects.filter(user=user, for_digest=True, created_at__lt=before)
    rows = list(waiting.order_by("-created_at", "-id").select_for_update())
    unread = [notice for notice in rows if not notice.is_read]
    Notification.objects.filter(pk__in=[notice.pk for notice in rows]).update(for_digest=False)
    if not unread or not user.is_active:
        return False
    lines = [{"id": str(row.pk), "kind": row.type, "payload": row.payload} for row in unread[:MOST_LINES]]
    mail.post(
        "digest", to=user.email, user_id=str(user.pk), lines=lines, count=len(unread), more=len(unread) - len(lines)
    )
    return True
