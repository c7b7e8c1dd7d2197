"""The files of the local store: their folders, how they are written and published, and their sidecars.

    objects/<key>            the bytes of a published object
    meta/<key>.json          its sidecar: size, time, ETag, checksums and type, noted when the bytes arrived
    staged/<name>.data       a finished PUT that is not completed yet; <name>.json is its sidecar
    staged/<name>.*.tmp      a PUT in progress
    multipart/<id>/          manifest.json, data, lock, parts/<n>.json, and while a part is sent parts/<n>.writer
    locks/                   lock files, never removed

Bytes are written to a temporary file, made durable and renamed. So a process killed at any point leaves the old state
or the new one. A sidecar is used only while the size and time it holds match its file. Otherwise it is computed again,
so a lost or stale sidecar repairs itself.

Locks are flock(2) on separate files, so that threads and processes of one machine take turns. The kernel releases
them when their holder dies.
"""

import contextlib
import fcntl
import hashlib
import os
import re
import secrets
import stat

from . import BLOCK_SIZE, ObjectInfo, ObjectMissing, StoreFull, TooLarge, disk
from .body_files import BodyFile
from .digests import Digests

MAX_KEY_LENGTH = 900
_KEY = re.compile(r"[A-Za-z0-9._-]{1,255}(/[A-Za-z0-9._-]{1,255})*")


class LocalFiles:
    """The folders of a store at `root`, and how its files are written, published and found. LocalStore builds on it."""

    def __init__(self, root, *, fsync):
        self.root = os.path.realpath(root)
        self.fsync = fsync
        self._objects, self._meta, self._staged, self._multipart, self._locks = (
            os.path.join(self.root, name) for name in ("objects", "meta", "staged", "multipart", "locks")
        )
        with disk.refusing():
            for folder in (self._objects, self._meta, self._staged, self._multipart, self._locks):
                os.makedirs(folder, mode=0o750, exist_ok=True)

    def _path(self, base, key):
        """The path of `key` under `base`; its folders may be missing. Raises ObjectMissing when one is a link."""
        *folders, name = checked_key(key).split("/")
        path = base
        for folder in folders:
            path = f"{path}/{folder}"
            try:
                if stat.S_ISLNK(os.lstat(path).st_mode):
                    raise ObjectMissing(key)
            except (FileNotFoundError, NotADirectoryError):
                return f"{base}/{key}"  # nothing exists below a missing folder, so no link either
        return f"{path}/{name}"

    def _staged_path(self, key):
        return os.path.join(self._staged, hashlib.sha256(checked_key(key).encode()).hexdigest()[:40])

    @contextlib.contextmanager
    def _spool(self, prefix, stream, *, size_limit):
        """Write the stream to a durable temporary file beside `prefix`. The block gets (path, ObjectInfo).

        The file is deleted at the end unless the block moved it.
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
        """Move the durable file `source` to `key`. The sidecar is written first: without its object it is ignored."""
        path, meta = self._path(self._objects, key), self._path(self._meta, key) + ".json"
        if sidecar:
            # The temporary file goes to staged/, where sweep() deletes it if the process is killed.
            self._into_folders(meta, lambda: disk.write_json(meta, sidecar, folder=self._staged))
        fresh = self._into_folders(path, lambda: os.rename(source, path))
        for folder in fresh:
            self._sync_folder(folder)

    def _into_folders(self, path, act):
        """Make the folders above `path`, then call `act`. Returns the folders that got a new entry, deepest first.

        At the same moment another thread may delete the last object of a folder, and the folder with it. Then the
        attempt is repeated, up to 100 times.
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
        """Remove what a deleted object left: its sidecar and the folders that are empty now."""
        for base, suffix in ((self._meta, ".json"), (self._objects, "")):
            path = self._path(base, key) + suffix
            if suffix and not os.path.lexists(self._path(self._objects, key)):
                disk.remove(path)
            folder = os.path.dirname(path)
            while folder != base:
                try:
                    os.rmdir(folder)
                except FileNotFoundError:
                    pass  # never made, or removed by another thread
                except OSError:
                    break  # not empty
                folder = os.path.dirname(folder)

    def _info(self, path, sidecar_path):
        """The ObjectInfo of the file at `path`, or None. Reads the whole file when its sidecar is lost or stale."""
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
        with contextlib.suppress(OSError):  # on a read-only disk it is computed every time
            healed = {**sidecar_of(path, info, (known or {}).get("content_type", "")), "mtime_ns": found.st_mtime_ns}
            os.makedirs(os.path.dirname(sidecar_path), mode=0o750, exist_ok=True)
            disk.write_json(sidecar_path, healed, folder=self._staged)
        return info

    def _walk(self, folder, key_prefix, wanted):
        # Sort folders with a "/" at their end, as their keys sort: "a-b" before "a/b" before "ab".
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
        """Raise StoreFull when the bytes cannot fit, so that the client learns it before it sends for hours."""
        found = os.statvfs(self.root)
        if found.f_blocks and size_bytes > found.f_bavail * found.f_frsize:
            raise StoreFull

    def _lock(self, key):
        """A lock for `key`, held while its files are renamed or deleted. All keys share 256 lock files."""
        return disk.locked(os.path.join(self._locks, hashlib.sha256(key.encode()).hexdigest()[:2]), fcntl.LOCK_EX)

    def _sync(self, descriptor):
        if self.fsync:
            getattr(os, "fdatasync", os.fsync)(descriptor)

    def _sync_folder(self, path):
        if self.fsync:
            with contextlib.suppress(FileNotFoundError), disk.opened(path, os.O_RDONLY | os.O_DIRECTORY) as folder:
                os.fsync(folder)


def checked_key(key):
    """Return `key` if it is valid. Raises ValueError: only a bug can cause this, because the portal makes all keys."""
    if len(key) > MAX_KEY_LENGTH or not _KEY.fullmatch(key) or not {".", ".."}.isdisjoint(key.split("/")):
        raise ValueError(f"{key!r} is no object key.")
    return key


def sidecar_of(path, info, content_type):
    return {
        "size": info.size_bytes,
        "mtime_ns": os.stat(path, follow_symlinks=False).st_mtime_ns,
        "etag": info.etag,
        "sha256": info.sha256,
        "crc32": info.crc32,
        "content_type": content_type,
    }
