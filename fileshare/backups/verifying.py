"""Does the store hold what the rows say?"""

from django.db import DEFAULT_DB_ALIAS

from config.progress import Progress

from . import objects


def verify(*, quick=False, stream):
    """Yield (key, what is wrong) for each file and picture whose bytes are missing, too short or long, or altered.

    Every byte is read and compared with the checksums of the row, unless `quick`. What is deleted
    meanwhile is not wrong. Changes nothing; progress goes to the text stream `stream`.
    """
    with objects.temporary_file() as file:
        count, size_bytes = objects.list_rows(file, using=DEFAULT_DB_ALIAS)
        total, unit = (count, "objects") if quick else (size_bytes, "bytes")
        with Progress(stream, "Verifying", total=total, unit=unit) as progress:
            for entry, fault in objects.faults(objects.read_manifest(file), read=not quick, progress=progress):
                if objects.is_named(entry.key):
                    yield entry.key, fault
