"""The object store on the portal's own disk: ObjectStore on top of local_files."""

import contextlib
import errno
import fcntl
import hashlib
import os
import re
import secrets
import shutil

from django.conf import settings

from config.errors import Refused

from . import (
    BLOCK_SIZE,
    MultipartMissing,
    ObjectInfo,
    ObjectMissing,
    Part,
    SignedRequest,
    StoreUnavailable,
    TooLarge,
    WrongOffset,
    WrongSize,
    crc,
    disk,
    parts,
    signing,
)
from .body_files import BodyFile
from .digests import Digests
from .local_files import LocalFiles, checked_key, sidecar_of
from .part_writer import Pace, PartWriter, begun_of

_UPLOAD_ID = re.compile(r"[0-9a-f]{32}")
_NO_LINKS = {errno.EPERM, errno.EXDEV, errno.EMLINK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS}
"""Errors of a disk on which a file cannot have a second name."""


class LocalStore(LocalFiles):
    """ObjectStore in a folder; several processes may share it.

    With `fsync` off, a power cut may lose the bytes that were acknowledged last; a killed process still loses none.
    `body_files` is the folder where a proxy writes bodies (BodyFile), or "": `sweep` cleans it too.
    """

    is_remote = False

    def __init__(self, root, *, fsync=True, body_files=""):
        super().__init__(root, fsync=fsync)
        self._body_files = body_files

    @classmethod
    def from_settings(cls):
        return cls(settings.DATA_DIR / "store", fsync=settings.STORE_FSYNC, body_files=settings.BODY_FILE_DIR)

    # --- Single PUT -----------------------------------------------------------------------------

    def presign_put(self, key, *, file_id, size_bytes, content_type, expires_in, base_url=None):
        claims = {"key": checked_key(key), "file": str(file_id), "size": size_bytes, "type": content_type}
        token = signing.sign("put", claims, expires_in=expires_in)
        headers = {"Content-Type": content_type} if content_type else {}
        return SignedRequest(signing.url(token, base_url=base_url), headers, expires_in)

    def receive_put(self, key, stream, *, size_limit, content_type="", before_publish=None):
        """Stage the bytes that `stream.read(n)` returns, in place of what was staged for `key`. Returns the ObjectInfo.

        `before_publish` is called when all bytes have arrived; it may raise to refuse them. Raises TooLarge beyond
        `size_limit`. Any error leaves what was staged before untouched. A BodyFile on the store's disk is moved, not
        copied.
        """
        staged = self._staged_path(key)
        if not isinstance(stream, BodyFile):
            with disk.refusing():
                self._require_space(size_limit)
        with disk.refusing(), self._spool(staged, stream, size_limit=size_limit) as (temporary, info):
            if before_publish:
                before_publish()
            with self._lock(key):
                disk.write_json(staged + ".json", sidecar_of(temporary, info, content_type))
                os.rename(temporary, staged + ".data")
            self._sync_folder(self._staged)
        return info

    def received(self, key):
        staged = self._staged_path(key)
        with disk.refusing():
            return self.head(key) or self._info(staged + ".data", staged + ".json")

    def complete_put(self, key, *, size_bytes=None):
        staged = self._staged_path(key)
        with disk.refusing(), self._lock(key):
            # Keep a published object: bytes sent after it was published have not been inspected.
            published = self.head(key)
            arrived = published or self._info(staged + ".data", staged + ".json")
            if arrived is None:
                raise ObjectMissing(key)
            if size_bytes is not None and arrived.size_bytes != size_bytes:
                raise WrongSize(expected=size_bytes, received=arrived.size_bytes)
            if published is None:
                self._publish(staged + ".data", key, disk.read_json(staged + ".json"))
            disk.remove(staged + ".data")
            disk.remove(staged + ".json")
        return arrived

    def discard_put(self, key):
        staged = self._staged_path(key)
        with disk.refusing(), self._lock(key):
            disk.remove(staged + ".data")
            disk.remove(staged + ".json")
            self._tidy(key)

    def staged(self):
        return ()

    # --- Multipart ------------------------------------------------------------------------------

    def create_multipart(self, key, *, content_type, size_bytes, part_size):
        if size_bytes < 1 or part_size < 1:
            raise ValueError("A multipart upload has a size and a part size.")
        upload_id = secrets.token_hex(16)
        folder = os.path.join(self._multipart, upload_id)
        manifest = {"key": checked_key(key), "size": size_bytes, "part_size": part_size, "content_type": content_type}
        with disk.refusing():
            self._require_space(size_bytes)
            try:
                os.makedirs(os.path.join(folder, "parts"), mode=0o750)
                # A sparse file of the full size: each part is written at its place, so that completing moves no bytes.
                with disk.opened(os.path.join(folder, "data"), os.O_RDWR | os.O_CREAT | os.O_EXCL) as data:
                    os.ftruncate(data, size_bytes)
                    self._sync(data)
                disk.write_json(os.path.join(folder, "manifest.json"), manifest, sync=self._sync)
                self._sync_folder(folder)
                self._sync_folder(self._multipart)
            except BaseException:
                shutil.rmtree(folder, ignore_errors=True)
                raise
        return upload_id

    def presign_part(self, key, upload_id, part_number, *, file_id, size_bytes, expires_in, base_url=None):
        claims = {"key": checked_key(key), "file": str(file_id), "size": size_bytes, "id": upload_id, "n": part_number}
        return signing.url(signing.sign("part", claims, expires_in=expires_in), base_url=base_url)

    def receive_part(self, key, upload_id, part_number, stream, *, size_limit, span=None, before_publish=None):
        """Write a part to its place in the file and record it. Returns the Part.

        A PUT of the whole part first removes the part's record. So if it fails, the part counts as missing; what
        arrived of it is kept, and another PUT may go on there. It then has a `span`, (start, end), of the part's bytes;
        end is exclusive. Unless that ends with the part, returns None, and there is more to come.

        Raises TooLarge beyond `size_limit`, the span, or the part's own size, WrongOffset, PartBusy, PartTakenOver,
        MultipartMissing, and what `stream` raises.
        """
        with disk.refusing():
            folder, manifest = self._open_upload(key, upload_id)
            expected = parts.size_of(part_number, size_bytes=manifest["size"], part_size=manifest["part_size"])
            start, end = span or (0, expected)
            limit = min(size_limit, expected, end)
            with PartWriter(folder, part_number) as writer:
                size, crc32 = writer.begun() if span else (0, 0)
                if size != start:
                    raise WrongOffset(size)
                if not start:
                    writer.forget_record(self._sync_folder)
                offset = (part_number - 1) * manifest["part_size"]
                size, crc32 = self._receive_rest(writer, stream, offset, size, crc32, limit)
                if before_publish:
                    before_publish()
                if end < expected:
                    writer.note_begun(size, crc32, self._sync)
                    return None
                self._sync(writer.data)
                # The ETag is random, so it identifies this one PUT. A SHA-256 of the part would cost time and could
                # not be combined into that of the whole file.
                etag = f"{crc32:08x}{secrets.token_hex(12)}"
                writer.record({"size": size, "etag": etag, "crc32": crc32})
        return Part(part_number, etag, size)

    def _receive_rest(self, writer, stream, offset, size, crc32, limit):
        """Write the rest of a part, of which `size` bytes are there. Returns (size, CRC-32) of the whole part.

        Notes what has arrived when the stream breaks, and now and then before.
        """
        pace = Pace()
        before, before_crc = size, crc32
        with Digests(sha256=False) as digests:

            def so_far():
                return crc.combine(before_crc, digests.finish()[1], size - before)

            try:
                while block := stream.read(pace.block_size):
                    if size + len(block) > limit:
                        raise TooLarge(limit)
                    digests.update(block)
                    writer.write(block, offset + size)
                    size += len(block)
                    if pace.is_time_to_note():
                        writer.note_begun(size, so_far(), self._sync)
            except Refused as refusal:
                if refusal.status in (400, 408) and size > before:  # the connection broke, or its bytes came too slowly
                    writer.note_begun(size, so_far(), self._sync)
                raise
            return size, so_far()

    def begun_parts(self, key, upload_id):
        with disk.refusing():
            folder, _manifest = self._open_upload(key, upload_id)
            found = {}
            for entry in disk.entries(os.path.join(folder, "parts")):
                number, _dot, kind = entry.name.partition(".")
                if kind == "begun":
                    found[int(number)] = begun_of(entry.path)[0]
        return {number: size for number, size in found.items() if size}

    def list_parts(self, key, upload_id):
        with disk.refusing():
            folder, manifest = self._open_upload(key, upload_id)
            records = _records(folder, manifest)
        return _parts(records)

    def complete_multipart(self, key, upload_id, named, *, size_bytes, part_size):
        with disk.refusing():
            try:
                folder, manifest = self._open_upload(key, upload_id)
                with disk.locked(os.path.join(folder, "lock"), fcntl.LOCK_EX):
                    return self._complete_multipart(key, folder, manifest, list(named))
            except (MultipartMissing, FileNotFoundError):
                if published := self.head(key):
                    return published
                raise MultipartMissing from None

    def _complete_multipart(self, key, folder, manifest, named):
        data = os.path.join(folder, "data")
        found = os.stat(data)  # do this first: it raises FileNotFoundError once the file has been published
        records = _records(folder, manifest)
        parts.check(named, _parts(records), size_bytes=manifest["size"], part_size=manifest["part_size"])
        crc32 = 0
        for record in records.values():
            crc32 = crc.combine(crc32, record["crc32"], record["size"])
        etags = hashlib.sha256("".join(record["etag"] for record in records.values()).encode()).hexdigest()
        if found.st_size != manifest["size"]:
            raise StoreUnavailable
        info = ObjectInfo(found.st_size, f"{etags[:32]}-{len(records)}", None, crc32, disk.modified_at(found))
        with self._lock(key):
            self._publish(data, key, sidecar_of(data, info, manifest["content_type"]))
        # Remove the folder while the upload's lock is held, so that no connection that sends a part can use it again.
        shutil.rmtree(folder, ignore_errors=True)
        return info

    def abort_multipart(self, key, upload_id):
        if not _UPLOAD_ID.fullmatch(upload_id):
            return
        folder = os.path.join(self._multipart, upload_id)
        with disk.refusing(), contextlib.suppress(FileNotFoundError):
            manifest = disk.read_json(os.path.join(folder, "manifest.json"))
            if manifest and manifest["key"] != key:
                return
            with disk.locked(os.path.join(folder, "lock"), fcntl.LOCK_EX):
                shutil.rmtree(folder, ignore_errors=True)
            with self._lock(key):
                self._tidy(key)

    def _open_upload(self, key, upload_id):
        """(folder, manifest) of an open multipart upload of `key`. Raises MultipartMissing."""
        if not _UPLOAD_ID.fullmatch(upload_id):
            raise MultipartMissing
        folder = os.path.join(self._multipart, upload_id)
        manifest = disk.read_json(os.path.join(folder, "manifest.json"))
        if manifest is None or manifest["key"] != key:
            raise MultipartMissing
        return folder, manifest

    # --- Published objects ----------------------------------------------------------------------

    def write(self, key, stream, *, size_limit, content_type=""):
        staged = self._staged_path(key)
        with (
            disk.refusing(),
            self._spool(staged, stream, size_limit=size_limit) as (temporary, info),
            self._lock(key),
        ):
            self._publish(temporary, key, sidecar_of(temporary, info, content_type))
        return info

    def copy(self, source, key, *, moves=False):
        with disk.refusing(), self.open(source) as stream:
            size_bytes = os.fstat(stream.fileno()).st_size
            sidecar = disk.read_json(self._path(self._meta, source) + ".json") or {}
            if moves and (info := self._linked(source, key, sidecar)):
                return info
            return self.write(key, stream, size_limit=size_bytes, content_type=sidecar.get("content_type", ""))

    def _linked(self, source, key, sidecar):
        """Let the file of `source` have the name `key` too. Returns the ObjectInfo; None on a disk without such links.

        A file that is at `key` already is that very file: a process died after it had made the link.
        """
        origin, path = self._path(self._objects, source), self._path(self._objects, key)
        meta = self._path(self._meta, key) + ".json"

        def link():
            if not os.path.lexists(origin):
                raise ObjectMissing(source)
            with contextlib.suppress(FileExistsError):
                os.link(origin, path, follow_symlinks=False)

        with self._lock(key):
            try:
                fresh = self._into_folders(path, link)
            except OSError as error:
                if error.errno in _NO_LINKS:
                    return None
                raise
            if sidecar:
                self._into_folders(meta, lambda: disk.write_json(meta, sidecar, folder=self._staged))
            for folder in fresh:
                self._sync_folder(folder)
        return self.head(key)

    def head(self, key):
        with disk.refusing(), contextlib.suppress(ObjectMissing):
            return self._info(self._path(self._objects, key), self._path(self._meta, key) + ".json")

    def open(self, key):
        with disk.refusing():
            descriptor = disk.open_regular(self._path(self._objects, key))
            if descriptor is None:
                raise ObjectMissing(key)
            return os.fdopen(descriptor, "rb", buffering=0)

    def read_range(self, key, start, end):
        with disk.refusing(), self.open(key) as file:
            file.seek(start)
            while start < end:
                block = file.read(min(BLOCK_SIZE, end - start))
                if not block:
                    raise StoreUnavailable
                start += len(block)
                yield block

    def delete(self, key):
        path = self._path(self._objects, key)
        with disk.refusing(), self._lock(key):
            # Remove the sidecar first. If the process dies in between, the object is still listed and deleted later.
            disk.remove(self._path(self._meta, key) + ".json")
            disk.remove(path)
            self._tidy(key)

    def list(self, prefix=""):
        folder = prefix[: prefix.rfind("/") + 1]
        with disk.refusing(), contextlib.suppress(ObjectMissing):
            start = os.path.dirname(self._path(self._objects, folder + "-"))
            yield from self._walk(start, folder, prefix)

    def presign_get(self, key, *, filename, content_type, expires_in, claims, base_url=None):
        checked_key(key)
        # The claims alone lead to the file. Its bytes may come to another key while the URL is valid, and never change.
        signed = {"name": filename, "type": content_type, "claims": claims}
        return signing.url(signing.sign("get", signed, expires_in=expires_in), base_url=base_url)

    def expire_after(self, days_by_prefix):
        return False  # a disk has no such rules; only the portal's own clean-up deletes files

    def sweep(self, *, older_than):
        limit = older_than.timestamp()
        removed = 0
        with disk.refusing():
            for entry in disk.entries(self._staged):
                if disk.changed_at(entry.path) < limit:
                    disk.remove(entry.path)
                    removed += not entry.name.endswith(".json")
            for entry in disk.entries(self._body_files) if self._body_files else ():
                if entry.is_file(follow_symlinks=False) and disk.changed_at(entry.path) < limit:
                    removed += disk.remove(entry.path)
            for entry in disk.entries(self._multipart):
                newest = (disk.changed_at(os.path.join(entry.path, name)) for name in ("", "data", "parts"))
                if max(newest) < limit:
                    shutil.rmtree(entry.path, ignore_errors=True)
                    removed += 1
        return removed


def _records(folder, manifest):
    """{part number: its record}, ascending. A part without a readable record counts as not received."""
    found = {}
    for number in range(1, parts.count(size_bytes=manifest["size"], part_size=manifest["part_size"]) + 1):
        if record := disk.read_json(os.path.join(folder, "parts", f"{number}.json")):
            found[number] = record
    return found


def _parts(records):
    return [Part(number, record["etag"], record["size"]) for number, record in records.items()]
