"""Where bytes live. One protocol, `ObjectStore`; `get_store()` gives the body the settings name.

A single PUT arrives *staged* and is published by `complete_put`; a multipart upload arrives in parts
and is published by `complete_multipart`. Nothing can be read at a key before it is published, and a
published object is whole. Keys are made by the portal, once per file, and are never given out twice.
"""

import functools
from dataclasses import dataclass
from datetime import datetime
from typing import BinaryIO, Protocol

from django.conf import settings
from django.utils.module_loading import import_string
from django.utils.translation import gettext as _

from config.errors import Refused

from .metering import metered

BLOCK_SIZE = 1024 * 1024
"""Bytes moved at a time, wherever bytes are moved."""


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """What a store knows of an object.

    `etag` is opaque, strong and unquoted. `sha256` (hex) and `crc32` are None where the store never
    saw the bytes in one piece; a multipart upload has no sha256, and on S3 neither is known.
    """

    size_bytes: int
    etag: str
    sha256: str | None
    crc32: int | None
    modified_at: datetime


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """A PUT anybody may send: to `url`, with exactly `headers`, within `expires_in` seconds."""

    url: str
    headers: dict[str, str]
    expires_in: int


@dataclass(frozen=True, slots=True)
class Part:
    """One received part; `etag` is unquoted."""

    part_number: int
    etag: str
    size_bytes: int


class ObjectMissing(Refused):
    """404: there is no such object, or nothing was sent for it."""

    def __init__(self, key):
        super().__init__(404, "object_missing", _("The bytes of this file are not there."))
        self.key = key


class MultipartMissing(Refused):
    """404: the multipart upload was completed, aborted or never made."""

    def __init__(self):
        super().__init__(404, "upload_gone", _("This upload is no longer open."))


class PartsInvalid(Refused):
    """409: `code` is missing_part, wrong_etag, parts_out_of_order or wrong_part_size.

    The upload stays open and can be mended.
    """

    def __init__(self, code, message):
        super().__init__(409, code, message)


class WrongSize(Refused):
    """409: what arrived is not as long as was declared. Sending it again mends it."""

    def __init__(self, *, expected, received):
        super().__init__(
            409,
            "wrong_size",
            _("%(expected)d bytes were announced and %(received)d arrived.")
            % {"expected": expected, "received": received},
        )


class TooLarge(Refused):
    """413: more bytes than were declared or are allowed."""

    def __init__(self, limit):
        super().__init__(413, "too_large", _("At most %(limit)d bytes are accepted here.") % {"limit": limit})


class StoreUnavailable(Refused):
    """503: the disk or the bucket does not do as asked; nothing was changed."""

    def __init__(self, code="store_unavailable", message=None, *, retry_after=30):
        super().__init__(503, code, message or _("The file store does not answer. Try again."), retry_after=retry_after)


class StoreFull(StoreUnavailable):
    """503: no space is left for the bytes."""

    def __init__(self):
        super().__init__("store_full", _("The file store is full. Try again later."), retry_after=300)


class ObjectStore(Protocol):
    """What every store does. Sizes in bytes, `expires_in` in seconds.

    `file_id` is the id of the Upload row that becomes the file's; a store whose URLs the portal
    itself serves asks `uploads.assert_open(file_id)` with it. `base_url` (scheme and host) replaces
    SITE_URL in URLs the portal serves; "" gives a bare path. S3 needs neither.

    `is_remote` is True when signed URLs lead to a server that asks the portal nothing: whoever gets one
    has the bytes. Otherwise they lead to the portal, which asks their rights anew.

    Every call may raise StoreUnavailable; those that write, StoreFull.
    """

    is_remote: bool

    def presign_put(self, key, *, file_id, size_bytes, content_type, expires_in, base_url=None) -> SignedRequest:
        """A URL that takes at most `size_bytes` of this `content_type` (any, when empty) into staging."""

    def received(self, key) -> ObjectInfo | None:
        """What a finished PUT left, staged or already published; None when nothing whole has come."""

    def complete_put(self, key, *, size_bytes=None) -> ObjectInfo:
        """Publish the staged bytes at `key`, at once and whole; again: the same answer, whatever was sent since.

        Raises ObjectMissing when nothing arrived, WrongSize when `size_bytes` is given and differs.
        """

    def discard_put(self, key) -> None:
        """Forget what is staged for `key`; a published object stays."""

    def staged(self):
        """Yield (key, modified_at) of finished PUTs that wait, where a URL takes bytes for a key whatever has
        become of its upload; nothing where the portal serves the URL and looks."""

    def create_multipart(self, key, *, content_type, size_bytes, part_size) -> str:
        """Begin a multipart upload and return its id. Every part but the last holds `part_size` bytes."""

    def presign_part(self, key, upload_id, part_number, *, file_id, size_bytes, expires_in, base_url=None) -> str:
        """A URL that takes at most `size_bytes` as part `part_number` (from 1). A repeated PUT replaces the part."""

    def list_parts(self, key, upload_id) -> list[Part]:
        """The parts received whole, by number. Raises MultipartMissing."""

    def complete_multipart(self, key, upload_id, named, *, size_bytes, part_size) -> ObjectInfo:
        """Publish at `key` what the parts add up to; when `key` is published already: the same answer.

        `named` have `part_number` and `etag` (quoted or not): all of them, ascending. `size_bytes` and
        `part_size` are those of `create_multipart`, for a store that keeps no note of them.
        Raises PartsInvalid (the upload stays open), MultipartMissing.
        """

    def abort_multipart(self, key, upload_id) -> None:
        """Forget the upload and its parts; a second time does nothing."""

    def write(self, key, stream, *, size_limit, content_type="") -> ObjectInfo:
        """Publish what `stream.read(n)` gives, in blocks. Raises TooLarge beyond `size_limit`; then nothing is kept."""

    def head(self, key) -> ObjectInfo | None:
        """What is published at `key`, or None."""

    def open(self, key) -> BinaryIO:
        """A seekable reader, to be closed by the caller. Raises ObjectMissing."""

    def read_range(self, key, start, end):
        """Yield the bytes from `start` up to, not including, `end` in blocks of 1 MiB at most.

        Opens nothing before the first block is asked for. Raises ObjectMissing, and
        StoreUnavailable when the object ends before `end`.
        """

    def delete(self, key) -> None:
        """Remove the object; one that is not there is no error."""

    def list(self, prefix=""):
        """Yield (key, size_bytes, modified_at) of the published objects whose key begins so, in any order."""

    def presign_get(self, key, *, filename, content_type, expires_in, claims, base_url=None) -> str:
        """A URL that gives the bytes as an attachment named `filename`.

        `claims` (JSON values: who asked, by what right) travel signed; a store whose URLs the portal
        serves asks the rights anew with them, S3 has no use for them.
        """

    def expire_after(self, days_by_prefix) -> bool:
        """Let the store itself remove objects older than so many days, by the beginning of their keys, and
        nothing else any more; whether that is news to it. A store that cannot do that does nothing."""

    def sweep(self, *, older_than) -> int:
        """Remove what killed or forgotten uploads left behind before the datetime `older_than`; how many."""


# By name: a portal on S3 loads nothing of the local store, and one without S3 nothing of boto3.
STORES = {"local": "fileshare.storage.local.LocalStore", "s3": "fileshare.storage.s3.S3Store"}


def get_store() -> ObjectStore:
    """The store of the settings, one per process."""
    where = settings.S3_FILESHARE_BUCKET if settings.STORAGE == "s3" else settings.DATA_DIR
    return _store(settings.STORAGE, where)


@functools.lru_cache
def _store(kind, _where):
    return metered(import_string(STORES[kind])).from_settings()
