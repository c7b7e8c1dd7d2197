"""Files on a disk that may be full, broken, shared with others and cut off at any moment."""

import contextlib
import errno
import fcntl
import json
import logging
import os
import secrets
import stat
from datetime import UTC, datetime

from . import StoreFull, StoreUnavailable

logger = logging.getLogger(__name__)

FILE_MODE = 0o640
"""Of the files of the local store; nginx makes its own readable for its user alone."""

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@contextlib.contextmanager
def refusing():
    """Errors of the disk as refusals, and in the log for those who run the portal."""
    try:
        yield
    except OSError as error:
        logger.exception("The object store failed")
        raise (StoreFull if error.errno in _FULL else StoreUnavailable) from error


@contextlib.contextmanager
def opened(path, flags):
    """A descriptor for the block; a link in the place of the file is an error."""
    descriptor = os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW, FILE_MODE)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def open_regular(path):
    """A descriptor to read the file at `path`; None when there is none, or a link or a folder in its place."""
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
    """Hold flock(2) `how` (LOCK_SH, LOCK_EX) on the file at `path`, which is made where it is not there."""
    with opened(path, os.O_RDWR | os.O_CREAT) as lock:
        fcntl.flock(lock, how)  # given back when the file is closed
        yield


def write_all(descriptor, block, offset=None):
    """All of the block, at the descriptor's place or at `offset`: a nearly full disk takes a piece at a time."""
    view = memoryview(block)
    while view:
        if offset is None:
            written = os.write(descriptor, view)
        else:
            written = os.pwrite(descriptor, view, offset)
            offset += written
        view = view[written:]


def write_json(path, facts, *, folder=None, sync=None):
    """Replace a small file at once, by way of `folder` (its own by default).

    Without `sync` it is not durable: a lost sidecar is worked out anew, a lost part sent again.
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
    """What write_json wrote, or None where there is no such file or a power cut left it in pieces."""
    try:
        with open(path, "rb") as file:
            facts = json.loads(file.read())
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    return facts if isinstance(facts, dict) else None


def remove(path):
    """Whether there was a file to remove."""
    try:
        os.unlink(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def is_same(path, descriptor):
    """Whether the file at `path` is the one held open; its inode cannot go to another one meanwhile."""
    try:
        there, held = os.stat(path, follow_symlinks=False), os.fstat(descriptor)
    except FileNotFoundError:
        return False
    return (there.st_dev, there.st_ino) == (held.st_dev, held.st_ino)


def entries(folder):
    """The os.DirEntry of all that is in `folder`; none where there is no such folder."""
    try:
        with os.scandir(folder) as found:
            return list(found)
    except (FileNotFoundError, NotADirectoryError):
        return []


def changed_at(path):
    """Seconds since the epoch at which it last changed; 0 when it is gone."""
    try:
        return os.stat(path, follow_symlinks=False).st_mtime
    except FileNotFoundError:
        return 0


def modified_at(found):
    """The time at which what os.stat `found` changed last."""
    return datetime.fromtimestamp(found.st_mtime, UTC)
