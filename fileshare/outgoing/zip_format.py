"""The layout of a ZIP without compression, computed from the sizes of its files before any byte is read.

The format is APPNOTE.TXT 6.3.10 (PKWARE). Entries are stored, names are UTF-8; ZIP64 fields appear only where a number
needs them. `Layout` knows the length of the archive and what each range of it consists of. So a download has an exact
length and can be resumed. A CRC that is not known when the archive is made is put behind the bytes of its file, in a
data descriptor. Its value does not change the length.

MS-DOS times have no zone. An extended timestamp (Info-ZIP's extra field UT) holds the moment itself, in UTC.
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
TIMESTAMP_EXTRA = b"UT"
FORMAT = 2
"""Part of an archive's ETag. Change it with the layout: the rest of an archive does not fit a start of another form."""
VERSION, VERSION_ZIP64 = 20, 45


class Entry(NamedTuple):
    """A file of the archive. `path` uses /. `source` is any object by which the caller finds the file's bytes.

    `crc32()` is called when the archive is sent up to the place of the CRC; with `crc_behind` that place is behind the
    file's bytes.
    """

    path: str
    size_bytes: int
    crc32: Callable[[], int]
    modified_at: object
    source: object
    crc_behind: bool = False


class _Run(NamedTuple):
    """`length` successive bytes of the archive: those of `source`, or what `make()` returns."""

    length: int
    make: Callable[[], bytes] | None = None
    source: object = None


class Piece(NamedTuple):
    """The bytes of a run from `start` up to, not including, `end`. Without a `source`, `made` computes them."""

    run: _Run
    start: int
    end: int

    @property
    def source(self):
        """The `source` of the entry whose bytes these are, or None."""
        return self.run.source

    def made(self):
        """The bytes of a piece without a source. Only this call asks for the CRCs in it."""
        return self.run.make()[self.start : self.end]


class Layout:
    """The place of each byte of an archive of `entries`."""

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
    """A CRC for headers of which only the length is needed."""
    return 0


def _dos_time(moment):
    """(date, time) in the format of MS-DOS: steps of two seconds, years 1980 to 2107."""
    year = min(max(moment.year, 1980), 2107)
    date = (year - 1980) << 9 | moment.month << 5 | moment.day
    return date, moment.hour << 11 | moment.minute << 5 | moment.second // 2


def _timestamp(moment):
    """The extended timestamp: the time of modification in seconds since 1970; empty when 31 bits do not hold it."""
    seconds = int(moment.timestamp())
    return struct.pack("<2sHBI", TIMESTAMP_EXTRA, 5, 1, seconds) if 0 <= seconds < 1 << 31 else b""


def _zip64(*numbers):
    """The ZIP64 extra field with the numbers that do not fit into 32 bits; empty when all fit."""
    large = [number for number in numbers if number >= LIMIT_32]
    return struct.pack(f"<HH{len(large)}Q", ZIP64_EXTRA, 8 * len(large), *large) if large else b""


def _local_header(entry):
    name = entry.path.encode()
    date, time = _dos_time(entry.modified_at)
    # In a local header the ZIP64 field must hold both sizes or be absent.
    zip64 = _zip64(entry.size_bytes, entry.size_bytes)
    extra = zip64 + _timestamp(entry.modified_at)
    size = min(entry.size_bytes, LIMIT_32)
    version = VERSION_ZIP64 if zip64 else VERSION
    # Write the sizes here even when the CRC follows later: a program that reads from front to back needs them.
    crc32 = 0 if entry.crc_behind else entry.crc32()
    head = struct.pack(
        "<4s5H3I2H", b"PK\3\4", version, _flags(entry), 0, time, date, crc32, size, size, len(name), len(extra)
    )
    return head + name + extra


def _flags(entry):
    return UTF8 | (CRC_BEHIND if entry.crc_behind else 0)


def _descriptor(entry):
    """The data descriptor, which holds the CRC behind the bytes of an entry with `crc_behind` (4.3.9)."""
    sizes = "2Q" if entry.size_bytes >= LIMIT_32 else "2I"
    return struct.pack(f"<4sI{sizes}", b"PK\7\x08", entry.crc32(), entry.size_bytes, entry.size_bytes)


def _directory(places, start):
    """The central directory of [(entry, offset)], which begins at `start`, and its end record."""
    headers = b"".join(_directory_header(entry, offset) for entry, offset in places)
    return headers + _end(len(places), len(headers), start)


def _directory_header(entry, offset):
    name = entry.path.encode()
    date, time = _dos_time(entry.modified_at)
    zip64 = _zip64(entry.size_bytes, entry.size_bytes, offset)
    extra = zip64 + _timestamp(entry.modified_at)
    size = min(entry.size_bytes, LIMIT_32)
    version = VERSION_ZIP64 if zip64 else VERSION
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
    """The end record of the central directory, preceded by ZIP64's record and locator where a number needs them."""
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
