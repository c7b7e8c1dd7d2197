"""The metrics of folders, uploads, the virus gate and backups that /metrics shows."""

import time

from django.conf import settings
from django.core.cache import cache
from django.db.models import Count, F, Min, Q, Sum
from django.utils import timezone

from config.errors import Refused
from config.watch import metrics

from .backups import shelf
from .models import File, Folder, Upload
from .models.uploads import UploadStatus

NEARLY_FULL = 0.9
LOOK_AGAIN_SECONDS = 600
"""When the cache does not know the last backup, look on the shelf at most this often."""


def quotas():
    """Space that folders may use, and space in use."""
    folders = Folder.objects.with_quota().annotate(room=F("quota_bytes") + F("granted_bytes"))
    facts = folders.aggregate(
        count=Count("pk"),
        quota=Sum("room"),
        used=Sum("used_bytes"),
        reserved=Sum("reserved_bytes"),
        full=Count("pk", filter=Q(room__gt=0) & Q(room__lt=(F("used_bytes") + F("reserved_bytes")) / NEARLY_FULL)),
    )
    return [
        metrics.gauge("portal_folders", "Folders.", facts["count"]),
        metrics.gauge("portal_folders_nearly_full", "Folders with more than 90 % taken.", facts["full"]),
        metrics.gauge("portal_quota_bytes", "Bytes all folders may hold.", facts["quota"] or 0),
        metrics.gauge("portal_quota_used_bytes", "Bytes of stored files.", facts["used"] or 0),
        metrics.gauge("portal_quota_reserved_bytes", "Bytes reserved for uploads.", facts["reserved"] or 0),
    ]


def uploads():
    """Unfinished uploads."""
    facts = Upload.objects.aggregate(
        count=Count("pk"),
        size=Sum("size_bytes"),
        oldest=Min("claimed_at", filter=Q(status=UploadStatus.COMPLETING)),
        pending=Count("pk", filter=Q(status=UploadStatus.PENDING)),
    )
    states = {
        (UploadStatus.PENDING.value,): facts["pending"],
        (UploadStatus.COMPLETING.value,): facts["count"] - facts["pending"],
    }
    return [
        metrics.gauge("portal_uploads", "Unfinished uploads by state.", states, ["state"]),
        metrics.gauge("portal_uploads_bytes", "Bytes they announced.", facts["size"] or 0),
        metrics.gauge("portal_uploads_completing_seconds", "Age of the oldest completion.", _age(facts["oldest"])),
    ]


def virus_gate():
    """Files that wait for the virus scanner, and files in quarantine."""
    waiting = File.objects.waiting_for_a_scan().aggregate(count=Count("pk"), oldest=Min("uploaded_at"))
    quarantined = File.objects.quarantined().count()
    return [
        metrics.gauge("portal_scan_waiting", "Files the virus scanner has not judged.", waiting["count"]),
        metrics.gauge("portal_scan_oldest_seconds", "Age of the oldest of them.", _age(waiting["oldest"])),
        metrics.gauge("portal_quarantined", "Files in quarantine, for a super to decide.", quarantined),
    ]


def backups():
    """The age of the last backup."""
    made = metrics.recall("backup_made_at") or _made_at()
    age = None if made is None else max(0, time.time() - made)
    return [metrics.gauge("portal_backup_age_seconds", "Since the last backup; absent before the first.", age)]


def _made_at():
    """The time of the newest backup on the shelf, for when the cache has lost it. None if the shelf cannot be read."""
    if not cache.add("metrics:backup_shelf", True, LOOK_AGAIN_SECONDS):
        return None
    try:
        complete, _others = shelf.open_shelf(settings.BACKUP_TO).stamps()
    except (Refused, OSError):
        return None
    if not complete:
        return None
    made = complete[max(complete)].timestamp()
    metrics.remember("backup_made_at", made)
    return made


def _age(moment):
    return 0 if moment is None else max(0, (timezone.now() - moment).total_seconds())
