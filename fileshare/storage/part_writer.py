"""The right to send one part of a multipart upload to the local store."""

import contextlib
import fcntl
import os
import time

from django.utils.translation import gettext as _

from config.errors import Refused

from . import MultipartMissing, disk

PART_WAIT_SECONDS = 2
"""How long a second PUT of a part waits for the first to end."""
PART_IDLE_SECONDS = 15
"""A PUT of a part that got no block for this long has lost its client: the next one takes over."""


class PartBusy(Refused):
    """503: another connection is sending this very part."""

    def __init__(self):
        super().__init__(503, "part_busy", _("Another connection is sending this part."), retry_after=PART_WAIT_SECONDS)


class PartTakenOver(Refused):
    """409: this connection stood still and another one sends the part by now."""

    def __init__(self):
        super().__init__(409, "part_taken_over", _("Another connection has taken over this part."))


class PartWriter:
    """The right to write one part, held while its bytes come in.

    The holder keeps a lock on parts/<n>.writer, which dies with its process, and touches the file
    with each block. A connection may stand still for hours after its client has gone; the next PUT
    of the part then puts a new file in the place of the old one, and the late writer finds out
    before it can write. `lock` makes that certain: writing takes it shared, taking over, completing
    and aborting take it alone.
    """

    def __init__(self, folder, part_number):
        self._folder = folder
        self._path = os.path.join(folder, "parts", f"{part_number}.writer")
        self._record = os.path.join(folder, "parts", f"{part_number}.json")
        self._files = contextlib.ExitStack()

    def __enter__(self):
        with self._files as files:
            try:
                self.data = files.enter_context(disk.opened(os.path.join(self._folder, "data"), os.O_RDWR))
                self._lock = files.enter_context(
                    disk.opened(os.path.join(self._folder, "lock"), os.O_RDWR | os.O_CREAT)
                )
                self._claim = files.enter_context(self._take())
            except FileNotFoundError:
                raise MultipartMissing from None
            self._files = files.pop_all()
        return self

    def __exit__(self, *exception):
        with self._files, self._held(fcntl.LOCK_SH):
            if disk.is_same(self._path, self._claim):
                disk.remove(self._path)

    def forget_record(self, sync_folder):
        """The part does not count from here on, not even after a power cut."""
        with self._mine():
            if disk.remove(self._record):
                sync_folder(os.path.dirname(self._record))

    def write(self, block, offset):
        with self._mine():
            disk.write_all(self.data, block, offset)
            os.utime(self._claim)

    def record(self, facts):
        with self._mine():
            disk.write_json(self._record, facts)

    @contextlib.contextmanager
    def _take(self):
        deadline = time.monotonic() + PART_WAIT_SECONDS
        while True:
            with disk.opened(self._path, os.O_RDWR | os.O_CREAT) as claim:
                try:
                    fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    self._remove_idle(claim)
                else:
                    # The file may have been its last holder's, who removed it on leaving.
                    if disk.is_same(self._path, claim):
                        os.utime(claim)
                        yield claim
                        return
            if time.monotonic() > deadline:
                raise PartBusy
            time.sleep(0.02)

    def _remove_idle(self, claim):
        with self._held(fcntl.LOCK_EX):
            if time.time() - os.fstat(claim).st_mtime > PART_IDLE_SECONDS and disk.is_same(self._path, claim):
                disk.remove(self._path)

    @contextlib.contextmanager
    def _held(self, how):
        fcntl.flock(self._lock, how)
        try:
            yield
        finally:
            fcntl.flock(self._lock, fcntl.LOCK_UN)

    @contextlib.contextmanager
    def _mine(self):
        """As long as nobody took over and the upload is neither completed nor aborted."""
        with self._held(fcntl.LOCK_SH):
            if not disk.is_same(os.path.join(self._folder, "data"), self.data):
                raise MultipartMissing
            if not disk.is_same(self._path, self._claim):
                raise PartTakenOver
            yield
