"""Restore a backup."""

from dataclasses import dataclass, field

from django.db import transaction
from django.utils.translation import gettext as _

from accounts.models import User
from config.outside import statistics
from config.progress import Progress

from . import BackupRefused, dump, objects, shelf


@dataclass(slots=True)
class Restored:
    """The result: rows loaded, objects restored, and (key, what is wrong) of the objects that are still wrong."""

    rows: int = 0
    copied: int = 0
    wrong: list[tuple[str, str]] = field(default_factory=list)


def restore(*, place, which, replace=False, only_objects=False, stream):
    """Restore the portal to the state of the backup `which` (a stamp or `latest`) in the Shelf `place`.

    First it loads the rows, all or none. Then it restores each missing object from the copies beside the backup, if
    there are any. When it is killed, call it again; use `only_objects` when the rows are loaded already. Returns
    Restored. Raises BackupRefused when the database has users and `replace` is False, when the dump is damaged, or when
    its tables are not those of this portal; then the database has not changed.
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
            rows = sum(dump.load(database, progress=progress).values())
    statistics.refresh()
    return rows
