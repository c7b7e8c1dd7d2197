"""Compare the objects of the store with the rows, in batches, so that memory use does not grow with the store."""

from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from fileshare.models import File, Upload
from fileshare.storage import get_store

PREFIX = "files/"
"""The keys of all files' objects begin with this, and no other keys do."""
BATCH = 500


@dataclass(frozen=True, slots=True)
class Stored:
    """An object, and the ids of the File and the Upload with its key. Both ids are None for an orphan.

    While the bytes of a moved file are carried to another key, it may have two objects.

    `file_size` is the size in the File's row.
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
        # Read uploads before files. An upload may become a file between the two queries; in the other order, its object
        # would be in neither answer and look like an orphan.
        uploads = dict(Upload.objects.filter(object_key__in=keys).values_list("object_key", "pk"))
        files = {}
        rows = File.objects.named_by(keys).values_list("pk", "size_bytes", "object_key", "next_key")
        for pk, size, *named in rows:
            files |= dict.fromkeys(named, (pk, size))
        for key, size, modified in batch:
            yield Stored(key, size, modified, *files.get(key, (None, None)), uploads.get(key))


def in_batches(rows):
    """Yield the rows of a queryset by id, in batches, so that no cursor stays open while the caller works."""
    rows = rows.order_by("pk")
    batch = list(rows[:BATCH])
    while batch:
        yield from batch
        batch = list(rows.filter(pk__gt=batch[-1].pk)[:BATCH])
