"""Background doors to the operations of this app. Each may run twice, by two, or be killed and run again."""

import contextlib
import io
from datetime import timedelta

from celery import shared_task
from django.conf import settings
from django.db import OperationalError
from django.utils import timezone

from . import archives, files, lifecycle, news, quotas, receiving, reconcile, uploads, virus_gate
from .backups import BackupBusy, making
from .models import RedeemedLink
from .storage import StoreUnavailable

# Those that run once a night would lose a day to a store that is away for a minute.
NIGHTLY = {"autoretry_for": (OperationalError, StoreUnavailable), "retry_backoff": 60, "max_retries": 5}


@shared_task
def remove_abandoned_uploads():
    """Give up uploads nobody finished."""
    return uploads.remove_abandoned()


@shared_task
def remove_expired_files():
    """Delete files whose time is over, and forget links spent and archives made long ago."""
    # A nonce may go only when its link has expired for good.
    settled = timedelta(days=1, seconds=settings.LINK_EXPIRY_SECONDS + settings.RESUME_GRACE_SECONDS)
    RedeemedLink.objects.filter(redeemed_at__lt=timezone.now() - settled).delete()
    archives.forget_expired()
    return files.remove_expired()


@shared_task
def tell_of_new_files():
    """Tell those who may download from a folder what came into it."""
    return news.tell_of_new_files()


@shared_task
def tell_of_expiring_files():
    """Tell people which of their files expire within days."""
    return news.tell_of_expiring_files()


@shared_task
def tell_role(*, kind, grant_id, role_id, facts):
    """Tell the people of a role what was granted to it or taken back."""
    return news.tell_role(kind=kind, grant_id=grant_id, role_id=role_id, facts=facts)


@shared_task
def complete_checksums():
    """Read files that came in parts, for their SHA-256 and CRC-32."""
    return files.complete_checksums()


@shared_task
def scan_waiting_files():
    """Have the virus scanner look at files that wait for it, unless another worker is at it."""
    return virus_gate.scan_waiting()


@shared_task
def mail_receipts():
    """Tell senders who gave an address what has arrived of them."""
    return receiving.mail_receipts()


@shared_task
def complete_received_uploads():
    """Complete single PUTs that were sent and never completed, and drop what was sent too late."""
    reconcile.discard_unwanted()
    return reconcile.complete_received()


@shared_task(**NIGHTLY)
def recalculate_quotas():
    """Hold sizes and used space against the store, and repair what differs."""
    return len(quotas.recalculate().repaired)


@shared_task(**NIGHTLY)
def reconcile_store():
    """Remove objects without a row and what killed uploads left; report rows without an object."""
    reconcile.reconcile()


@shared_task(**NIGHTLY)
def refresh_expiry():
    """Bring the store's own expiry, the safety net behind ours, into line with the folders."""
    return lifecycle.refresh()


@shared_task(**NIGHTLY)
def back_up():
    """Back up the database, and copy what BACKUP_TO does not have yet; one at a time."""
    with contextlib.suppress(BackupBusy):
        making.make(stream=io.StringIO())
