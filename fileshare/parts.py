"""The parts of the portal that this app stands on: the store, and the virus scanner where there is one."""

from datetime import timedelta

from django.conf import settings
from django.core.files.storage import storages
from django.db.models import Count, Min
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from config.watch import clocks, parts

from .models import File
from .scanning import clamd

LONGEST_WAIT = timedelta(minutes=15)
SCANNER_CURE = _("Start clamd, compare its address with CLAMD_URL, and see that a worker serves the queue celery.")


def register():
    """Register the parts of this app."""
    cure = _("Check the folder, or the bucket with its keys: manage.py setup_bucket --check")
    parts.register("store", store, cure=cure)
    clocks.CLOCKS.add("the bucket", bucket_time)
    if settings.CLAMD_URL:
        parts.register("virus gate", virus_gate, kept_seconds=10)
        # Only workers talk to the scanner, so a web process cannot tell.
        parts.register("virus scanner", scanner, thorough=True, cure=SCANNER_CURE)


def store():
    """The bucket, or the local folder, answers."""
    if settings.STORAGE == "s3":
        storages["default"].ping()
    else:
        settings.DATA_DIR.stat()


def bucket_time():
    """The clock of the bucket; None for the local store."""
    return storages["default"].time() if settings.STORAGE == "s3" else None


def virus_gate():
    """Files are scanned soon after they arrive."""
    waiting = File.objects.waiting_for_a_scan().aggregate(count=Count("pk"), oldest=Min("uploaded_at"))
    if waiting["oldest"] is None or timezone.now() - waiting["oldest"] < LONGEST_WAIT:
        return None
    return parts.degraded(
        _("Files wait for the virus scanner (%(count)d), the oldest since %(at)s UTC. Users cannot download them."),
        SCANNER_CURE,
        count=waiting["count"],
        at=f"{waiting['oldest']:%Y-%m-%d %H:%M}",
    )


def scanner():
    """The scanner answers."""
    try:
        clamd.ping()
    except clamd.ScannerFailed as error:
        return parts.degraded(_("The scanner does not answer: %(why)s."), SCANNER_CURE, why=str(error))
    return None
