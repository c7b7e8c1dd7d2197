"""Compute checksums in a thread while the bytes are written. An upload then takes as long as the slower of the two."""

import hashlib
import zlib
from collections import deque
from concurrent.futures import ThreadPoolExecutor

WAITING_BLOCKS = 2
"""How many blocks the hashing may lag behind the writing. With the next one, an upload holds three in memory."""


class Digests:
    """CRC-32 and, with `sha256`, SHA-256 of the blocks given to `update`, in order.

    A body of one block is hashed in the caller's thread, a longer one in a separate thread: hashlib and zlib release
    the interpreter lock. Use it as a context manager and call `finish` inside; leaving it ends the thread.
    """

    def __init__(self, *, sha256=True):
        self._sha256 = hashlib.sha256() if sha256 else None
        self._crc32 = 0
        self._first = None
        self._thread = None
        self._waiting = deque()

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        if self._thread:
            self._thread.shutdown()

    def update(self, block):
        """Take the next block. Waits when more than WAITING_BLOCKS are not hashed yet."""
        if self._thread is None:
            if self._first is None:
                self._first = block
                return
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="digests")
            self._waiting.append(self._thread.submit(self._add, self._first))
            self._first = b""
        self._waiting.append(self._thread.submit(self._add, block))
        if len(self._waiting) > WAITING_BLOCKS:
            self._waiting.popleft().result()

    def finish(self):
        """(sha256 in hex or None, crc32) of all blocks so far. More may follow."""
        if self._thread is None and self._first is not None:
            self._add(self._first)
            self._first = b""
        for step in self._waiting:
            step.result()
        return self._sha256 and self._sha256.hexdigest(), self._crc32

    def _add(self, block):
        if self._sha256:
            self._sha256.update(block)
        self._crc32 = zlib.crc32(block, self._crc32)
