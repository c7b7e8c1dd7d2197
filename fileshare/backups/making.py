"""Make a backup while the portal goes on."""

import io
import json
import logging
import time
from contextlib import ExitStack
from dataclasses import dataclass, field

from django.conf import settings

from config import metrics
from config.progress import Progress

from . import dump, objects, shelf

logger = logging.getLogger(__name__)
MAX_NAMED = 100
"""So many keys of objects that are not as their rows say are told one by one."""


@dataclass(slots=True)
class Made:
    """A complete backup. `faults`: keys, the first hundred, whose bytes the portal does not have though it should."""

    stamp: str
    place: str
    summary: dict
    pruned: list[str]
    faults: list[str] = field(default_factory=list)


def make(*, to=None, keep=None, with_objects=True, stream):
    """Back up to the folder `to` ("": the object store; None: BACKUP_TO), then prune to `keep` (None: BACKUP_KEEP).

    Everything committed before the call is in it. With a folder, objects that have no copy there yet are
    copied unless `with_objects` is False. Progress goes to the text stream `stream`. Returns Made. Raises
    BackupRefused, StoreUnavailable; then what was begun has no summary and is pruned another day.
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
    """The entries as the backup is to list them; into `totals` and `faults` goes what came of each."""
    for entry in objects.read_manifest(listed):
        if copies:
            entry, copied = objects.copy_out(entry, copies.store)
            totals["copied"] += copied
            # What was deleted since the snapshot is missing by right.
            if entry.missing and objects.is_named(entry.key):
                logger.error("The bytes of %s are missing, or not those that were uploaded", entry.key)
                if len(faults) < MAX_NAMED:
                    faults.append(entry.key)
        totals["objects"] += 1
        totals["bytes"] += entry.size_bytes or 0
        totals["missing"] += entry.missing
        progress.advance()
        yield entry
