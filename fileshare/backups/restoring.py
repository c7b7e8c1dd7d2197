"""Put a backup back."""

from dataclasses import dataclass, field

from django.db import transaction
from django.utils.translation import gettext as _

from accounts.models import User
from config.progress import Progress

from . import BackupRefused, dump, objects, shelf


@dataclass(slots=True)
class Restored:
    """What came of it: rows loaded, objects put back, and (key, what is wrong) of those that are still not there."""

    rows: int = 0
    copied: int = 0
    wrong: list[tuple[str, str]] = field(default_factory=list)


def restore(*, place, which, replace=False, only_objects=False, stream):
    """Make the portal what it was when the backup `which` (a stamp or `latest`) in the Shelf `place` was made.

    First the rows, all or none of them; then each object that is missing, from the copies beside the
    backup, where it has some. Killed at any point it may be called again, with `only_objects` once the
    rows are there. Returns Restored. Raises BackupRefused when the database has users and not `replace`,
    for a damaged dump, and for one of other tables; then nothing has changed.
    """
    done = Restored()
    with shelf.one_at_a_time():
        stamp, summary = place.find(which)
        with place.fetched(stamp, shelf.MANIFEST, summary["manifest"]) as manifest:
            if not only_objects:
                with place.fetched(stamp, shelf.DATABASE, summary["database"]) as database:
                    done.rows = _load(database, summary, replace, stream)
            with Progress(stream, "Objects", total=summary["objects"], unit="objects") as progress:
                for entry, fault in objects.faults(objects.read_manifest(manifest), read=False, progress=progress):
                    if place.holds_copies and objects.copy_back(entry, place.store):
                        done.copied += 1
                    else:
                        done.wrong.append((entry.key, fault))
    return done


def _load(database, summary, replace, stream):
    dump.check(summary)
    total = sum(summary["rows"].values())
    with transaction.atomic():
        if not replace and User.objects.exists():
            raise BackupRefused(_("The database has users. To replace everything in it, add --replace."))
        with Progress(stream, "Database", total=total, unit="rows") as progress:
            return sum(dump.load(database, progress=progress).values())
