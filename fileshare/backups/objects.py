"""The objects that a backup's rows name: list them with their checksums, check them and copy them.

A manifest is gzipped lines of JSON, one for each object, in the order of the keys. So a list of any length can be
compared with a store's listing in one pass. The profile pictures of users are in the media storage; their keys begin
with `media/`, and their size and checksum are known only after they are copied.
"""

import gzip
import json
import zlib
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from tempfile import TemporaryFile

from django.conf import settings
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import connection
from django.db.models.functions import Collate
from django.utils.translation import gettext as _

from accounts.models import User

from ..incoming import uploads
from ..models import File
from ..storage import ObjectMissing, TooLarge, get_store
from . import BackupRefused

MEDIA = "media/"
FILES = "files/"
# The stores list keys in the order of their bytes. The database must sort in the same order, whatever its language.
BY_BYTES = {"postgresql": "C", "sqlite": "BINARY"}


@dataclass(frozen=True, slots=True)
class Entry:
    """One object. Unknown: `size_bytes` and `crc32` are None, `sha256` is "". `missing`: its bytes were not there."""

    key: str
    size_bytes: int | None = None
    sha256: str = ""
    crc32: int | None = None
    content_type: str = ""
    missing: bool = False


def write_manifest(stream, entries):
    """Write the entries to the binary `stream`."""
    with gzip.GzipFile(fileobj=stream, mode="wb", mtime=0) as lines:
        for entry in entries:
            lines.write(json.dumps(asdict(entry)).encode() + b"\n")


def read_manifest(stream):
    """Yield the entries of a manifest. Raises BackupRefused for a line that does not name an object of the portal."""
    with gzip.GzipFile(fileobj=stream, mode="rb") as lines:
        for line in lines:
            try:
                entry = Entry(**json.loads(line))
                # Allow only these prefixes: a person who can write to the backup folder must not choose other targets.
                known = entry.key.startswith((FILES, MEDIA))
            except (ValueError, TypeError, AttributeError):
                known = False
            if not known:
                raise BackupRefused(_("The manifest names something that is no file of the portal's."))
            yield entry


def list_rows(file, *, using):
    """Write a manifest of all files and pictures in the rows of the alias `using` to `file`, and rewind it.

    The caller then checks their bytes, which may take hours: no query must stay open for so long. Returns (how many,
    their bytes).
    """
    count = size_bytes = 0

    def counted():
        nonlocal count, size_bytes
        for entry in _rows(using):
            count += 1
            size_bytes += entry.size_bytes or 0
            yield entry

    write_manifest(file, counted())
    file.seek(0)
    return count, size_bytes


def _rows(using):
    collation = BY_BYTES[connection.vendor]
    facts = ("object_key", "size_bytes", "sha256", "crc32", "content_type")
    files = File.objects.using(using).order_by(Collate("object_key", collation)).values_list(*facts)
    for row in files.iterator():
        yield Entry(*row)
    users = User.objects.using(using).exclude(avatar="").order_by(Collate("avatar", collation))
    for name in users.values_list("avatar", flat=True).iterator():
        yield Entry(MEDIA + name)


def temporary_file():
    """A binary file without a name that is deleted when it is closed, in the folder for temporary form uploads."""
    return TemporaryFile(dir=settings.FILE_UPLOAD_TEMP_DIR)


# --- Looking ----------------------------------------------------------------------------------------


def faults(entries, *, read, progress):
    """Yield (entry, what is wrong) for each object that is missing here or has another size.

    With `read`, it also reads the bytes and compares them with the checksums of the entry, if it has any. Then
    `progress` counts bytes, else objects.
    """
    # List the store once instead of asking it for each object. Ask only for objects that the listing does not contain.
    listing = iter(get_store().list(FILES))
    at = next(listing, None)
    for entry in entries:
        while at is not None and at[0] < entry.key:
            at = next(listing, None)
        size_bytes = at[1] if at is not None and at[0] == entry.key else _size(entry.key)
        fault = None
        if size_bytes is None:
            fault = _("its bytes are missing")
        elif entry.size_bytes not in (None, size_bytes):
            fault = _("it has %(found)d bytes instead of %(expected)d") % {
                "found": size_bytes,
                "expected": entry.size_bytes,
            }
        elif read:
            fault = _altered(entry, size_bytes, progress)
        if not read:
            progress.advance()
        if fault:
            yield entry, fault


def is_named(key):
    """Whether a row names the object at present."""
    if key.startswith(MEDIA):
        return User.objects.filter(avatar=key.removeprefix(MEDIA)).exists()
    return File.objects.filter(object_key=key).exists()


def _size(key):
    if key.startswith(MEDIA):
        name = key.removeprefix(MEDIA)
        return default_storage.size(name) if default_storage.exists(name) else None
    info = get_store().head(key)
    return info and info.size_bytes


def _altered(entry, size_bytes, progress):
    if not entry.sha256 and entry.crc32 is None:
        progress.advance(entry.size_bytes or 0)
        return None
    digest, crc32 = sha256(), 0
    try:
        for block in get_store().read_range(entry.key, 0, size_bytes):
            digest.update(block)
            crc32 = zlib.crc32(block, crc32)
            progress.advance(len(block))
    except ObjectMissing:
        return _("its bytes are missing")
    right = entry.sha256 in ("", digest.hexdigest()) and entry.crc32 in (None, crc32)
    return None if right else _("its bytes are not those that were uploaded")


# --- Copying ----------------------------------------------------------------------------------------


def copy_out(entry, folder):
    """Copy the object to the folder's store unless it has a whole copy. Returns the entry and whether it was copied.

    The bytes of a key never change, so a whole copy stays valid. Those of a file that was moved since the rows were
    read come from its new key, and are copied to the one that the rows name. The returned entry has the size and
    checksums of the copy. It is marked `missing` when the portal's bytes are missing or are not those of the row.
    """
    info = folder.head(entry.key)
    if info is not None and _fits(entry, info):
        return _as_copied(entry, info), False
    try:
        with closing(_open_where_it_is(entry.key)) as stream:
            limit = settings.MAX_AVATAR_BYTES if entry.size_bytes is None else entry.size_bytes
            info = folder.write(entry.key, stream, size_limit=limit)
    except (ObjectMissing, FileNotFoundError, TooLarge):
        return replace(entry, missing=True), False
    if not _fits(entry, info):
        folder.delete(entry.key)
        return replace(entry, missing=True), False
    return _as_copied(entry, info), True


def copy_back(entry, folder):
    """Copy the object from the folder back to the portal's storage. Returns False when there is no whole copy."""
    found = folder.head(entry.key)
    if found is None or not _fits(entry, found):
        return False
    with folder.open(entry.key) as stream:
        if entry.key.startswith(MEDIA):
            picture, name = stream.read(), entry.key.removeprefix(MEDIA)
            if entry.sha256 not in ("", sha256(picture).hexdigest()):
                return False
            default_storage.delete(name)
            default_storage.save(name, ContentFile(picture))
            return True
        store = get_store()
        info = store.write(entry.key, stream, size_limit=found.size_bytes, content_type=entry.content_type)
        if _fits(entry, info):
            return True
        store.delete(entry.key)
        return False


def _open(key):
    return default_storage.open(key.removeprefix(MEDIA)) if key.startswith(MEDIA) else get_store().open(key)


def _open_where_it_is(key):
    try:
        return _open(key)
    except ObjectMissing:
        moved_to = File.objects.filter(pk=uploads.file_id_of(key)).values_list("object_key", flat=True).first()
        if moved_to in (None, key):
            raise
        return _open(moved_to)


def _fits(entry, info):
    return (
        entry.size_bytes in (None, info.size_bytes)
        and entry.sha256 in ("", info.sha256)
        and entry.crc32 in (None, info.crc32)
    )


def _as_copied(entry, info):
    return replace(entry, size_bytes=info.size_bytes, sha256=info.sha256, crc32=info.crc32)
