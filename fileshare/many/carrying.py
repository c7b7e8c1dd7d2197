"""Bring the bytes of moved files to keys under their new folder.

A key names its folder, and a bucket may delete by that beginning of a key; so bytes do not stay under another folder's
name. A move changes the rows at once and gives each a `next_key`, a key that was never used. Then, for each file: the
store copies the bytes to it, one conditional UPDATE lets the row name it, and after the commit the old object goes.

Killed at any point, the row names an object that is whole, and the next run does the rest. An object at a `next_key`
belongs to its file; one that no row names is found by `reconcile`. Until the bytes are carried, the bucket keeps them
for as long as the file (`fileshare.upkeep.lifecycle` reads rows and keys); the rule of the old folder deletes nothing
that the portal itself would not have deleted DAYS_BEHIND days before.
"""

import logging

from django.db import transaction

from fileshare.models import File
from fileshare.storage import ObjectMissing, StoreUnavailable, get_store

logger = logging.getLogger(__name__)

BATCH = 500
PATIENCE = 3


def carry_all():
    """Carry the bytes of all files that were moved. Several workers may run it at once. Returns how many it carried.

    A file that the store fails for waits for the next run, and the others go on. Raises StoreUnavailable when the store
    fails PATIENCE times in a row.
    """
    count, failures, last = 0, 0, None
    while batch := list(_waiting(last)[:BATCH]):
        for file in batch:
            try:
                count += _carry(file)
                failures = 0
            except StoreUnavailable:
                failures += 1
                logger.warning("The store failed for file %s, which was moved", file.pk)
                if failures == PATIENCE:
                    raise
        last = batch[-1].pk
    return count


def _waiting(after):
    facts = ("pk", "object_key", "next_key", "size_bytes", "sha256", "crc32")
    rows = File.objects.to_carry().only(*facts).order_by("pk")
    return rows if after is None else rows.filter(pk__gt=after)


def _carry(file):
    """Carry one file. Returns whether it was done here."""
    store = get_store()
    try:
        store.copy(file.object_key, file.next_key, moves=True)
    except ObjectMissing:
        # Another worker has carried it, or the file is gone, or a worker was killed behind its copy and the old object
        # went since then. Else its bytes are lost, which `reconcile` reports.
        if not _is_there(file, store.head(file.next_key)):
            return False
    if _switch(file):
        return True
    # The file was moved again or deleted meanwhile, or another worker was faster: then a row names the new object.
    if not File.objects.named_by([file.next_key]).exists():
        store.delete(file.next_key)
    return False


def _is_there(file, info):
    """Whether the object with this ObjectInfo, or None, has the file's bytes, as far as both are known."""
    return (
        info is not None
        and info.size_bytes == file.size_bytes
        and (not info.sha256 or file.sha256 in ("", info.sha256))
        and (info.crc32 is None or file.crc32 in (None, info.crc32))
    )


@transaction.atomic
def _switch(file):
    """Let the row name the new object. False when the row has changed meanwhile."""
    rows = File.objects.filter(pk=file.pk, object_key=file.object_key, next_key=file.next_key)
    if not rows.update(object_key=file.next_key, next_key=None):
        return False
    transaction.on_commit(lambda: get_store().delete(file.object_key), robust=True)
    return True
