"""A stored ZIP as arithmetic: with sizes and CRCs known beforehand, every byte's place is known too.

APPNOTE.TXT 6.3.10 (PKWARE). Entries are stored, names UTF-8; ZIP64 fields appear only where a number
needs them. `Layout` says how long the archive is and what any range of it is made of, so a download
has an exact length and can be resumed. A CRC nobody has worked out yet may be told behind its bytes
(a data descriptor): that changes what stands there, never how long it is.
"""

import struct
from bisect import bisect_right
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

LIMIT_32 = 0xFFFFFFFF
LIMIT_16 = 0xFFFF
UTF8 = 0x0800
CRC_BEHIND = 0x0008
MADE_ON_UNIX = 3 << 8
PLAIN_FILE = 0o100644 << 16
ZIP64_EXTRA = 0x0001
VERSION, VERSION_ZIP64 = 20, 45


class Entry(NamedTuple):
    """A file of the archive. `path` has /, `source` is whatever its reader finds the bytes by.

    `crc32()` is asked for when its place comes; with `crc_behind` not before the bytes have been read.
    """

    path: str
    size_bytes: int
    crc32: Callable[[], int]
    modified_at: object
    source: object
    crc_behind: bool = False


class _Run(NamedTuple):
    """What lies at a place of the archive: the bytes of `source`, or what `make()` gives."""

    length: int
    make: Callable[[], bytes] | None = None
    source: object = None


class Piece(NamedTuple):
    """A run of bytes from `start` up to `end`: of `source`, or where that is None of what is worked out."""

    run: _Run
    start: int
    end: int

    @property
    def source(self):
        """Where the bytes come from, or None."""
        return self.run.source

    def made(self):
        """The bytes of a piece without a source. A CRC is asked for now, and not before."""
        return self.run.make()[self.start : self.end]


class Layout:
    """Where everything of an archive of `entries` lies."""

    def __init__(self, entries):
        self._starts, self._runs, self.size_bytes = [], [], 0
        directory = []
        for entry in entries:
            directory.append((entry, self.size_bytes))
            self._add_made(partial(_local_header, entry), len(_local_header(entry._replace(crc32=_no_crc))))
            self._add(_Run(entry.size_bytes, source=entry.source))
            if entry.crc_behind:
                self._add_made(partial(_descriptor, entry), len(_descriptor(entry._replace(crc32=_no_crc))))
        start = self.size_bytes
        unsigned = [(entry._replace(crc32=_no_crc), offset) for entry, offset in directory]
        self._add_made(partial(_directory, directory, start), len(_directory(unsigned, start)))

    def _add_made(self, make, length):
        self._add(_Run(length, make=make))

    def _add(self, run):
        if run.length:
            self._starts.append(self.size_bytes)
            self._runs.append(run)
            self.size_bytes += run.length

    def pieces(self, start, end):
        """Yield the Pieces that make up the bytes from `start` up to, not including, `end`."""
        index = max(0, bisect_right(self._starts, start) - 1)
        while start < end:
            run, base = self._runs[index], self._starts[index]
            first, last = start - base, min(run.length, end - base)
            yield Piece(run, first, last)
            start = base + last
            index += 1


def _no_crc():
    """Stands in where only a length is asked for."""
    return 0


def _dos_time(moment):
    """(date, time) of MS-DOS: two-second steps, 1980 to 2107."""
    year = min(max(moment.year, 1980), 2107)
    date = (year - 1980) << 9 | moment.month << 5 | moment.day
    return date, moment.hour << 11 | moment.minute << 5 | moment.second // 2


def _zip64(*numbers):
    """The extra field of the numbers that do not fit into 32 bits; empty when all do."""
    large = [number for number in numbers if number >= LIMIT_32]
    return struct.pack(f"<HH{len(large)}Q", ZIP64_EXTRA, 8 * len(large), *large) if large else b""


def _local_header(entry):
    name = entry.path.encode()
    date, time = _dos_time(entry.modified_at)
    # Here the format wants both sizes in the extra field, or none.
    extra = _zip64(entry.size_bytes, entry.size_bytes)
    size = min(entry.size_bytes, LIMIT_32)
    version = VERSION_ZIP64 if extra else VERSION
    # The sizes stand here in any case: a reader that goes from front to back needs them.
    crc32 = 0 if entry.crc_behind else entry.crc32()
    head = struct.pack(
        "<4s5H3I2H", b"PK\3\4", version, _flags(entry), 0, time, date, crc32, size, size, len(name), len(extra)
    )
    return head + name + extra


def _flags(entry):
    return UTF8 | (CRC_BEHIND if entry.crc_behind else 0)


def _descriptor(entry):
    """What follows the bytes of an entry whose CRC was not known before them (4.3.9)."""
    sizes = "2Q" if entry.size_bytes >= LIMIT_32 else "2I"
    return struct.pack(f"<4sI{sizes}", b"PK\7\x08", entry.crc32(), entry.size_bytes, entry.size_bytes)


def _directory(places, start):
    """The central directory of [(entry, offset)], which begins at `start`, and its end."""
    headers = b"".join(_directory_header(entry, offset) for entry, offset in places)
    return headers + _end(len(places), len(headers), start)


def _directory_header(entry, offset):
    name = entry.path.encode()
    date, time = _dos_time(entry.modified_at)
    extra = _zip64(entry.size_bytes, entry.size_bytes, offset)
    size = min(entry.size_bytes, LIMIT_32)
    version = VERSION_ZIP64 if extra else VERSION
    head = struct.pack(
        "<4s6H3I5H2I",
        b"PK\1\2",
        MADE_ON_UNIX | version,
        version,
        _flags(entry),
        0,
        time,
        date,
        entry.crc32(),
        size,
        size,
        len(name),
        len(extra),
        0,
        0,
        0,
        PLAIN_FILE,
        min(offset, LIMIT_32),
    )
    return head + name + extra


def _end(count, size, start):
    """The end of the central directory, with ZIP64's record and locator where a number needs them."""
    plain = struct.pack(
        "<4s4H2IH",
        b"PK\5\6",
        0,
        0,
        min(count, LIMIT_16),
        min(count, LIMIT_16),
        min(size, LIMIT_32),
        min(start, LIMIT_32),
        0,
    )
    if count < LIMIT_16 and size < LIMIT_32 and start < LIMIT_32:
        return plain
    version = MADE_ON_UNIX | VERSION_ZIP64
    record = struct.pack("<4sQ2H2I4Q", b"PK\6\6", 44, version, VERSION_ZIP64, 0, 0, count, count, size, start)
    locator = struct.pack("<4sIQI", b"PK\6\7", 0, start + size, 1)
    return record + locator + plain
