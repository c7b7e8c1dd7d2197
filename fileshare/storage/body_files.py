"""Request bodies that the proxy has already written to files. The portal takes over the file and copies no bytes."""

import errno
import io
import os
import stat

from django.conf import settings

from .disk import FILE_MODE


class BodyFile(io.FileIO):
    """A complete body in a file, open for reading; `size_bytes` long. The caller must close it."""

    def __init__(self, path):
        super().__init__(path, opener=_open_regular)
        self.size_bytes = os.fstat(self.fileno()).st_size

    def move_to(self, path):
        """Move the file to `path`; it stays open for reading. Returns False, and does nothing, across disks."""
        try:
            os.rename(self.name, path)
        except OSError as error:
            if error.errno == errno.EXDEV:
                return False
            raise
        os.fchmod(self.fileno(), FILE_MODE)
        return True


def named(path):
    """The BodyFile at `path`; None unless that is a regular file directly in BODY_FILE_DIR."""
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
