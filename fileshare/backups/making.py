"""Make a backup while the portal is running."""

import io
import json
import logging
import time
from contextlib import ExitStack
from dataclasses import dataclass, field

from django.conf import settings

from config.progress import Progress
from config.watch import metrics

from . import dump, objects, shelf

logger = logging.getLogger(__name__)
MAX_NAMED = 100
"""At most this many keys of missing or altered objects are named."""


@dataclass(slots=True)
class Made:
    """A complete backup. `faults`: the first MAX_NAMED keys of objects whose bytes are missing or altered."""

    stamp: str
    place: str
    summary: dict
    pruned: list[str]
    faults: list[str] = field(default_factory=list)


def make(*, to=None, keep=None, with_objects=True, stream):
    """Back up to the folder `to` ("": the object store; None: BACKUP_TO), then prune to `keep` (None: BACKUP_KEEP).

    The backup contains everything that was committed before the call. A folder also gets copies of the objects that it
    does not have yet, unless `with_objects` is False. Progress is written to the text stream `stream`. Returns Made.
    Raises BackupRefused, StoreUnavailable; then the unfinished backup has no summary, and a later run prunes it.
    """
    place = shelf.open_shelf(settings.BACKUP_TO if to is None else to)
    with ExitStack() as stack:
        stack.enter_context(shelf.one_at_a_time())
        stamp = place.new_stamp()
        database, listed, manifest = (stack.enter_context(objects.temporary_file()) for _each in range(3))
        with dump.snapshot() as using:
            with Progress(stream, "Database", unit="rows") as progress:
                header, rows = dump.write(database, using=using, progress=progress)
            count, _size_bytes = objects.list_rows(listed, using=using)
        made = Made(stamp, place.name, {}, [])
        totals = {"objects": 0, "bytes": 0, "missing": 0, "copied": 0}
        with Progress(stream, "Objects", total=count, unit="objects") as progress:
            copies = place if with_objects and place.holds_copies else None
            objects.write_manifest(manifest, _entries(listed, copies, totals, made.faults, progress))
        made.summary |= {
            **header,
            "stamp": stamp,
            "rows": rows,
            **totals,
            "with_copies": copies is not None,
            "database": place.put(stamp, shelf.DATABASE, database),
            "manifest": place.put(stamp, shelf.MANIFEST, manifest),
        }
        place.put(stamp, shelf.SUMMARY, io.BytesIO(json.dumps(made.summary, indent=1).encode()))
        made.pruned += place.prune(keep=keep or settings.BACKUP_KEEP)
    metrics.remember("backup_made_at", time.time())
    logger.info("Backup %s is in %s: %d rows, %d objects", stamp, place.name, sum(rows.values()), totals["objects"])
    return made


def _entries(listed, copies, totals, faults, progress):
    """Yield the entries for the backup's manifest, and count the results in `totals` and `faults`."""
    for entry in objects.read_manifest(listed):
        if copies:
            entry, copied = objects.copy_out(entry, copies.store)
            totals["copied"] += copied
            # An object that was deleted since the snapshot is not a fault.
            if entry.missing and objects.is_named(entry.key):
                logger.error("The bytes of %s are missing, or not those that were uploaded", entry.key)
                if len(faults) < MAX_NAMED:
                    faults.append(entry.key)
        totals["objects"] += 1
        totals["bytes"] += entry.size_bytes or 0
        totals["missing"] += entry.missing
        progress.advance()
        yield entry
