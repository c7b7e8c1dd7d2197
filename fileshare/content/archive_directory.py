"""Walk the directory of a ZIP that may be damaged or built in any way, to see every entry that a reader could see.

ZIP readers disagree about which end record counts, and which of its fields they go by. So this walk goes by few of
them. For each end record in the tail it tries the places where readers look for the directory, and goes on as long as
directory headers follow one another, whatever the stated counts and disk numbers are.
"""

import struct

from .ranged_reader import MIB, Window
from .refusals import FileTypeRefused
from .scripts import holds_script
from .zip_package import (
    CENTRAL,
    CENTRAL_SIZE,
    END_64,
    END_64_SIZE,
    END_SIZE,
    LOCATOR_64,
    LOCATOR_64_SIZE,
    MAX_END_BYTES,
    closes,
    end_records,
    parse_entry,
)

MAX_DIRECTORY_BYTES = 64 * MIB
_LEAST_COST = 128  # bytes that an entry counts at least: short ones take time too
_ALL_ONES = 0xFFFFFFFF


def entries_of(source):
    """Yield (Entry, shift) for each entry of the ZIP in `source`. Some readers add the shift to the entry's offset.

    As ZIP readers do, this forgives other data before and behind the ZIP. A ZIP without an end record has no entries.
    Refuses with `executable_content` a script in the ZIP's comment; with `malformed_package` a directory that does not
    lead to its end record; with `zip_bomb` directories of more than MAX_DIRECTORY_BYTES.
    """
    window = Window(source)
    tail = window.tail(MAX_END_BYTES)
    found = end_records(tail)
    left = MAX_DIRECTORY_BYTES
    for offset, gap in found:
        is_last = offset == found[-1][0]
        # A reader may take any of these for the end. The others are those of ZIPs within, or no end records at all.
        is_end = is_last or closes(tail, gap)
        if is_end and holds_script(tail[offset + END_SIZE : len(tail) if is_last else len(tail) - gap]):
            raise FileTypeRefused("executable_content")
        end, before, stated = _places(window, tail[offset : offset + END_SIZE], window.size - len(tail) + offset)
        reached = False
        for start in {before, *stated} if is_end else {before}:
            position = start
            while position != end and (read := _entry_at(window, position)):
                entry, length = read
                left -= max(length, _LEAST_COST)
                if left < 0:
                    raise FileTypeRefused("zip_bomb")
                position += length
                yield entry, before - stated[0]
            if window.fetched > 2 * MAX_DIRECTORY_BYTES:
                raise FileTypeRefused("zip_bomb")
            reached = reached or position == end
        if is_end and not reached:
            raise FileTypeRefused("malformed_package")


def _places(window, record, end):
    """Return (where the directory ends, where it starts by its size, the starts that records state)."""
    size, start = struct.unpack("<12xII2x", record)
    stated = [start]
    if end >= LOCATOR_64_SIZE + END_64_SIZE:
        signature, place = struct.unpack("<4s4xQ4x", window.read(end - LOCATOR_64_SIZE, LOCATOR_64_SIZE))
        if signature == LOCATOR_64:
            for position in (end - LOCATOR_64_SIZE - END_64_SIZE, place):
                record = _bytes_at(window, position, END_64_SIZE)
                if record.startswith(END_64):
                    end = position
                    size, start = struct.unpack("<40xQQ", record)
                    stated.insert(0, start)
                    break
    return end, end - size, stated


def _entry_at(window, position):
    """Read the directory header at `position`. Return (Entry, length of the header), or None without a header."""
    fixed = _bytes_at(window, position, CENTRAL_SIZE)
    if not fixed.startswith(CENTRAL):
        return None
    length = CENTRAL_SIZE + sum(struct.unpack("<28xHHH12x", fixed))
    header = _bytes_at(window, position, length)
    return (parse_entry(header), length) if header else None


def _bytes_at(window, position, length):
    """The bytes there, or none when the file does not hold them all."""
    if position < 0 or position + length > window.size:
        return b""
    return window.read(position, length)
