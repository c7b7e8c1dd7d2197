"""Read a ZIP as the package of an Office document: check its whole directory, and read its parts by ranged reads.

This reader is stricter than that of the standard library, on purpose. Two programs could read some packages in
different ways: those with two directories, overlapping entries, data before or behind the ZIP, or a part named twice.
Then Office could open content that this check never saw. So such a package is refused.
"""

import re
import stat
import struct
import zlib
from typing import NamedTuple

from .ranged_reader import GIB, KIB, MIB
from .refusals import FileTypeRefused
from .scripts import holds_script
from .unpacking import GRACE_BYTES, MAX_RATIO, READ_THROUGH_BYTES, ArchiveScan, Budget, inflated

MAX_ENTRIES = 10_000
MAX_DIRECTORY_BYTES = 4 * MIB
MAX_UNPACKED_BYTES = 4 * GIB
START_BYTES = 4 * KIB

LOCAL = b"PK\x03\x04"
CENTRAL = b"PK\x01\x02"
END = b"PK\x05\x06"
END_64 = b"PK\x06\x06"
LOCATOR_64 = b"PK\x06\x07"
_LOCAL_SIZE, CENTRAL_SIZE, END_SIZE, END_64_SIZE, LOCATOR_64_SIZE = 30, 46, 22, 56, 20
_MAX_COMMENT = 0xFFFF
MAX_END_BYTES = _MAX_COMMENT + END_SIZE
_DESCRIPTOR_SIZE = 24
STORED, DEFLATED = 0, 8
_ENCRYPTED = 0x2041  # encrypted, strongly encrypted, directory encrypted
_MAX_DEFLATE_RATIO = 1032  # deflate cannot compress further
_MEDIA = re.compile(
    r".+\.(png|jpe?g|jpe|jfif|gif|bmp|tiff?|webp|heic|[ew]m[fz]|wdp|jxr|ico"
    r"|mp3|m4[av]|wav|wm[av]|aac|flac|aiff?|midi?|mp4|mov|avi|mpe?g|mkv|webm)",
    re.IGNORECASE | re.DOTALL,
)
_NEWLINE = re.compile(rb"\r?\n|\r")
_PADDING = re.compile(rb"[\s\0]*")


def end_records(tail):
    """Return [(offset in `tail`, gap)] of the ZIP end records in `tail`, in order. Some may only look like one.

    gap is the number of bytes behind the record and its comment. It is 0 when the ZIP ends exactly where `tail` ends,
    negative when the comment is cut off. One newline at the end, which some mail programs add, does not count.
    """
    found, offset = [], tail.find(END)
    while 0 <= offset <= len(tail) - END_SIZE:
        end = offset + END_SIZE + int.from_bytes(tail[offset + 20 : offset + 22], "little")
        found.append((offset, 0 if _NEWLINE.fullmatch(tail, end) else len(tail) - end))
        offset = tail.find(END, offset + 1)
    return found


def find_zip_end(tail):
    """The last of `end_records(tail)`, or None when `tail` holds none."""
    found = end_records(tail)
    return found[-1] if found else None


def closes(tail, gap):
    """True when the ZIP of an end record with this gap ends where `tail` ends, or before white space and zero bytes."""
    return gap == 0 or (gap > 0 and _PADDING.fullmatch(tail, len(tail) - gap) is not None)


def ends_with_zip(tail):
    """True when a ZIP ends where `tail` ends, or before white space and zero bytes there: ZIP readers skip those.

    Any end record counts. The last one may stand in the comment of another, and have no ZIP of its own.
    """
    return any(closes(tail, gap) for _offset, gap in end_records(tail))


class Entry(NamedTuple):
    """One entry of the ZIP directory; sizes and offset in bytes. `attributes` are those of the system that made it.

    `is_odd` is true when it states another disk, or sizes in a ZIP64 field that it has not.
    """

    raw_name: bytes
    comment: bytes
    flags: int
    method: int
    crc: int
    packed: int
    unpacked: int
    offset: int
    attributes: int
    is_odd: bool

    @property
    def name(self):
        """The name as text; with U+FFFD where it is not in the encoding that the entry states."""
        return self.raw_name.decode("utf-8" if self.flags & 0x800 else "cp437", "replace")

    @property
    def is_encrypted(self):
        """True when the entry, or the directory itself, is encrypted."""
        return bool(self.flags & _ENCRYPTED)

    @property
    def is_link(self):
        """True for a symbolic link: programs that unpack it may write or read where it points to."""
        return stat.S_ISLNK(self.attributes >> 16)


class Package:
    """The ZIP directory of a package. Making it checks everything that the directory alone can tell."""

    def __init__(self, reader):
        self._reader = reader
        start, size, count, comment = _locate_directory(reader)
        if count > MAX_ENTRIES or size > MAX_DIRECTORY_BYTES:
            raise FileTypeRefused("zip_bomb")
        self._directory_start = start
        if holds_script(comment):
            raise FileTypeRefused("executable_content")
        self.entries = list(_parse_directory(reader.read(start, size), count))
        self._by_name = {}
        for entry in self.entries:
            _check_entry(entry)
            # OPC forbids names that differ only in case. Two programs could choose different parts.
            if self._by_name.setdefault(entry.name.lower(), entry) is not entry:
                raise FileTypeRefused("malformed_package")
        self._check_layout()
        self._check_sizes()

    @property
    def fetched(self):
        """The number of bytes fetched from the source so far."""
        return self._reader.fetched

    @property
    def names(self):
        """The names of all parts, in lower case."""
        return self._by_name.keys()

    def find(self, name):
        """The entry of this name. Refuses with `malformed_package` when there is none."""
        entry = self._by_name.get(name.lower())
        if entry is None or entry.name.endswith("/"):
            raise FileTypeRefused("malformed_package")
        return entry

    def read(self, entry, limit):
        """The whole content of a part, its checksum verified. Refuses with `zip_bomb` beyond `limit` bytes."""
        if entry.unpacked > limit or entry.packed > limit:
            raise FileTypeRefused("zip_bomb")
        packed = self._reader.read(self._data_start(entry), entry.packed)
        if entry.method == STORED:
            data = packed
        else:
            inflater, data = _inflate(packed, entry.unpacked + 1)
            if len(data) > entry.unpacked:
                raise FileTypeRefused("zip_bomb")
            if not inflater.eof or inflater.unused_data:
                raise FileTypeRefused("malformed_package")
        if len(data) != entry.unpacked or zlib.crc32(data) != entry.crc:
            raise FileTypeRefused("malformed_package")
        return data

    def read_start(self, entry, length):
        """At most `length` bytes from the start of a part. Reads and inflates no more than that."""
        packed = self._reader.read(self._data_start(entry), min(entry.packed, length))
        if entry.method == STORED:
            return packed
        return _inflate(packed, length)[1]

    def unpack(self, window):
        """Unpack all parts, and yield (entry, at most START_BYTES from its start) for each, in the order of the file.

        `window` is a Window of the same file. Counts what is unpacked, over all levels. Refuses with `zip_bomb` a part
        that is longer than the directory states, and more than the Budget of the file.
        """
        budget = Budget(self._reader.size, most=MAX_UNPACKED_BYTES)
        for entry in sorted(self.entries, key=lambda entry: entry.offset):
            scan, start, length = ArchiveScan(budget), b"", 0
            for block in self._blocks_of(entry, window):
                length += len(block)
                if length > entry.unpacked:
                    raise FileTypeRefused("zip_bomb")
                start += block[: START_BYTES - len(start)]
                budget.spend(len(block))
                scan.feed(block)
            scan.finish()
            yield entry, start

    def _blocks_of(self, entry, window):
        """Yield the content of a part in blocks."""
        position, inflater = self._data_start(entry, window), zlib.decompressobj(-zlib.MAX_WBITS)
        end, read = position + entry.packed, 0
        while position < end and not inflater.eof:
            packed = window.read(position, min(window.BLOCK, end - position))
            position += len(packed)
            if entry.method == STORED:
                yield packed
                read += len(packed)
                # Of a picture or film the start is enough, unless it holds a ZIP. Others are read through.
                if (LOCAL not in packed and _MEDIA.fullmatch(entry.name)) or read >= READ_THROUGH_BYTES:
                    return
                continue
            try:
                yield from inflated(inflater, packed)
            except zlib.error:
                raise FileTypeRefused("malformed_package") from None

    def _data_start(self, entry, reader=None):
        start = data_offset(reader or self._reader, entry)
        if start + entry.packed > self._directory_start:
            raise FileTypeRefused("malformed_package")
        return start

    def _check_layout(self):
        """Refuse entries that overlap, and bytes that belong to no entry."""
        position = 0
        for entry in sorted(self.entries, key=lambda entry: entry.offset):
            if entry.offset < position:
                raise FileTypeRefused("zip_bomb")
            # Between two entries allow a gap: the previous one's local extra field (which may be padding) and data
            # descriptor, whose sizes the directory does not tell.
            if entry.offset > position + (_MAX_COMMENT + _DESCRIPTOR_SIZE if position else 0):
                raise FileTypeRefused("polyglot")
            position = entry.offset + _LOCAL_SIZE + len(entry.raw_name) + entry.packed
        if position > self._directory_start:
            raise FileTypeRefused("malformed_package")
        if position + _MAX_COMMENT + _DESCRIPTOR_SIZE < self._directory_start:
            raise FileTypeRefused("polyglot")

    def _check_sizes(self):
        total = sum(entry.unpacked for entry in self.entries)
        pairs = [(entry.unpacked, entry.packed) for entry in self.entries]
        pairs.append((total, self._reader.size))
        if total > MAX_UNPACKED_BYTES or any(
            unpacked > GRACE_BYTES and unpacked > MAX_RATIO * packed for unpacked, packed in pairs
        ):
            raise FileTypeRefused("zip_bomb")
        for entry in self.entries:
            if entry.method == STORED and entry.packed != entry.unpacked:
                raise FileTypeRefused("malformed_package")
            if entry.unpacked > entry.packed * _MAX_DEFLATE_RATIO + KIB:
                raise FileTypeRefused("malformed_package")


def data_offset(reader, entry):
    """Where the data of an entry begins, behind its own header, which must agree with the directory."""
    header = reader.read(entry.offset, _LOCAL_SIZE)
    signature, flags, method, name_length, extra_length = struct.unpack("<4s2xHH16xHH", header)
    name = reader.read(entry.offset + _LOCAL_SIZE, name_length)
    if signature != LOCAL or method != entry.method or name != entry.raw_name:
        raise FileTypeRefused("malformed_package")
    if flags & _ENCRYPTED:
        raise FileTypeRefused("encrypted_document")
    return entry.offset + _LOCAL_SIZE + name_length + extra_length


def _check_entry(entry):
    """Refuse an entry that no Office program writes."""
    if entry.is_encrypted:
        raise FileTypeRefused("encrypted_document")
    if entry.method not in (STORED, DEFLATED) or entry.is_link or "\ufffd" in entry.name:
        raise FileTypeRefused("malformed_package")
    if holds_script(entry.comment):
        raise FileTypeRefused("executable_content")


def _locate_directory(reader):
    """Return (offset, size, number of entries) of the ZIP directory, and the ZIP's comment.

    The directory must end where the end record begins.
    """
    tail = reader.tail(MAX_END_BYTES)
    found = find_zip_end(tail)
    if found is None:
        # Search further back, only to choose the code: is something appended, or is the end missing?
        found = find_zip_end(reader.tail(MIB))
        raise FileTypeRefused("polyglot" if found and found[1] > 0 else "truncated_file")
    offset, gap = found
    if gap:
        raise FileTypeRefused("polyglot" if gap > 0 else "truncated_file")
    end, comment = reader.size - len(tail) + offset, tail[offset + END_SIZE :]
    disk, directory_disk, count_here, count, size, start = struct.unpack(
        "<4xHHHHII2x", tail[offset : offset + END_SIZE]
    )
    if end >= LOCATOR_64_SIZE and reader.read(end - LOCATOR_64_SIZE, 4) == LOCATOR_64:
        end = struct.unpack("<8xQ4x", reader.read(end - LOCATOR_64_SIZE, LOCATOR_64_SIZE))[0]
        if end + END_64_SIZE + LOCATOR_64_SIZE > reader.size:
            raise FileTypeRefused("malformed_package")
        record = struct.unpack("<4sQ4xIIQQQQ", reader.read(end, END_64_SIZE))
        signature, record_size, disk, directory_disk, count_here, count, size, start = record
        if signature != END_64 or record_size != END_64_SIZE - 12:
            raise FileTypeRefused("malformed_package")
        if end + END_64_SIZE + LOCATOR_64_SIZE + len(tail) - offset != reader.size:
            raise FileTypeRefused("malformed_package")
    if disk or directory_disk or count_here != count or not count:
        raise FileTypeRefused("malformed_package")
    if start + size < end:
        raise FileTypeRefused("polyglot")
    if start + size > end:
        raise FileTypeRefused("malformed_package")
    return start, size, count, comment


def _parse_directory(data, count):
    """Yield the `count` entries of a ZIP directory, which must fill `data` exactly."""
    position = 0
    for _number in range(count):
        start, position = position, position + CENTRAL_SIZE
        if position > len(data) or not data.startswith(CENTRAL, start):
            raise FileTypeRefused("malformed_package")
        position += sum(struct.unpack_from("<HHH", data, start + 28))
        if position > len(data):
            raise FileTypeRefused("malformed_package")
        entry = parse_entry(data[start:position])
        if entry.is_odd:
            raise FileTypeRefused("malformed_package")
        yield entry
    if position != len(data):
        raise FileTypeRefused("malformed_package")


def parse_entry(header):
    """The Entry of one whole header of a ZIP directory."""
    flags, method, crc, packed, unpacked, name_length, extra_length, _comment_length, disk, attributes, offset = (
        struct.unpack_from("<8xHH4xIIIHHHH2xII", header)
    )
    name_end = CENTRAL_SIZE + name_length
    extra_end = name_end + extra_length
    whole = _apply_zip64(header[name_end:extra_end], unpacked, packed, offset, disk)
    unpacked, packed, offset, disk = whole or (unpacked, packed, offset, 1)
    name, comment = header[CENTRAL_SIZE:name_end], header[extra_end:]
    return Entry(name, comment, flags, method, crc, packed, unpacked, offset, attributes, is_odd=disk != 0)


def _apply_zip64(extra, unpacked, packed, offset, disk):
    """Return the four values. Those whose bits are all ones are replaced by the values of the ZIP64 extra field.

    Returns None when the field is missing or too short for that.
    """
    values = {"unpacked": unpacked, "packed": packed, "offset": offset}
    missing = [name for name, value in values.items() if value == 0xFFFFFFFF]
    if not missing and disk != 0xFFFF:
        return unpacked, packed, offset, disk
    position = 0
    while position + 4 <= len(extra):
        field, length = struct.unpack_from("<HH", extra, position)
        position += 4
        if field != 1:
            position += length
            continue
        content = extra[position : position + length]
        if len(content) < 8 * len(missing) + (4 if disk == 0xFFFF else 0):
            break
        for number, name in enumerate(missing):
            values[name] = int.from_bytes(content[8 * number : 8 * number + 8], "little")
        if disk == 0xFFFF:
            disk = int.from_bytes(content[8 * len(missing) : 8 * len(missing) + 4], "little")
        return *values.values(), disk
    return None


def _inflate(packed, limit):
    """Return (the inflater, at most `limit` bytes). Does not trust the sizes that the ZIP states."""
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        return inflater, inflater.decompress(packed, limit)
    except zlib.error:
        raise FileTypeRefused("malformed_package") from None


def is_sound_path(name):
    """True for a relative path of plain names separated by /. A / at the end marks a directory."""
    parts = name.removesuffix("/").split("/")
    return not re.search(r"[\x00-\x1f\x7f\\:]", name) and not {"", ".", ".."} & set(parts)
