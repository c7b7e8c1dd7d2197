"""File operations on a disk that may be full or broken, that others write to, and whose power may fail."""

import contextlib
import errno
import fcntl
import json
import logging
import os
import secrets
import stat
from datetime import UTC, datetime

from config.outside.fullness import is_full

from . import StoreFull, StoreUnavailable

logger = logging.getLogger(__name__)

FILE_MODE = 0o640
"""The mode of the local store's files. The files nginx creates are readable for its own user only."""


@contextlib.contextmanager
def refusing():
    """Turn errors of the disk into StoreFull or StoreUnavailable, and log them for the administrator."""
    try:
        yield
    except OSError as error:
        logger.exception("The object store failed")
        raise (StoreFull if is_full(error) else StoreUnavailable) from error


@contextlib.contextmanager
def opened(path, flags):
    """A descriptor, open inside the block. Raises OSError when a symbolic link stands in the place of the file."""
    descriptor = os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW, FILE_MODE)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def open_regular(path):
    """A descriptor to read the file at `path`; None when it is missing, or is no regular file (a link, a folder)."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        if error.errno == errno.ELOOP:
            return None
        raise
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return descriptor
    os.close(descriptor)
    return None


@contextlib.contextmanager
def locked(path, how):
    """Hold flock(2) `how` (LOCK_SH, LOCK_EX) on the file at `path`; creates the file when it is missing."""
    with opened(path, os.O_RDWR | os.O_CREAT) as lock:
        fcntl.flock(lock, how)  # closing the file releases the lock
        yield


def write_all(descriptor, block, offset=None):
    """Write the whole block, at the descriptor's position or at `offset`.

    One call of os.write may write only a piece, as on a nearly full disk.
    """
    view = memoryview(block)
    while view:
        if offset is None:
            written = os.write(descriptor, view)
        else:
            written = os.pwrite(descriptor, view, offset)
            offset += written
        view = view[written:]


def write_json(path, facts, *, folder=None, sync=None):
    """Replace a small file in one step: write a temporary file in `folder` (its own by default) and rename it.

    Without `sync` the file may be lost in a power cut. For a sidecar or a part that does no harm: a lost sidecar is
    computed again, a lost part is sent again.
    """
    temporary = os.path.join(folder or os.path.dirname(path), f"{secrets.token_hex(8)}.tmp")
    try:
        with opened(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL) as file:
            write_all(file, json.dumps(facts).encode())
            if sync:
                sync(file)
        os.rename(temporary, path)
    except BaseException:
        remove(temporary)
        raise


def read_json(path):
    """What write_json wrote; None when the file is missing or a power cut damaged it."""
    try:
        with open(path, "rb", buffering=0) as file:
            facts = json.loads(file.read())
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    return facts if isinstance(facts, dict) else None


def remove(path):
    """Remove the file. Returns True when there was one."""
    try:
        os.unlink(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def is_same(path, descriptor):
    """True when the file at `path` is the open one. While it is open, no other file can get its inode number."""
    try:
        there, held = os.stat(path, follow_symlinks=False), os.fstat(descriptor)
    except FileNotFoundError:
        return False
    return (there.st_dev, there.st_ino) == (held.st_dev, held.st_ino)


def entries(folder):
    """The os.DirEntry objects of `folder`; an empty list when there is no such folder."""
    try:
        with os.scandir(folder) as found:
            return list(found)
    except (FileNotFoundError, NotADirectoryError):
        return []


def changed_at(path):
    """When the file last changed, in seconds since the epoch; 0 when it is gone."""
    try:
        return os.stat(path, follow_symlinks=False).st_mtime
    except FileNotFoundError:
        return 0


def modified_at(found):
    """When the file last changed, as a datetime; `found` is what os.stat returned for it."""
    return datetime.fromtimestamp(found.st_mtime, UTC)
