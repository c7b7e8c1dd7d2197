"""Locking for the parts of multipart uploads in the local store: one connection at a time writes a part."""

import contextlib
import fcntl
import os
import time

from django.utils.translation import gettext as _

from config.errors import Refused

from . import BLOCK_SIZE, MultipartMissing, disk

PART_WAIT_SECONDS = 2
"""How long a second PUT of a part waits for the first to end."""
PART_IDLE_SECONDS = 15
"""A PUT of a part that received no block for this long has lost its client. The next PUT of the part takes over."""


LEAST_BLOCK = 16 * 1024
QUICK_SECONDS = 0.05
"""A block that came so quickly is followed by a larger one."""
NOTE_SECONDS = 5
"""How often what has arrived of a part is noted, for a server that is killed."""


class PartBusy(Refused):
    """503: another connection is sending this part."""

    def __init__(self):
        super().__init__(503, "part_busy", _("Another connection is sending this part."), retry_after=PART_WAIT_SECONDS)


class PartTakenOver(Refused):
    """409: this connection stood still, and another one has taken over the part."""

    def __init__(self):
        text = _("Another connection has taken over this part.")
        super().__init__(409, "part_taken_over", text, retry_after=PART_WAIT_SECONDS)


class Pace:
    """How much of a part to read at a time, and when to note how much has arrived.

    A server gives what it was asked for, or nothing when the connection breaks before. So little is asked for on a
    slow line, and more when it comes at once.
    """

    def __init__(self):
        self.block_size = LEAST_BLOCK
        self._asked = self._noted = time.monotonic()

    def is_time_to_note(self):
        """Tell it that a block has come. True when it is time to note how much there is."""
        now = time.monotonic()
        if now - self._asked < QUICK_SECONDS:
            self.block_size = min(self.block_size * 2, BLOCK_SIZE)
        else:
            self.block_size = max(self.block_size // 2, LEAST_BLOCK)
        self._asked = now
        if now - self._noted < NOTE_SECONDS:
            return False
        self._noted = now
        return True


def begun_of(path):
    """(size, CRC-32) that the note at `path` holds; (0, 0) without one."""
    facts = disk.read_json(path) or {}
    return facts.get("size", 0), facts.get("crc32", 0)


class PartWriter:
    """The right to write one part, held while its bytes arrive.

    The holder locks parts/<n>.writer and touches the file with each block. The kernel frees the lock when the
    process ends. But a connection may stand still for hours after its client has gone. Therefore the next PUT of the
    part replaces an idle writer file with a new one, and the old writer notices that before it writes again. The
    file `lock` makes this safe: a writer holds it shared while it writes a block; a request that takes over, completes
    or aborts holds it exclusively.
    """

    def __init__(self, folder, part_number):
        self._folder = folder
        self._path = os.path.join(folder, "parts", f"{part_number}.writer")
        self._record = os.path.join(folder, "parts", f"{part_number}.json")
        self._begun = os.path.join(folder, "parts", f"{part_number}.begun")
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
        """Remove the part's record. From here on the part does not count, not even after a power cut."""
        with self._mine():
            if disk.remove(self._record) | disk.remove(self._begun):
                sync_folder(os.path.dirname(self._record))

    def begun(self):
        """(size, CRC-32) of what an earlier connection left of the part: (0, 0) without any."""
        return begun_of(self._begun)

    def note_begun(self, size, crc32, sync):
        """Keep what has arrived, so that the next connection goes on from there."""
        with self._mine():
            sync(self.data)  # first: after a power cut the note must not tell of bytes that are not there
            disk.write_json(self._begun, {"size": size, "crc32": crc32})

    def write(self, block, offset):
        with self._mine():
            disk.write_all(self.data, block, offset)
            os.utime(self._claim)

    def record(self, facts):
        with self._mine():
            disk.write_json(self._record, facts)
            disk.remove(self._begun)

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
                    # The last holder may have removed the file before this lock was granted. Then try again.
                    if disk.is_same(self._path, claim):
                        os.utime(claim)
                        yield claim
                        return
            if time.monotonic() > deadline:
                raise PartBusy
            time.sleep(0.02)

    def _remove_idle(self, claim):
        with self._held(fcntl.LOCK_EX):
            os.utime(self._lock)  # "now" by the clock that dated the claim: a shared disk may have its own
            idle = os.fstat(self._lock).st_mtime - os.fstat(claim).st_mtime
            if idle > PART_IDLE_SECONDS and disk.is_same(self._path, claim):
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
        """Run the block only while this writer holds the part and the upload is open, and keep it so meanwhile.

        Raises PartTakenOver, or MultipartMissing when the upload was completed or aborted.
        """
        with self._held(fcntl.LOCK_SH):
            if not disk.is_same(os.path.join(self._folder, "data"), self.data):
                raise MultipartMissing
            if not disk.is_same(self._path, self._claim):
                raise PartTakenOver
            yield
