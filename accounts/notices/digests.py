"""The daily digest: an e-mail with the unread notices that a user wants once a day.

`for_digest` marks a notice that waits for the digest. The transaction that stores the e-mail in the outbox removes the
mark. So a killed worker loses nothing, and two workers at once write one e-mail.
"""

import logging
from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from accounts.models import Notification, User

from . import mail

logger = logging.getLogger(__name__)

MOST_LINES = 50
BATCH = 200


def send_all(*, now=None):
    """Write the digest of each user with waiting notices from before the last DIGEST_HOUR (UTC). Returns how many.

    Later notices wait for the next digest. So this may run at any time and any number of times: a run after a missed
    hour catches up.
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
            except Exception:  # if one digest fails, go on with the other users
                logger.exception("The daily letter of user %s was not posted", user_id)
        last = batch[-1]


def _last_digest_hour(now):
    hour = now.replace(hour=settings.DIGEST_HOUR, minute=0, second=0, microsecond=0)
    return hour if hour <= now else hour - timedelta(days=1)


@transaction.atomic
def _send(user_id, before):
    # Skip a user whose row another worker has locked: that worker writes the digest.
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
