"""Make the store and the database agree again after a process was killed, data was lost or an upload never finished.

Everything here may run at any time, twice, in several workers at once, or be killed. The next run finds what is left
to do.
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
from config.errors import Refused
from fileshare.contributions.actions import Action
from fileshare.incoming import completion, uploads
from fileshare.models import File, Upload
from fileshare.space import inventory
from fileshare.storage import StoreUnavailable, get_store

logger = logging.getLogger(__name__)

# A run stops when the store fails this many times in a row. The next run does the rest.
PATIENCE = 3
# One run deletes at most this many objects without a row, and lists at most this many rows without an object.
MOST_ORPHANS = 10_000
MOST_MISSING = 1_000
# With more orphans than this, and more orphans than objects with a row, the database is probably another store's.
SUSPICIOUS_ORPHANS = 100


@dataclass
class Reconciliation:
    """What `reconcile` found.

    `orphans` counts objects without a row, `removed` those that were deleted, with `removed_bytes`. `adopted` counts
    objects that were found under another key than their file's row names, and whose row names them now. `leftovers`
    counts the remains of killed uploads. `missing` lists the Files without an object, at most MOST_MISSING of
    `missing_count`. `held_back` is True when there were so many orphans that none was deleted.
    """

    objects: int = 0
    orphans: int = 0
    removed: int = 0
    removed_bytes: int = 0
    adopted: int = 0
    leftovers: int = 0
    missing: list = field(default_factory=list)
    missing_count: int = 0
    held_back: bool = False


def complete_received(*, dry_run=False):
    """Complete uploads whose bytes have arrived but that no client completed. Returns how many became files.

    Those are single PUTs after which the client never called "complete", and uploads whose completion was killed. Each
    is completed on behalf of its uploader: the right to upload and the content are checked again, and a refusal is
    logged and notified. When one is refused or fails, the others continue. Raises StoreUnavailable when the store fails
    PATIENCE times in a row.
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
    """Unclaimed uploads whose URL for a single PUT has expired: the client has had time to complete them."""
    long_ago = timezone.now() - timedelta(seconds=settings.PRESIGNED_URL_EXPIRY_SECONDS)
    return Upload.objects.claimable().filter(created_at__lte=long_ago).select_related("uploaded_by", "sender")


def _complete(upload, dry_run):
    if upload.is_multipart and not upload.store_upload_id:
        return False
    # A multipart upload has an object here only when a completion has already joined its parts.
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
    """Delete bytes that a presigned URL received after its upload had ended. Returns how many objects were deleted.

    No user can read these bytes, and no quota counts them.
    """
    store, count = get_store(), 0
    # Skip the last minute. An upload's row exists before its URL, but the store's clock may differ from ours.
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
    """Delete objects without a row and the remains of killed uploads. Report rows without an object.

    Objects younger than ORPHAN_GRACE_HOURS stay. When most objects have no row, all of them stay, because this is
    probably another portal's store or an empty database; `force` deletes them anyway. Rows without an object stay, and
    each is an error in the log, unless another object has the file's id in its key: then the row names that. `dry_run`
    only looks. `progress` is a config.progress.Progress that counts objects.
    Returns a Reconciliation. One Event records what was deleted or is missing. Raises StoreUnavailable.
    """
    began = timezone.now()
    found, ids, orphans, strays = Reconciliation(), _Ids(), [], []
    for entry in inventory.stored():
        found.objects += 1
        if entry.file_id is not None:
            ids.add(entry.file_id)
        elif entry.upload_id is None:
            if len(strays) < MOST_ORPHANS:
                strays.append((entry.key, entry.size_bytes))
            if entry.modified_at < began - settings.ORPHAN_GRACE:
                found.orphans += 1
                if len(orphans) < MOST_ORPHANS:
                    orphans.append((entry.key, entry.size_bytes))
        if progress:
            progress.advance()
    if not dry_run:
        _adopt(strays, found, ids)
    _report_missing(found, ids, began)
    many = found.orphans > SUSPICIOUS_ORPHANS and found.orphans > ids.count + found.adopted
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


def _adopt(strays, found, ids):
    """Let rows without an object name the one that has their id in its key.

    A database that is restored from a backup knows a file under the key that it had before it was moved.
    """
    store, remaining = get_store(), iter(strays)
    while batch := list(islice(remaining, inventory.BATCH)):
        named = {file_id: stray for stray in batch if (file_id := uploads.file_id_of(stray[0])) and file_id not in ids}
        for file in File.objects.filter(pk__in=list(named)).only("pk", "object_key", "size_bytes"):
            key, size_bytes = named[file.pk]
            if size_bytes != file.size_bytes or store.head(file.object_key):
                continue
            if File.objects.filter(pk=file.pk, object_key=file.object_key).update(object_key=key, next_key=None):
                logger.warning("The bytes of file %s were not at %s but at %s", file.pk, file.object_key, key)
                found.adopted += 1


def _remove(orphans, found):
    store = get_store()
    remaining = iter(orphans)
    while batch := dict(islice(remaining, inventory.BATCH)):
        # Listing the store may take an hour. Keep objects that got a row meanwhile, for example by a restored database.
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
        file = File.objects.select_related("folder", "subfolder").filter(pk=row.pk).first()
        # Ask the store again, and then for the row. A file may be deleted or moved at any time, and its row goes first.
        if file is None or get_store().head(file.object_key):
            continue
        if not File.objects.filter(pk=file.pk, object_key=file.object_key).exists():
            continue
        found.missing_count += 1
        logger.error("File %s of folder %s has no object: %s", file.pk, file.folder.slug, file.object_key)
        if len(found.missing) < MOST_MISSING:
            found.missing.append(file)


def _tell(found):
    facts = {
        "removed": found.removed,
        "removed_bytes": found.removed_bytes,
        "adopted": found.adopted,
        "leftovers": found.leftovers,
        "missing": found.missing_count,
    }
    logger.info("Store and rows compared: %d objects, %s", found.objects, facts)
    if any(facts.values()):
        record(Action.STORE_RECONCILED, **facts, objects=found.objects)


class _Ids:
    """A set of UUIDs that takes 16 bytes for each. Look-ups are fast when they come in the order of the UUIDs."""

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
