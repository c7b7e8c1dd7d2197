"""When a bucket may delete objects by itself: two days and an upload's lifetime after the portal should have."""

import math

from django.conf import settings

from fileshare.models import File, Folder, Upload
from fileshare.storage import get_store

# A bucket counts from the start of a multipart upload, the portal from its completion.
DAYS_BEHIND = 2 + math.ceil(settings.UPLOAD_LIFETIME.total_seconds() / 86_400)


def safety_net():
    """{prefix of keys: days} after which no object with that prefix is needed any more.

    A prefix has no entry when its folder keeps files for ever, or when one of its objects is kept for ever or is under
    a legal hold. The objects are looked at too, because a key contains the slug that the folder had at the time of the
    upload, and the slug and the retention of a folder may change. Reads each File row once. Memory grows with the
    number of folders.
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
    """Set the bucket's own expiry rules to match the folders. Returns whether this changed anything."""
    store = get_store()
    return store.is_remote and store.expire_after(safety_net())
