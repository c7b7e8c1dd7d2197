"""When a bucket may remove objects by itself: two days and an upload's lifetime after the portal should have."""

import math

from django.conf import settings

from .models import File, Folder, Upload
from .storage import get_store

# A bucket counts from the day a multipart upload was begun, the portal from the day it was completed.
DAYS_BEHIND = 2 + math.ceil(settings.UPLOAD_LIFETIME.total_seconds() / 86_400)


def safety_net():
    """{beginning of keys: days} after which every object there is certainly of no use to anybody.

    A folder that keeps its files for ever has no entry, nor has one of whose objects any is kept so, or is
    under a legal hold: a key bears the folder's name of its day, and names and rules of folders change.
    Reads each File row once; memory grows with the number of folders.
    """
    longest = {f"files/{slug}/": days for slug, days in Folder.objects.values_list("slug", "retention_days")}
    rows = File.objects.values_list("object_key", "uploaded_at", "expires_at").iterator(chunk_size=5000)
    for key, uploaded_at, expires_at in rows:
        days = None if expires_at is None else math.ceil((expires_at - uploaded_at).total_seconds() / 86_400)
        _keep(longest, key, days)
    for key in File.objects.held().values_list("object_key", flat=True).iterator(chunk_size=5000):
        _keep(longest, key, None)
    for slug in Folder.objects.held().values_list("slug", flat=True):
        longest[f"files/{slug}/"] = None
    for key, days in Upload.objects.values_list("object_key", "folder__retention_days").iterator():
        _keep(longest, key, days)
    return {prefix: days + DAYS_BEHIND for prefix, days in longest.items() if days is not None}


def _keep(longest, key, days):
    prefix = "/".join(key.split("/", 2)[:2]) + "/"
    known = longest.get(prefix, 0)
    longest[prefix] = None if known is None or days is None else max(known, days)


def refresh():
    """Bring the store's own expiry into line with the folders. Returns whether anything was changed."""
    store = get_store()
    return store.is_remote and store.expire_after(safety_net())
