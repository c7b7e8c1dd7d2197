"""A body that the proxy in front has received into a file: it is taken over instead of read from a socket once more."""

import errno
import io
import os
import stat

from django.conf import settings

from .disk import FILE_MODE


class BodyFile(io.FileIO):
    """A whole body in a file of its own, open for reading; `size_bytes` long. To be closed."""

    def __init__(self, path):
        super().__init__(path, opener=_open_regular)
        self.size_bytes = os.fstat(self.fileno()).st_size

    def move_to(self, path):
        """Rename the file, which goes on being read. False, and nothing done, where `path` is on another disk."""
        try:
            os.rename(self.name, path)
        except OSError as error:
            if error.errno == errno.EXDEV:
                return False
            raise
        os.fchmod(self.fileno(), FILE_MODE)
        return True


def named(path):
    """The BodyFile at `path`, which has to be a regular file directly in BODY_FILE_DIR; else None."""
    folder, name = os.path.split(path)
    if folder != settings.BODY_FILE_DIR or name in ("", ".", ".."):
        return None
    try:
        return BodyFile(path)
    except (OSError, ValueError):  # ValueError: a NUL in the name
        return None


def _open_regular(path, flags):
    descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
    return descriptor
