"""Object stores, which keep the bytes of files.

`ObjectStore` is the protocol; `get_store()` returns the store that the settings name.

A single PUT is first *staged*; `complete_put` publishes it. A multipart upload arrives in parts;
`complete_multipart` publishes it. Nothing can be read at a key before it is published, and a published object is
complete. The portal makes the keys, one for each file, and never uses a key twice.
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
"""The size in bytes of the blocks in which bytes are read and written."""


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """What a store knows of an object.

    `etag` is opaque, strong and unquoted. `sha256` (hex) and `crc32` are None when the store does not know them: the
    local store knows no sha256 of a multipart upload, and with S3 only `write` returns them.
    """

    size_bytes: int
    etag: str
    sha256: str | None
    crc32: int | None
    modified_at: datetime


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """A PUT that every client who has it may send: to `url`, with exactly `headers`, within `expires_in` seconds."""

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
    """404: there is no such object, or no bytes were sent for it."""

    def __init__(self, key):
        super().__init__(404, "object_missing", _("The bytes of this file are not there."))
        self.key = key


class MultipartMissing(Refused):
    """404: the multipart upload was completed, aborted or never begun."""

    def __init__(self):
        super().__init__(404, "upload_gone", _("This upload is no longer open."))


class PartsInvalid(Refused):
    """409: `code` is missing_part, wrong_etag, parts_out_of_order or wrong_part_size.

    The upload stays open: the client can send the parts again.
    """

    def __init__(self, code, message):
        super().__init__(409, code, message)


class WrongOffset(Refused):
    """409: a PUT goes on at another byte of a part than the one that comes next, `begun_bytes`."""

    def __init__(self, begun_bytes):
        text = _("Of this part %(begun)d bytes are there; go on from there.") % {"begun": begun_bytes}
        super().__init__(409, "wrong_offset", text, extra={"begun_bytes": begun_bytes})


class WrongSize(Refused):
    """409: fewer or more bytes arrived than were declared. The client can send them again."""

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
    """503: the disk or the bucket failed; nothing was changed."""

    def __init__(self, code="store_unavailable", message=None, *, retry_after=30):
        super().__init__(503, code, message or _("The file store does not answer. Try again."), retry_after=retry_after)


class StoreFull(StoreUnavailable):
    """503: no space is left for the bytes."""

    def __init__(self):
        super().__init__("store_full", _("The file store is full. Try again later."), retry_after=300)


class ObjectStore(Protocol):
    """What every store does. Sizes in bytes, `expires_in` in seconds.

    `file_id` is the id of the Upload row, which becomes the file's. When the portal itself serves the signed URLs, it
    calls `uploads.assert_open(file_id)` before it takes bytes. `base_url` (scheme and host) replaces SITE_URL in these
    URLs; "" gives a bare path. S3 ignores `file_id` and `base_url`.

    `is_remote` is True when signed URLs lead to another server, which does not ask the portal: every client who has
    such a URL gets the bytes. Otherwise they lead to the portal, which checks the user's rights again.

    Every call may raise StoreUnavailable; those that write, StoreFull.
    """

    is_remote: bool

    def presign_put(self, key, *, file_id, size_bytes, content_type, expires_in, base_url=None) -> SignedRequest:
        """A URL that takes at most `size_bytes` of this `content_type` (any, when empty) into staging."""

    def received(self, key) -> ObjectInfo | None:
        """The ObjectInfo of what a finished PUT left, staged or published already; None when no PUT has finished."""

    def complete_put(self, key, *, size_bytes=None) -> ObjectInfo:
        """Publish the staged bytes at `key` in one step. A second call gives the same answer and ignores later bytes.

        Raises ObjectMissing when nothing arrived, WrongSize when `size_bytes` is given and differs.
        """

    def discard_put(self, key) -> None:
        """Delete what is staged for `key`; a published object stays."""

    def staged(self):
        """Yield (key, modified_at) of finished PUTs that are not published.

        Only a remote store yields any: its URLs take bytes even after the upload has ended. The portal checks the
        upload before it takes bytes at its own URLs.
        """

    def create_multipart(self, key, *, content_type, size_bytes, part_size) -> str:
        """Begin a multipart upload and return its id. Every part except the last has `part_size` bytes."""

    def presign_part(self, key, upload_id, part_number, *, file_id, size_bytes, expires_in, base_url=None) -> str:
        """A URL that takes at most `size_bytes` as part `part_number` (from 1). A repeated PUT replaces the part."""

    def begun_parts(self, key, upload_id) -> dict[int, int] | None:
        """{number of a part: how many of its bytes arrived before its connection was cut}, of parts that are not whole.

        None where the store keeps nothing of such a part, as S3. Raises MultipartMissing.
        """

    def list_parts(self, key, upload_id) -> list[Part]:
        """The parts received completely, ordered by number. Raises MultipartMissing."""

    def complete_multipart(self, key, upload_id, named, *, size_bytes, part_size) -> ObjectInfo:
        """Publish at `key` the object that the parts make. When `key` is published already, the answer is the same.

        `named` are all parts, ascending, each with `part_number` and `etag` (quoted or not). `size_bytes` and
        `part_size` are those given to `create_multipart`: S3 does not store them.
        Raises PartsInvalid (the upload stays open), MultipartMissing.
        """

    def abort_multipart(self, key, upload_id) -> None:
        """Delete the upload and its parts. A second call does nothing."""

    def write(self, key, stream, *, size_limit, content_type="") -> ObjectInfo:
        """Publish the bytes that `stream.read(n)` returns. Beyond `size_limit` raises TooLarge and keeps nothing."""

    def copy(self, source, key, *, moves=False) -> ObjectInfo:
        """Publish at `key` the bytes that are published at `source`. A second call gives the same answer.

        With `moves` the caller deletes `source` afterwards: the store may then let both share their bytes, and the
        new object counts as modified when the old one was. Raises ObjectMissing when there is no `source`.
        """

    def head(self, key) -> ObjectInfo | None:
        """The ObjectInfo of what is published at `key`, or None."""

    def open(self, key) -> BinaryIO:
        """A seekable reader, which the caller must close. Raises ObjectMissing."""

    def read_range(self, key, start, end):
        """Yield the bytes from `start` up to, not including, `end` in blocks of at most 1 MiB.

        Opens the object only when the caller asks for the first block. Raises ObjectMissing, and
        StoreUnavailable when the object ends before `end`.
        """

    def delete(self, key) -> None:
        """Delete the object. A missing object is no error."""

    def list(self, prefix=""):
        """Yield (key, size_bytes, modified_at) of the published objects whose key begins with `prefix`, unordered."""

    def presign_get(self, key, *, filename, content_type, expires_in, claims, base_url=None) -> str:
        """A URL that gives the bytes as an attachment named `filename`.

        `claims` (JSON values: who asked, and by what right) are signed into URLs that the portal serves, which checks
        the rights with them again. S3 does not use them.
        """

    def expire_after(self, days_by_prefix) -> bool:
        """Have the store itself delete objects older than `days_by_prefix` says: {beginning of the key: days}.

        This replaces the portal's earlier rules. Returns True when the rules changed. A store that has no such
        rules does nothing.
        """

    def sweep(self, *, older_than) -> int:
        """Delete what killed or forgotten uploads left before the datetime `older_than`. Returns how many."""


# Names, not classes: so a portal on S3 does not load the local store, and a portal without S3 does not load boto3.
STORES = {"local": "fileshare.storage.local.LocalStore", "s3": "fileshare.storage.s3.S3Store"}


def get_store() -> ObjectStore:
    """The store that the settings name; one object for each process."""
    where = settings.S3_FILESHARE_BUCKET if settings.STORAGE == "s3" else settings.DATA_DIR
    return _store(settings.STORAGE, where)


@functools.lru_cache
def _store(kind, _where):
    return metered(import_string(STORES[kind])).from_settings()
