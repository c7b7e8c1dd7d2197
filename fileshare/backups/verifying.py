"""Check that the store contains the bytes that the database says."""

from django.db import DEFAULT_DB_ALIAS

from config.progress import Progress

from . import objects


def verify(*, quick=False, stream):
    """Yield (key, what is wrong) for each file and picture whose bytes are missing, too short, too long or altered.

    It reads all bytes and compares them with the checksums of the row. With `quick` it compares only the sizes. A file
    that is deleted meanwhile is not reported. It changes nothing. Progress is written to the text stream `stream`.
    """
    with objects.temporary_file() as file:
        count, size_bytes = objects.list_rows(file, using=DEFAULT_DB_ALIAS)
        total, unit = (count, "objects") if quick else (size_bytes, "bytes")
        with Progress(stream, "Verifying", total=total, unit=unit) as progress:
            for entry, fault in objects.faults(objects.read_manifest(file), read=not quick, progress=progress):
                if objects.is_named(entry.key):
                    yield entry.key, fault
