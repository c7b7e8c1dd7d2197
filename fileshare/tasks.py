"""Background doors to the operations of this app. Each may run twice, by two, or be killed and run again."""

from datetime import timedelta

from celery import shared_task
from django.conf import settings
from django.utils import timezone

from . import archives, files, uploads
from .models import RedeemedLink


@shared_task
def remove_abandoned_uploads():
    """Give up uploads nobody finished, and sweep what killed ones left in the store."""
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
def complete_checksums():
    """Read files that came in parts, for their SHA-256 and CRC-32."""
    return files.complete_checksums()
