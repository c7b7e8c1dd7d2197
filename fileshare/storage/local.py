"""The object store on the portal's own disk.

    objects/<key>            the bytes of what is published
    meta/<key>.json          what was learnt of them on the way in (a sidecar)
    staged/<name>.data       a finished PUT that waits for its completion; <name>.json its sidecar
    staged/<name>.*.tmp      a PUT on its way
    multipart/<id>/          manifest.json, data, parts/<n>.json, and while a part is sent parts/<n>.writer
    locks/                   files to lock, never removed

Killed at any point, the store shows the old state or the new one: bytes are written aside, made
durable and renamed. A sidecar is believed only while size and time of its bytes are the ones it
names, and is worked out anew otherwise, so a lost or stale one heals itself.

Locks are flock(2) on files of their own, so that threads and processes of one machine take turns;
the kernel gives them back when their holder dies.
"""

import contextlib
import fcntl
import hashlib
import os
import re
import secrets
import shutil
import stat

from django.conf import settings

from . import (
    BLOCK_SIZE,
    MultipartMissing,
    ObjectInfo,
    ObjectMissing,
    Part,
    SignedRequest,
    StoreFull,
    StoreUnavailable,
    TooLarge,
    WrongSize,
    crc,
    disk,
    parts,
    signing,
)
from .body_files import BodyFile
from .digests import Digests
from .part_writer import PartWriter

MAX_KEY_LENGTH = 900
_KEY = re.compile(r"[A-Za-z0-9._-]{1,255}(/[A-Za-z0-9._-]{1,255})*")
_UPLOAD_ID = re.compile(r"[0-9a-f]{32}")


class LocalStore:
    """ObjectStore in a folder; several processes may share it.

    With `fsync` off a power cut may lose what was acknowledged last, a killed process still nothing.
    `body_files` is the folder in which a proxy puts bodies (BodyFile), if there is one: `sweep` looks there too.
    """

    is_remote = False

    def __init__(self, root, *, fsync=True, body_files=""):
        self.root = os.path.realpath(root)
        self.fsync = fsync
        self._body_files = body_files
        self._objects, self._meta, self._staged, self._multipart, self._locks = (
            os.path.join(self.root, name) for name in ("objects", "meta", "staged", "multipart", "locks")
        )
        with disk.refusing():
            for folder in (self._objects, self._meta, self._staged, self._multipart, self._locks):
                os.makedirs(folder, mode=0o750, exist_ok=True)

    @classmethod
    def from_settings(cls):
        return cls(settings.DATA_DIR / "store", fsync=settings.STORE_FSYNC, body_files=settings.BODY_FILE_DIR)

    # --- Single PUT -----------------------------------------------------------------------------

    def presign_put(self, key, *, file_id, size_bytes, content_type, expires_in, base_url=None):
        claims = {"key": _checked(key), "file": str(file_id), "size": size_bytes, "type": content_type}
        token = signing.sign("put", claims, expires_in=expires_in)
        headers = {"Content-Type": content_type} if content_type else {}
        return SignedRequest(signing.url(token, base_url=base_url), headers, expires_in)

    def receive_put(self, key, stream, *, size_limit, content_type="", before_publish=None):
        """Stage what `stream.read(n)` gives, replacing what was staged for `key`; returns its ObjectInfo.

        `before_publish` is called when all bytes are there and may still refuse them. Raises
        TooLarge beyond `size_limit`. Whatever is raised, what was staged before is untouched.
        A BodyFile is moved, not copied, where it lies on the store's disk.
        """
        staged = self._staged_path(key)
        if not isinstance(stream, BodyFile):
            with disk.refusing():
                self._require_space(size_limit)
        with disk.refusing(), self._spool(staged, stream, size_limit=size_limit) as (temporary, info):
            if before_publish:
                before_publish()
            with self._lock(key):
                disk.write_json(staged + ".json", _sidecar(temporary, info, content_type))
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
            # What is published stays: bytes sent after that are not the ones that were looked at.
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
        manifest = {"key": _checked(key), "size": size_bytes, "part_size": part_size, "content_type": content_type}
        with disk.refusing():
            self._require_space(size_bytes)
            try:
                os.makedirs(os.path.join(folder, "parts"), mode=0o750)
                # Sparse: a part is written where it belongs, so that completing moves no bytes.
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
        claims = {"key": _checked(key), "file": str(file_id), "size": size_bytes, "id": upload_id, "n": part_number}
        return signing.url(signing.sign("part", claims, expires_in=expires_in), base_url=base_url)

    def receive_part(self, key, upload_id, part_number, stream, *, size_limit, before_publish=None):
        """Write a part where it belongs and record it; returns the Part.

        The part does not count from the first byte of a repeated PUT to its end: whatever is raised
        after that, it must be sent again. Raises TooLarge beyond `size_limit` or the part's own
        size, PartBusy, PartTakenOver, MultipartMissing.
        """
        with disk.refusing():
            folder, manifest = self._open_upload(key, upload_id)
            expected = parts.size_of(part_number, size_bytes=manifest["size"], part_size=manifest["part_size"])
            limit = min(size_limit, expected)
            with PartWriter(folder, part_number) as writer, Digests(sha256=False) as digests:
                writer.forget_record(self._sync_folder)
                offset, size = (part_number - 1) * manifest["part_size"], 0
                while block := stream.read(BLOCK_SIZE):
                    if size + len(block) > limit:
                        raise TooLarge(limit)
                    digests.update(block)
                    writer.write(block, offset + size)
                    size += len(block)
                _sha256, crc32 = digests.finish()
                if before_publish:
                    before_publish()
                self._sync(writer.data)
                # Random, not a digest: it names this very PUT, and nothing is spent on a hash
                # that could not be joined into that of the whole file.
                etag = f"{crc32:08x}{secrets.token_hex(12)}"
                writer.record({"size": size, "etag": etag, "crc32": crc32})
        return Part(part_number, etag, size)

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
        found = os.stat(data)  # first: once it has moved, the parts are of no interest
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
            self._publish(data, key, _sidecar(data, info, manifest["content_type"]))
        # Under the lock still: a connection that sends a part must not find its place again.
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

    # --- Published objects ----------------------------------------------------------------------

    def write(self, key, stream, *, size_limit, content_type=""):
        staged = self._staged_path(key)
        with (
            disk.refusing(),
            self._spool(staged, stream, size_limit=size_limit) as (temporary, info),
            self._lock(key),
        ):
            self._publish(temporary, key, _sidecar(temporary, info, content_type))
        return info

    def head(self, key):
        with disk.refusing(), contextlib.suppress(ObjectMissing):
            return self._info(self._path(self._objects, key), self._path(self._meta, key) + ".json")

    def open(self, key):
        with disk.refusing():
            descriptor = disk.open_regular(self._path(self._objects, key))
            if descriptor is None:
                raise ObjectMissing(key)
            return os.fdopen(descriptor, "rb")

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
            # The sidecar first: killed in between, the object is still found and deleted again.
            disk.remove(self._path(self._meta, key) + ".json")
            disk.remove(path)
            self._tidy(key)

    def list(self, prefix=""):
        folder = prefix[: prefix.rfind("/") + 1]
        with disk.refusing(), contextlib.suppress(ObjectMissing):
            start = os.path.dirname(self._path(self._objects, folder + "-"))
            yield from self._walk(start, folder, prefix)

    def presign_get(self, key, *, filename, content_type, expires_in, claims, base_url=None):
        signed = {"key": signing.mark_of(_checked(key)), "name": filename, "type": content_type, "claims": claims}
        return signing.url(signing.sign("get", signed, expires_in=expires_in), base_url=base_url)

    def expire_after(self, days_by_prefix):
        return False  # a disk has no rules; the portal's own clean-up is all there is

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

    # --- Below the protocol ---------------------------------------------------------------------

    def _path(self, base, key):
        """Where `key` is under `base`; its folders may not be there. Raises ObjectMissing when a link leads out."""
        *folders, name = _checked(key).split("/")
        path = base
        for folder in folders:
            path = f"{path}/{folder}"
            try:
                if stat.S_ISLNK(os.lstat(path).st_mode):
                    raise ObjectMissing(key)
            except (FileNotFoundError, NotADirectoryError):
                return f"{base}/{key}"  # nor is anything below it
        return f"{path}/{name}"

    def _staged_path(self, key):
        return os.path.join(self._staged, hashlib.sha256(_checked(key).encode()).hexdigest()[:40])

    def _open_upload(self, key, upload_id):
        """(folder, manifest) of an open multipart upload of `key`. Raises MultipartMissing."""
        if not _UPLOAD_ID.fullmatch(upload_id):
            raise MultipartMissing
        folder = os.path.join(self._multipart, upload_id)
        manifest = disk.read_json(os.path.join(folder, "manifest.json"))
        if manifest is None or manifest["key"] != key:
            raise MultipartMissing
        return folder, manifest

    @contextlib.contextmanager
    def _spool(self, prefix, stream, *, size_limit):
        """Write the stream to a durable temporary file beside `prefix`; gives (path, ObjectInfo).

        The file is gone at the end unless the block moved it.
        """
        path = f"{prefix}.{secrets.token_hex(8)}.tmp"
        try:
            is_there = isinstance(stream, BodyFile) and stream.move_to(path)
            flags = os.O_RDONLY if is_there else os.O_WRONLY | os.O_CREAT | os.O_EXCL
            with disk.opened(path, flags) as file, Digests() as digests:
                size = 0
                while block := stream.read(BLOCK_SIZE):
                    size += len(block)
                    if size > size_limit:
                        raise TooLarge(size_limit)
                    digests.update(block)
                    if not is_there:
                        disk.write_all(file, block)
                sha256, crc32 = digests.finish()
                self._sync(file)
                info = ObjectInfo(size, sha256[:32], sha256, crc32, disk.modified_at(os.fstat(file)))
            yield path, info
        finally:
            disk.remove(path)

    def _publish(self, source, key, sidecar):
        """Move the durable file `source` to `key`. The sidecar goes first: alone it means nothing."""
        path, meta = self._path(self._objects, key), self._path(self._meta, key) + ".json"
        if sidecar:
            # By way of staged/, where sweep() finds what a kill leaves.
            self._into_folders(meta, lambda: disk.write_json(meta, sidecar, folder=self._staged))
        fresh = self._into_folders(path, lambda: os.rename(source, path))
        for folder in fresh:
            self._sync_folder(folder)

    def _into_folders(self, path, act):
        """Make the folders above `path` and act; returns the folders that got a new entry, deepest first.

        Another thread may delete the last object of a folder at the same moment and the folder with
        it, hence the repetition.
        """
        folder = os.path.dirname(path)
        changed = [folder]
        for attempt in range(100):
            while not os.path.isdir(changed[-1]):
                changed.append(os.path.dirname(changed[-1]))
            try:
                os.makedirs(folder, mode=0o750, exist_ok=True)
                act()
            except (FileNotFoundError, FileExistsError):  # makedirs raises the latter for a folder just removed
                if attempt == 99:
                    raise
            else:
                break
        return changed

    def _tidy(self, key):
        """Remove what an object that is gone leaves: its sidecar and folders nothing is in any more."""
        for base, suffix in ((self._meta, ".json"), (self._objects, "")):
            path = self._path(base, key) + suffix
            if suffix and not os.path.lexists(self._path(self._objects, key)):
                disk.remove(path)
            folder = os.path.dirname(path)
            while folder != base:
                try:
                    os.rmdir(folder)
                except FileNotFoundError:
                    pass  # never made, or another thread was faster
                except OSError:
                    break  # in use
                folder = os.path.dirname(folder)

    def _info(self, path, sidecar_path):
        """ObjectInfo of the bytes at `path`, from the sidecar or, failing that, by reading them. None without bytes."""
        descriptor = disk.open_regular(path)
        if descriptor is None:
            return None
        with os.fdopen(descriptor, "rb", buffering=0) as file:
            found = os.fstat(descriptor)
            known = disk.read_json(sidecar_path)
            if known and known.get("size") == found.st_size and known.get("mtime_ns") == found.st_mtime_ns:
                return ObjectInfo(
                    found.st_size, known["etag"], known["sha256"], known["crc32"], disk.modified_at(found)
                )
            with Digests() as digests:
                while block := file.read(BLOCK_SIZE):
                    digests.update(block)
                sha256, crc32 = digests.finish()
        info = ObjectInfo(found.st_size, sha256[:32], sha256, crc32, disk.modified_at(found))
        with contextlib.suppress(OSError):  # on a read-only disk it is worked out every time
            healed = {**_sidecar(path, info, (known or {}).get("content_type", "")), "mtime_ns": found.st_mtime_ns}
            os.makedirs(os.path.dirname(sidecar_path), mode=0o750, exist_ok=True)
            disk.write_json(sidecar_path, healed, folder=self._staged)
        return info

    def _walk(self, folder, key_prefix, wanted):
        # With its slash a folder sorts where its keys do: "a-b" before "a/b" before "ab".
        entries = sorted(disk.entries(folder), key=lambda entry: entry.name + "/" * entry.is_dir(follow_symlinks=False))
        for entry in entries:
            key = key_prefix + entry.name
            if entry.is_dir(follow_symlinks=False):
                if (key + "/").startswith(wanted) or wanted.startswith(key + "/"):
                    yield from self._walk(entry.path, key + "/", wanted)
            elif key.startswith(wanted) and entry.is_file(follow_symlinks=False):
                with contextlib.suppress(FileNotFoundError):  # deleted meanwhile
                    found = entry.stat(follow_symlinks=False)
                    yield key, found.st_size, disk.modified_at(found)

    def _require_space(self, size_bytes):
        """Refuse at once what cannot fit, rather than after hours of sending."""
        found = os.statvfs(self.root)
        if found.f_blocks and size_bytes > found.f_bavail * found.f_frsize:
            raise StoreFull

    def _lock(self, key):
        """A lock per key (or rather per 1/256 of them), for the moment in which files change places."""
        return disk.locked(os.path.join(self._locks, hashlib.sha256(key.encode()).hexdigest()[:2]), fcntl.LOCK_EX)

    def _sync(self, descriptor):
        if self.fsync:
            getattr(os, "fdatasync", os.fsync)(descriptor)

    def _sync_folder(self, path):
        if self.fsync:
            with contextlib.suppress(FileNotFoundError), disk.opened(path, os.O_RDONLY | os.O_DIRECTORY) as folder:
                os.fsync(folder)


def _checked(key):
    """The key itself, when it is one. Raises ValueError: keys are made by the portal, not by its users."""
    if len(key) > MAX_KEY_LENGTH or not _KEY.fullmatch(key) or not {".", ".."}.isdisjoint(key.split("/")):
        raise ValueError(f"{key!r} is no object key.")
    return key


def _records(folder, manifest):
    """{part number: its record}, ascending; a part without a readable record has not been received."""
    found = {}
    for number in range(1, parts.count(size_bytes=manifest["size"], part_size=manifest["part_size"]) + 1):
        if record := disk.read_json(os.path.join(folder, "parts", f"{number}.json")):
            found[number] = record
    return found


def _parts(records):
    return [Part(number, record["etag"], record["size"]) for number, record in records.items()]


def _sidecar(path, info, content_type):
    return {
        "size": info.size_bytes,
        "mtime_ns": os.stat(path, follow_symlinks=False).st_mtime_ns,
        "etag": info.etag,
        "sha256": info.sha256,
        "crc32": info.crc32,
        "content_type": content_type,
    }
