"""Store and rows, made to agree again after whatever was killed, lost or never finished.

Everything here may run at any time, twice, by many at once, or be killed: what is left to do is found
anew by the next run.
"""

import logging
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import islice

from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.http import Http404
from django.utils import timezone

from audit.log import record
from audit.models import Action
from config.errors import Refused

from . import completion, inventory
from .models import File, Upload
from .storage import StoreUnavailable, get_store

logger = logging.getLogger(__name__)

# So often in a row the store may fail before a run leaves the rest to the next one.
PATIENCE = 3
# Objects without a row that one run removes, and rows without an object that it lists.
MOST_ORPHANS = 10_000
MOST_MISSING = 1_000
# More orphans than this, and more than there are objects with a row: the database is not this store's.
SUSPICIOUS_ORPHANS = 100


@dataclass
class Reconciliation:
    """What `reconcile` found. `orphans` counts objects without a row, `removed` those that went, with `removed_bytes`;
    `leftovers` what killed uploads had left in the store. `missing` holds the first Files without an object, of
    `missing_count`. `held_back`: there were so many orphans that none was touched.
    """

    objects: int = 0
    orphans: int = 0
    removed: int = 0
    removed_bytes: int = 0
    leftovers: int = 0
    missing: list = field(default_factory=list)
    missing_count: int = 0
    held_back: bool = False


def complete_received(*, dry_run=False):
    """Complete the uploads whose bytes lie whole in the store and that nobody finishes. Returns how many became files.

    Those are single PUTs whose sender never said that they are sent, and uploads whose completion died
    with its process. It is the sender's own call: their right is asked anew, the content looked at, a
    refusal logged and told. One that is refused or fails costs the others nothing. Raises
    StoreUnavailable when the store fails time after time.
    """
    failures = completed = 0
    for upload in inventory.in_batches(_overdue()):
        try:
            completed += _complete(upload, dry_run)
            failures = 0
        except StoreUnavailable:
            failures += 1
            logger.warning("The store failed for upload %s", upload.pk)
            if failures == PATIENCE:
                raise
        except (Refused, Http404, PermissionDenied) as refusal:
            logger.info("Upload %s was not completed: %s", upload.pk, repr(refusal))
        except Exception:
            logger.exception("Upload %s could not be completed", upload.pk)
    return completed


def _overdue():
    """Unclaimed ones whose URL of a single PUT has run out: whoever sent the bytes has had time to say so."""
    long_ago = timezone.now() - timedelta(seconds=settings.PRESIGNED_URL_EXPIRY_SECONDS)
    return Upload.objects.claimable().filter(created_at__lte=long_ago).select_related("uploaded_by", "sender")


def _complete(upload, dry_run):
    if upload.is_multipart and not upload.store_upload_id:
        return False
    # Of an upload in parts there is something only when its sender had them put together.
    info = get_store().received(upload.object_key)
    if info is None or info.size_bytes != upload.size_bytes:
        return False
    if not dry_run:
        completion.complete(
            user=upload.uploaded_by,
            sender=upload.sender,
            file_id=upload.pk,
            upload_id=upload.store_upload_id or None,
            parts=[],
        )
    return True


def discard_unwanted():
    """Remove bytes that a presigned URL took after its upload had ended. Returns how many were removed.

    Nobody can read them, and no quota counts them.
    """
    store, count = get_store(), 0
    # A moment's grace: the row of an upload is there before its URL, but not before the clock of the store.
    until = timezone.now() - timedelta(minutes=1)
    waiting = iter(store.staged())
    while batch := list(islice(waiting, inventory.BATCH)):
        wanted = set(
            Upload.objects.filter(object_key__in=[key for key, _modified in batch]).values_list("object_key", flat=True)
        )
        for key, modified_at in batch:
            if key not in wanted and modified_at < until:
                store.discard_put(key)
                count += 1
    return count


def reconcile(*, dry_run=False, force=False, progress=None):
    """Remove objects nobody has a row for and what killed uploads left; report rows without an object.

    Objects younger than ORPHAN_GRACE_HOURS stay, and all of them where most have no row: that is
    another portal's store, or an empty database; `force` removes them even so. Rows without an
    object stay, each an error in the log. `dry_run` only looks. `progress` is a
    config.progress.Progress of objects. Returns a Reconciliation; what was removed or is missing is
    one Event. Raises StoreUnavailable.
    """
    began = timezone.now()
    found, ids, orphans = Reconciliation(), _Ids(), []
    for entry in inventory.stored():
        found.objects += 1
        if entry.file_id is not None:
            ids.add(entry.file_id)
        elif entry.upload_id is None and entry.modified_at < began - settings.ORPHAN_GRACE:
            found.orphans += 1
            if len(orphans) < MOST_ORPHANS:
                orphans.append((entry.key, entry.size_bytes))
        if progress:
            progress.advance()
    _report_missing(found, ids, began)
    many = found.orphans > SUSPICIOUS_ORPHANS and found.orphans > ids.count
    found.held_back = many and not force
    if found.held_back:
        logger.error(
            "%d of %d objects have no row: is this the store's database? None was removed.",
            found.orphans,
            found.objects,
        )
    elif not dry_run:
        _remove(orphans, found)
    if not dry_run:
        found.leftovers = get_store().sweep(older_than=began - 2 * settings.UPLOAD_LIFETIME)
        _tell(found)
    return found


def _remove(orphans, found):
    store = get_store()
    remaining = iter(orphans)
    while batch := dict(islice(remaining, inventory.BATCH)):
        # The walk may have taken an hour; what has got a row since, as from a restored database, stays.
        for model in (Upload, File):
            for key in model.objects.filter(object_key__in=list(batch)).values_list("object_key", flat=True):
                batch.pop(key, None)
        for key, size in batch.items():
            store.delete(key)
            logger.info("Removed an object without a row: %s", key)
            found.removed += 1
            found.removed_bytes += size


def _report_missing(found, ids, began):
    for row in inventory.in_batches(File.objects.filter(uploaded_at__lt=began).only("pk")):
        if row.pk in ids:
            continue
        file = File.objects.select_related("folder").filter(pk=row.pk).first()
        # The store is asked again, and after it the row: a file may be deleted at any time, the row first.
        if file is None or get_store().head(file.object_key) or not File.objects.filter(pk=file.pk).exists():
            continue
        found.missing_count += 1
        logger.error("File %s of folder %s has no object: %s", file.pk, file.folder.slug, file.object_key)
        if len(found.missing) < MOST_MISSING:
            found.missing.append(file)


def _tell(found):
    facts = {
        "removed": found.removed,
        "removed_bytes": found.removed_bytes,
        "leftovers": found.leftovers,
        "missing": found.missing_count,
    }
    logger.info("Store and rows compared: %d objects, %s", found.objects, facts)
    if any(facts.values()):
        record(Action.STORE_RECONCILED, **facts, objects=found.objects)


class _Ids:
    """A set of UUIDs that takes 16 bytes for each, quick to ask in their order."""

    def __init__(self):
        self.count = 0
        self._packed = [bytearray() for _ in range(256)]
        self._opened, self._first = frozenset(), None

    def add(self, pk):
        self.count += 1
        self._packed[pk.bytes[0]] += pk.bytes

    def __contains__(self, pk):
        first = pk.bytes[0]
        if first != self._first:
            packed = bytes(self._packed[first])
            self._opened, self._first = {packed[start : start + 16] for start in range(0, len(packed), 16)}, first
        return pk.bytes in self._opened
