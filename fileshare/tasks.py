"""Celery tasks that call the operations of this app.

Each may run twice, run in two workers at once, or be killed and run again.
"""

import contextlib
import io
from datetime import timedelta

from celery import shared_task
from django.conf import settings
from django.db import OperationalError
from django.utils import timezone

from config.outside import statistics

from . import checksums, files, folder_notices
from .backups import BackupBusy, making
from .incoming import uploads
from .many import carrying
from .models import RedeemedLink
from .outgoing import archives
from .requests import receipts
from .scanning import virus_gate
from .search import folding
from .sharing import shares
from .space import quotas
from .storage import StoreUnavailable
from .upkeep import lifecycle, reconcile

# Retry the nightly tasks: without that, a store that is down for a minute would cost them a whole day.
NIGHTLY = {"autoretry_for": (OperationalError, StoreUnavailable), "retry_backoff": 60, "max_retries": 5}


@shared_task
def remove_abandoned_uploads():
    """End uploads whose lifetime is over, and free their space."""
    return uploads.remove_abandoned()


@shared_task
def remove_expired_files():
    """Delete expired files, and the records of one-time links, archives and share links that are no longer needed."""
    # Keep a nonce until its link has certainly expired: without the nonce the link would work a second time.
    settled = timedelta(days=1, seconds=settings.LINK_EXPIRY_SECONDS + settings.RESUME_GRACE_SECONDS)
    RedeemedLink.objects.filter(redeemed_at__lt=timezone.now() - settled).delete()
    archives.forget_expired()
    shares.forget_empty()
    return files.remove_expired()


@shared_task
def tell_of_new_files():
    """Notify the readers of a folder of its new files."""
    return folder_notices.tell_of_new_files()


@shared_task
def tell_of_expiring_files():
    """Notify uploaders of their files that expire within the next days."""
    return folder_notices.tell_of_expiring_files()


@shared_task
def tell_role(*, kind, grant_id, role_id, facts):
    """Notify the users of a role of a permission that the role was given or has lost."""
    return folder_notices.tell_role(kind=kind, grant_id=grant_id, role_id=role_id, facts=facts)


@shared_task
def tell_company(*, kind, grant_id, company_id, facts):
    """Notify the users of a company of a permission that the company was given or has lost."""
    return folder_notices.tell_company(kind=kind, grant_id=grant_id, company_id=company_id, facts=facts)


@shared_task
def complete_checksums():
    """Read files whose SHA-256 and CRC-32 are not known, such as those uploaded in parts, and store both."""
    return checksums.complete()


@shared_task
def scan_waiting_files():
    """Have the virus scanner check the waiting files, unless another worker is already doing so."""
    return virus_gate.scan_waiting()


@shared_task
def mail_receipts():
    """Mail receipts of their files to senders who gave an e-mail address."""
    return receipts.mail_receipts()


@shared_task
def carry_moved_files():
    """Bring the bytes of moved files to keys under their new folders."""
    return carrying.carry_all()


@shared_task
def complete_received_uploads():
    """Complete single PUTs whose bytes arrived but that no client completed. Delete bytes that came too late."""
    reconcile.discard_unwanted()
    return reconcile.complete_received()


@shared_task
def fold_new_names():
    """Fold the names that an earlier version of the portal wrote while it was replaced."""
    return folding.fold_missing()


@shared_task(**NIGHTLY)
def fold_all_names():
    """Fold all names again, for what an earlier version renamed and for a new Unicode; then refresh the statistics."""
    folded = folding.fold_all()
    statistics.refresh()
    return folded


@shared_task(**NIGHTLY)
def recalculate_quotas():
    """Compare sizes and used space with the store, and repair what differs."""
    return len(quotas.recalculate().repaired)


@shared_task(**NIGHTLY)
def reconcile_store():
    """Delete objects without a row and the remains of killed uploads. Report rows without an object."""
    reconcile.reconcile()


@shared_task(**NIGHTLY)
def refresh_expiry():
    """Set the bucket's own expiry rules, the safety net behind the portal's, to match the folders."""
    return lifecycle.refresh()


@shared_task(**NIGHTLY)
def back_up():
    """Back up the database, and copy the objects that BACKUP_TO does not have yet. Only one backup runs at a time."""
    with contextlib.suppress(BackupBusy):
        making.make(stream=io.StringIO())
