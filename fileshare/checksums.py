"""The SHA-256 and CRC-32 of files. They are computed when a file is read as a whole, or else by a task."""

import logging
import zlib
from contextlib import suppress
from hashlib import sha256

from django.core.cache import cache

from .models import File
from .storage import ObjectMissing, get_store

logger = logging.getLogger(__name__)

CHECKSUM_LEASE_SECONDS = 3600
"""A worker that reads a file for its checksums keeps other workers away for this long, in case it dies."""
ALTERED_SECONDS = 86_400
"""A file whose bytes were altered since its upload is not read again for this long."""
WAITING_FILES = 1000
"""One run looks at this many files whose checksums are not known."""


def bytes_of(file, start, end, *, blocks=None):
    """Yield the bytes of a file from `start` up to, not including, `end`, in blocks of 1 MiB at most.

    When the caller reads the whole file and its checksums are not known yet, they are stored in its row. If one was
    known and these bytes have another, an error is logged and the row does not change. A caller that has fetched
    these bytes already passes them as `blocks`. Raises ObjectMissing, StoreUnavailable.
    """
    if blocks is None:
        blocks = _stored(file, start, end)
    if (start, end) != (0, file.size_bytes) or (file.sha256 and file.crc32 is not None):
        yield from blocks
        return
    digest, crc = sha256(), 0
    for block in blocks:
        digest.update(block)
        crc = zlib.crc32(block, crc)
        yield block
    if file.sha256 not in ("", digest.hexdigest()) or file.crc32 not in (None, crc):
        logger.error("The bytes of file %s are not those that were uploaded: %s", file.pk, file.object_key)
        return
    file.sha256, file.crc32 = digest.hexdigest(), crc
    File.objects.filter(pk=file.pk).update(sha256=file.sha256, crc32=file.crc32)


def _stored(file, start, end):
    """The bytes of a file, which may have been carried to another key since its row was read."""
    blocks = get_store().read_range(file.object_key, start, end)
    try:
        first = next(blocks, b"")
    except ObjectMissing:
        key = File.objects.filter(pk=file.pk).values_list("object_key", flat=True).first()
        if key in (None, file.object_key):
            raise
        file.object_key = key
        yield from get_store().read_range(key, start, end)
        return
    if first:
        yield first
    yield from blocks


def compute(file):
    """Read a file once for its SHA-256 and CRC-32, and store both.

    Returns whether both are known now. They are not when the bytes are missing or were altered.
    """
    try:
        return _read_through(file)
    except ObjectMissing:
        return False


def _read_through(file):
    for _block in bytes_of(file, 0, file.size_bytes):
        pass
    return bool(file.sha256) and file.crc32 is not None


def crc32_of(file):
    """The CRC-32 of a file; the file is read when it is not known yet. Raises ObjectMissing, StoreUnavailable."""
    if file.crc32 is None:
        file.refresh_from_db(fields=["sha256", "crc32"])
    if file.crc32 is None and not compute(file):
        raise ObjectMissing(file.object_key)
    return file.crc32


def complete(*, limit=20):
    """Read files whose checksums are not known, oldest first. Several workers at once read different files.

    Returns how many files got their checksums, at most `limit`. Files whose bytes are missing or altered do not count.
    An altered file may be large: it is not read again for ALTERED_SECONDS.
    """
    count = 0
    for file in list(File.objects.filter(sha256="").order_by("uploaded_at")[:WAITING_FILES]):
        # Claim the file: a large one takes longer to read than the time until the next run.
        claim = f"checksums-{file.pk}"
        if not cache.add(claim, True, CHECKSUM_LEASE_SECONDS):
            continue
        is_altered = False
        try:
            with suppress(ObjectMissing):
                is_altered = not _read_through(file)
                count += not is_altered
        finally:
            if is_altered:
                cache.set(claim, True, ALTERED_SECONDS)
            else:
                cache.delete(claim)
        if count == limit:
            break
    return count
