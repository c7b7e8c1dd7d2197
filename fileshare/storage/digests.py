"""Checksums worked out beside the writing, so that an upload waits for the slower of the two, not for their sum."""

import hashlib
import zlib
from collections import deque
from concurrent.futures import ThreadPoolExecutor

WAITING_BLOCKS = 2
"""How far the hashing may fall behind the writing; with the next block on its way: three in memory per upload."""


class Digests:
    """CRC-32 and, unless left out, SHA-256 of the blocks given to `update`, in order.

    A body of one block is hashed in line; a longer one in a thread of its own (hashlib and zlib let
    go of the interpreter lock). Use it as a context manager: leaving it ends the thread, and
    `finish` may be called once inside.
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
        """Take the next block; waits while WAITING_BLOCKS are not hashed yet."""
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
        """(sha256 in hex or None, crc32) of everything given."""
        if self._thread is None and self._first is not None:
            self._add(self._first)
        for step in self._waiting:
            step.result()
        return self._sha256 and self._sha256.hexdigest(), self._crc32

    def _add(self, block):
        if self._sha256:
            self._sha256.update(block)
        self._crc32 = zlib.crc32(block, self._crc32)
