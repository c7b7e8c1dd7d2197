"""What lies in the store beside what the rows say, in steps that fit in memory however much it is."""

from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from .models import File, Upload
from .storage import get_store

PREFIX = "files/"
"""Begins the key of every file's object, and of nothing else."""
BATCH = 500


@dataclass(frozen=True, slots=True)
class Stored:
    """An object, and the ids of the rows that bear its key: both None for an orphan.

    `file_size` is what the File's row holds for its size.
    """

    key: str
    size_bytes: int
    modified_at: datetime
    file_id: object = None
    file_size: int | None = None
    upload_id: object = None


def stored():
    """Yield a Stored for each file's object, in the store's own order."""
    objects = iter(get_store().list(PREFIX))
    while batch := list(islice(objects, BATCH)):
        keys = [key for key, _size, _modified in batch]
        # Uploads first: an upload becomes a file in between, never the other way round.
        uploads = dict(Upload.objects.filter(object_key__in=keys).values_list("object_key", "pk"))
        files = {
            key: (pk, size)
            for key, pk, size in File.objects.filter(object_key__in=keys).values_list("object_key", "pk", "size_bytes")
        }
        for key, size, modified in batch:
            yield Stored(key, size, modified, *files.get(key, (None, None)), uploads.get(key))


def in_batches(rows):
    """Yield the rows of a queryset by id, some at a time: no cursor stays open while the caller works."""
    rows = rows.order_by("pk")
    batch = list(rows[:BATCH])
    while batch:
        yield from batch
        batch = list(rows.filter(pk__gt=batch[-1].pk)[:BATCH])
