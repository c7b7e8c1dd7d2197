"""Count what a file unpacks to, over all levels: bytes that are inflated, never sizes that a ZIP states.

A ZIP may state any size, and a ZIP within a ZIP may hold far more than the outer one. So `ArchiveScan` inflates what it
finds, block by block, and looks for ZIPs in what comes out. It keeps one block for each level in memory.
"""

import re
import zlib

from .ranged_reader import KIB, MIB
from .refusals import FileTypeRefused

GRACE_BYTES = 64 * MIB  # what any file may unpack to
MAX_RATIO = 200  # unpacked : packed, above GRACE_BYTES
MAX_LEVELS = 6  # ZIPs within ZIPs
MAX_HEADERS = 250_000
# To read through a large file in a bucket takes long. So of larger ones only the start is unpacked.
READ_THROUGH_BYTES = 64 * MIB

BLOCK_BYTES = 256 * KIB
_FIRST_BYTES = 512  # data that is not deflated shows it soon
_SIGNATURE = b"PK\x03\x04"
# Version, flags, method, times and sizes; then the lengths of the name and the extra field. Readers that go by the
# directory ignore the former, so they tell nothing about what follows.
_HEADER = re.compile(_SIGNATURE + rb".{22}(..)(..)", re.DOTALL)
_SURE_HEADER = re.compile(_SIGNATURE + rb"[\0-?].{3}\x08\0", re.DOTALL)  # version up to 6.3, method 8
_HEADER_BYTES = 30


class Budget:
    """How much a file of `packed_bytes` may unpack to, over all levels; at most `most` bytes, when given."""

    def __init__(self, packed_bytes, *, most=None):
        allowed = max(GRACE_BYTES, MAX_RATIO * packed_bytes)
        self._bytes = allowed if most is None else min(allowed, most)
        self._headers = MAX_HEADERS

    def spend(self, unpacked_bytes):
        """Count inflated bytes. Refuses with `zip_bomb` more than the budget."""
        self._bytes -= unpacked_bytes
        if self._bytes < 0:
            raise FileTypeRefused("zip_bomb")

    def spend_header(self):
        """Count a header. Refuses with `zip_bomb` more than MAX_HEADERS."""
        self._headers -= 1
        if self._headers < 0:
            raise FileTypeRefused("zip_bomb")


def inflated(inflater, packed):
    """Yield what `packed` inflates to, in pieces of at most BLOCK_BYTES. Raises zlib.error."""
    while packed and not inflater.eof:
        yield inflater.decompress(packed, BLOCK_BYTES)
        packed = inflater.unconsumed_tail


class ArchiveScan:
    """Finds the deflated entries of ZIPs in bytes that are fed to it in order, and counts what they inflate to.

    It goes by the headers in front of the entries, wherever they stand, and not by the directory. Whatever method a
    header states, it tries to inflate what follows. So it sees what any ZIP reader could see. What is encrypted or
    packed by another method fails soon; a ZIP in a stored entry is found by its own headers.
    """

    def __init__(self, budget, level=1):
        self._budget = budget
        self._level = level
        self._rest = b""
        """The start of a header whose end is still to come."""
        self._inflater = None
        self._inner = None
        self._piece_bytes = 0

    def feed(self, data):
        """Look at the next bytes. Refuses with `zip_bomb`."""
        self._feed(data)

    def finish(self):
        """Look at what waited for more bytes; none will come. Refuses with `zip_bomb`."""
        self._end_entry()
        self._feed(b"", is_end=True)
        self._end_entry()

    def _feed(self, data, *, is_end=False):
        data, self._rest = self._rest + data, b""
        position = 0
        while position < len(data):
            position = self._inflate(data, position) if self._inflater else self._seek(data, position, is_end)

    def _end_entry(self):
        inner, self._inflater, self._inner = self._inner, None, None
        if inner:
            inner.finish()

    def _seek(self, data, position, is_end):
        """Look for the next header from `position` on. Returns the position behind it."""
        found = _HEADER.search(data, position)
        if not found:
            start = -1 if is_end else data.find(b"P", max(position, len(data) - _HEADER_BYTES + 1))
            self._rest = data[start:] if start >= 0 else b""
            return len(data)
        end = found.end() + sum(int.from_bytes(length, "little") for length in found.groups())
        if data.find(_SIGNATURE, found.end(), end) >= 0:
            # A header within the name or extra field of another: two ZIP readers would see different entries. Only
            # where the first may be no header but bytes of something else, see what stands behind it.
            if not _SURE_HEADER.match(data, found.start()):
                if end + _FIRST_BYTES > len(data) and not is_end:
                    self._rest = data[found.start() :]
                    return len(data)
                if not _begins_deflated(data[end : end + _FIRST_BYTES]):
                    return found.start() + len(_SIGNATURE)
            raise FileTypeRefused("zip_bomb")
        if end > len(data):
            if not is_end:
                self._rest = data[found.start() :]
            return len(data)
        self._budget.spend_header()
        if self._level > MAX_LEVELS and _begins_deflated(data[end : end + _FIRST_BYTES]):
            raise FileTypeRefused("zip_bomb")
        self._inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        self._inner = ArchiveScan(self._budget, self._level + 1)
        self._piece_bytes = _FIRST_BYTES
        return end

    def _inflate(self, data, position):
        """Inflate the next piece of the entry. Returns the position behind it, or behind the entry where that ends."""
        packed = data[position : position + self._piece_bytes]
        # Begin with small pieces: most entries are short, and what is not deflated shows it soon.
        self._piece_bytes = min(4 * self._piece_bytes, BLOCK_BYTES)
        position += len(packed)
        inflater, tail = self._inflater, packed
        try:
            for block in inflated(inflater, packed):
                self._budget.spend(len(block))
                self._inner.feed(block)
                tail = inflater.unconsumed_tail
        except zlib.error:
            # It is not deflated data, or is damaged. Look for headers in it.
            self._end_entry()
            return position - len(tail)
        if not inflater.eof:
            return position
        self._end_entry()
        return position - len(inflater.unused_data)


def _begins_deflated(packed):
    """True when `packed` holds bytes, and they can be the start of deflated data."""
    try:
        zlib.decompressobj(-zlib.MAX_WBITS).decompress(packed, BLOCK_BYTES)
    except zlib.error:
        return False
    return bool(packed)
