"""Is this really a Word, Excel or PowerPoint package, of the very kind its name says, and harmless?

The package is judged from its ZIP directory and the few parts that say what it
is, by ranged reads: it is never fetched whole nor unpacked. The ZIP reader here
is stricter than the standard library's on purpose. Where two programs could
read a package in two ways (two directories, overlapping entries, data before or
behind it, a part named twice), one of them could be shown what the other never
checked; so such a package is refused, not interpreted.
"""

import codecs
import re
import struct
import zlib
from typing import NamedTuple
from xml.parsers import expat

from django.utils.translation import gettext_lazy as _

from fileshare.file_types import PROGRAMS, SCRIPTS, SHORTCUTS, FileTypeRefused

KIB, MIB, GIB = 1024, 1024**2, 1024**3

MAX_ENTRIES = 10_000
MAX_DIRECTORY_BYTES = 4 * MIB
MAX_UNPACKED_BYTES = 4 * GIB
MAX_RATIO = 200  # unpacked : packed, asked of what unpacks to more than RATIO_GRACE_BYTES
RATIO_GRACE_BYTES = 64 * MIB
MAX_SMALL_PART_BYTES = 1 * MIB  # [Content_Types].xml and _rels/.rels
MAX_MAIN_PART_BYTES = 4 * MIB  # larger main parts are judged by their start only
MAX_MAIN_PACKED_BYTES = 1 * MIB
MAIN_START_BYTES = 64 * KIB
PROLOG_BYTES = 4 * KIB
PROLOG_BUDGET_BYTES = 1 * MIB  # what may be fetched to look at the starts of the other XML parts
MAX_XML_ELEMENTS = 100_000
MAX_XML_DEPTH = 256

OLE_MAGIC = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
ENCRYPTED_OLE_NAME = "EncryptedPackage".encode("utf-16-le")

_LOCAL = b"PK\x03\x04"
_CENTRAL = b"PK\x01\x02"
_END = b"PK\x05\x06"
_END_64 = b"PK\x06\x06"
_LOCATOR_64 = b"PK\x06\x07"
_LOCAL_SIZE, _CENTRAL_SIZE, _END_SIZE, _END_64_SIZE, _LOCATOR_64_SIZE = 30, 46, 22, 56, 20
_MAX_COMMENT = 0xFFFF
_DESCRIPTOR_SIZE = 24
_STORED, _DEFLATED = 0, 8
_MAX_DEFLATE_RATIO = 1032  # deflate cannot do better

_TYPES_NS = "http://schemas.openxmlformats.org/package/2006/content-types"
_RELS_NS = "http://schemas.openxmlformats.org/package/2006/relationships"
_MAIN_RELATIONS = {
    "http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument",
    "http://purl.oclc.org/ooxml/officeDocument/relationships/officeDocument",
}
_PREFIX = "application/vnd.openxmlformats-officedocument."
_MAIN_TYPES = {
    "docx": _PREFIX + "wordprocessingml.document.main+xml",
    "dotx": _PREFIX + "wordprocessingml.template.main+xml",
    "xlsx": _PREFIX + "spreadsheetml.sheet.main+xml",
    "xltx": _PREFIX + "spreadsheetml.template.main+xml",
    "pptx": _PREFIX + "presentationml.presentation.main+xml",
    "potx": _PREFIX + "presentationml.template.main+xml",
    "ppsx": _PREFIX + "presentationml.slideshow.main+xml",
}
_ROOTS = {"wordprocessingml": "document", "spreadsheetml": "workbook", "presentationml": "presentation"}
_MACRO_TYPE = re.compile(r"macroenabled|vba|macrosheet|activex", re.IGNORECASE)
_MACRO_PART = re.compile(r"(^|/)(vbaproject|vbadata|activex|macrosheets/|attachedtoolbars)", re.IGNORECASE)
_HARMFUL_PARTS = PROGRAMS | SCRIPTS | SHORTCUTS

EXTENSIONS = frozenset(_MAIN_TYPES)

MESSAGES = {
    "not_ooxml": _("This is not a Word, Excel or PowerPoint file."),
    "macro_enabled": _("Files with macros or active controls are not taken."),
    "encrypted_document": _("Files locked by a password are not taken: nobody could check them."),
    "legacy_office_document": _("This is an old Office format. Save it as .docx, .xlsx or .pptx."),
    "wrong_ooxml_kind": _("This is another kind of Office file than its name says."),
    "malformed_package": _("The file is damaged or built in an unusual way."),
    "zip_bomb": _("The file would unpack to far more than it should."),
    "xml_bomb": _("The file holds XML that may not be read safely."),
    "polyglot": _("The file holds other data before or behind its content."),
    "truncated_file": _("The file is cut off; part of it is missing."),
    "executable_content": _("The file holds a program or a script."),
}


def inspect(source, extension):
    """Check that `source` is a sound and harmless package of exactly the kind `extension` names.

    source: a seekable binary file; it may be slow (ranged reads of an object),
    so it is read in blocks of 64 KiB: its end, its ZIP directory (at most 4 MiB),
    the parts that say what it is, and the starts of other XML parts as far as
    one MiB of reads goes. Its position afterwards is not defined.
    extension: one of EXTENSIONS.

    Raises FileTypeRefused (415) with one of the codes in MESSAGES. Embedded
    OLE objects and links to outside are let through; only macros are not.
    """
    main_type = _MAIN_TYPES[extension]
    reader = Reader(source)
    _check_start(reader)
    package = _Package(reader)
    package.check_names()
    types = _ContentTypes(package.read_small("[Content_Types].xml"))
    main = package.find(_main_target(package.read_small("_rels/.rels")))
    _check_kind(types.of(main.name), main_type)
    _check_main_part(package, main, main_type)
    _check_prologs(package, skip=main)


def refusal(code):
    """The FileTypeRefused of this module for one of the codes in MESSAGES."""
    return FileTypeRefused(code, MESSAGES[code])


class Reader:
    """Reads a seekable binary file by offset, in 64 KiB blocks that are fetched once and kept.

    `size` is the file's length, `fetched` the number of bytes asked of it so far.
    """

    BLOCK = 64 * KIB

    def __init__(self, source):
        self._source = source
        self._blocks = {}
        self.size = source.seek(0, 2)
        self.fetched = 0

    def read(self, offset, length):
        """Return exactly `length` bytes at `offset`; refuses (`truncated_file`) when there are not so many."""
        if offset < 0 or offset + length > self.size:
            raise refusal("truncated_file")
        first, last = offset // self.BLOCK, (offset + length - 1) // self.BLOCK
        data = b"".join(self._block(number) for number in range(first, last + 1))
        start = offset - first * self.BLOCK
        return data[start : start + length]

    def head(self, length):
        """Return the first `length` bytes, or all there are."""
        return self.read(0, min(length, self.size))

    def tail(self, length):
        """Return the last `length` bytes, or all there are."""
        length = min(length, self.size)
        return self.read(self.size - length, length)

    def _block(self, number):
        if number not in self._blocks:
            start = number * self.BLOCK
            self._blocks[number] = read_exactly(self._source, start, min(self.BLOCK, self.size - start))
            self.fetched += len(self._blocks[number])
        return self._blocks[number]


def read_exactly(source, offset, length):
    """Return `length` bytes at `offset`, also from a source that gives fewer at a time.

    Raises FileTypeRefused `truncated_file` when the source ends before that.
    """
    source.seek(offset)
    pieces = []
    while length > 0:
        piece = source.read(length)
        if not piece:
            raise refusal("truncated_file")
        pieces.append(piece)
        length -= len(piece)
    return b"".join(pieces)


def find_zip_end(tail):
    """Return (offset in `tail`, gap) of the last ZIP end record, or None when `tail` holds none.

    gap is the number of bytes behind the record and its comment: 0 when the ZIP
    ends exactly where `tail` does, negative when the comment is cut off.
    """
    offset = tail.rfind(_END)
    while offset >= 0:
        if offset + _END_SIZE <= len(tail):
            comment_length = int.from_bytes(tail[offset + 20 : offset + 22], "little")
            return offset, len(tail) - offset - _END_SIZE - comment_length
        offset = tail.rfind(_END, 0, offset)
    return None


def ole_directory(reader):
    """Return the first sectors of an OLE file's directory (at most 64 KiB), b"" when the header names none."""
    header = reader.head(512)
    if len(header) < 512:
        return b""
    shift = int.from_bytes(header[30:32], "little")
    offset = (int.from_bytes(header[48:52], "little") + 1) << min(shift, 12)
    return reader.read(offset, min(64 * KIB, reader.size - offset)) if offset < reader.size else b""


def parse_xml(data, *, whole=True):
    """Return [(depth, namespace, name, attributes)] of the XML in `data`, in order of their start tags.

    Only UTF-8 and UTF-16 with a byte order mark are read (what OPC allows). With
    whole=False `data` is the start of a document and may end anywhere.
    Refuses `xml_bomb` for a document type declaration (and with it any entity),
    too many or too deep elements; `malformed_package` for what is no XML.
    """
    text = _decode_xml(data, whole)
    elements, depth = [], 0

    def start(name, attributes):
        nonlocal depth
        namespace, _space, local = name.rpartition(" ")
        elements.append((depth, namespace, local, attributes))
        depth += 1
        if len(elements) > MAX_XML_ELEMENTS or depth > MAX_XML_DEPTH:
            raise refusal("xml_bomb")

    def end(name):
        nonlocal depth
        depth -= 1

    def declaration(*args):
        raise refusal("xml_bomb")

    # The text is UTF-8 by now, whatever its own declaration says.
    parser = expat.ParserCreate("utf-8", " ")
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.StartDoctypeDeclHandler = declaration
    parser.EntityDeclHandler = declaration
    try:
        parser.Parse(text.encode(), whole)
    except expat.ExpatError:
        raise refusal("malformed_package") from None
    return elements


def _decode_xml(data, whole):
    """Return the text of an XML part: UTF-8, or UTF-16 with its mark; refuses everything else."""
    if data.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        raise refusal("malformed_package")
    encoding = "utf-16" if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"
    try:
        text = codecs.getincrementaldecoder(encoding)().decode(data, whole)
    except UnicodeError:
        raise refusal("malformed_package") from None
    declared = re.match(r"<\?xml[^>]{0,200}?encoding\s*=\s*[\"']([^\"']*)[\"']", text)
    allowed = ("utf-16",) if encoding == "utf-16" else ("utf-8", "us-ascii", "ascii")
    if "\0" in text or (declared and declared[1].lower() not in allowed):
        raise refusal("malformed_package")
    return text


class _Entry(NamedTuple):
    """One line of the ZIP directory; sizes and offset in bytes."""

    name: str
    raw_name: bytes
    method: int
    crc: int
    packed: int
    unpacked: int
    offset: int


class _Package:
    """The ZIP directory of a package, checked for everything that can be told from it."""

    def __init__(self, reader):
        self._reader = reader
        start, size, count = _locate_directory(reader)
        if count > MAX_ENTRIES or size > MAX_DIRECTORY_BYTES:
            raise refusal("zip_bomb")
        self._directory_start = start
        self.entries = _parse_directory(reader.read(start, size), count)
        self._by_name = {}
        for entry in self.entries:
            # Part names differ by more than case, says OPC; a reader may take either of two.
            if self._by_name.setdefault(entry.name.lower(), entry) is not entry:
                raise refusal("malformed_package")
        self._check_layout()
        self._check_sizes()

    @property
    def fetched(self):
        """Bytes asked of the source so far."""
        return self._reader.fetched

    def check_names(self):
        """Refuse a ZIP without the two parts every package has, paths that lead outside, macros and programs."""
        if not {"[content_types].xml", "_rels/.rels"} <= self._by_name.keys():
            raise refusal("not_ooxml")
        for entry in self.entries:
            if not _is_sound_path(entry.name):
                raise refusal("malformed_package")
        for entry in self.entries:
            if _MACRO_PART.search(entry.name):
                raise refusal("macro_enabled")
            if entry.name.rpartition("/")[2].rpartition(".")[2].lower() in _HARMFUL_PARTS and "." in entry.name:
                raise refusal("executable_content")

    def find(self, name):
        """The entry of this name; refuses `malformed_package` when there is none."""
        entry = self._by_name.get(name.lower())
        if entry is None or entry.name.endswith("/"):
            raise refusal("malformed_package")
        return entry

    def read_small(self, name):
        """The content of a part that may have at most MAX_SMALL_PART_BYTES."""
        return self.read(self.find(name), MAX_SMALL_PART_BYTES)

    def read(self, entry, limit):
        """The whole content of a part, its checksum proved; `zip_bomb` when it is more than `limit` bytes."""
        if entry.unpacked > limit or entry.packed > limit:
            raise refusal("zip_bomb")
        packed = self._reader.read(self._data_start(entry), entry.packed)
        if entry.method == _STORED:
            data = packed
        else:
            inflater, data = _inflate(packed, entry.unpacked + 1)
            if len(data) > entry.unpacked:
                raise refusal("zip_bomb")
            if not inflater.eof or inflater.unused_data:
                raise refusal("malformed_package")
        if len(data) != entry.unpacked or zlib.crc32(data) != entry.crc:
            raise refusal("malformed_package")
        return data

    def read_start(self, entry, length):
        """At most `length` bytes from the start of a part; no more than that much is fetched or inflated."""
        packed = self._reader.read(self._data_start(entry), min(entry.packed, length))
        if entry.method == _STORED:
            return packed
        return _inflate(packed, length)[1]

    def _data_start(self, entry):
        header = self._reader.read(entry.offset, _LOCAL_SIZE)
        signature, flags, method, name_length, extra_length = struct.unpack("<4s2xHH16xHH", header)
        name = self._reader.read(entry.offset + _LOCAL_SIZE, name_length)
        if signature != _LOCAL or method != entry.method or name != entry.raw_name:
            raise refusal("malformed_package")
        if flags & 0x2041:
            raise refusal("encrypted_document")
        start = entry.offset + _LOCAL_SIZE + name_length + extra_length
        if start + entry.packed > self._directory_start:
            raise refusal("malformed_package")
        return start

    def _check_layout(self):
        """Refuse entries that share bytes, and bytes no entry owns."""
        position = 0
        for entry in sorted(self.entries, key=lambda entry: entry.offset):
            if entry.offset < position:
                raise refusal("zip_bomb")
            # What the directory does not tell: the local extra field (padding, too) and a data descriptor.
            if entry.offset > position + (_MAX_COMMENT + _DESCRIPTOR_SIZE if position else 0):
                raise refusal("polyglot")
            position = entry.offset + _LOCAL_SIZE + len(entry.raw_name) + entry.packed
        if position > self._directory_start:
            raise refusal("malformed_package")
        if position + _MAX_COMMENT + _DESCRIPTOR_SIZE < self._directory_start:
            raise refusal("polyglot")

    def _check_sizes(self):
        total = sum(entry.unpacked for entry in self.entries)
        pairs = [(entry.unpacked, entry.packed) for entry in self.entries]
        pairs.append((total, self._reader.size))
        if total > MAX_UNPACKED_BYTES or any(
            unpacked > RATIO_GRACE_BYTES and unpacked > MAX_RATIO * packed for unpacked, packed in pairs
        ):
            raise refusal("zip_bomb")
        for entry in self.entries:
            if entry.method == _STORED and entry.packed != entry.unpacked:
                raise refusal("malformed_package")
            if entry.unpacked > entry.packed * _MAX_DEFLATE_RATIO + KIB:
                raise refusal("malformed_package")


class _ContentTypes:
    """[Content_Types].xml: which type each part has."""

    def __init__(self, data):
        self._defaults, self._overrides = {}, {}
        elements = parse_xml(data)
        if elements[0][1:3] != (_TYPES_NS, "Types"):
            raise refusal("not_ooxml")
        for depth, namespace, name, attributes in elements[1:]:
            content_type = attributes.get("ContentType", "").strip().lower()
            if _MACRO_TYPE.search(content_type):
                raise refusal("macro_enabled")
            if depth != 1 or namespace != _TYPES_NS:
                continue
            if name == "Default":
                table, key = self._defaults, attributes.get("Extension", "").lower()
            else:
                table, key = self._overrides, attributes.get("PartName", "").lower()
            if table.setdefault(key, content_type) != content_type:
                raise refusal("malformed_package")

    def of(self, part):
        """The content type of the part of this name, in lower case; '' when it has none."""
        part = part.lower()
        return self._overrides.get("/" + part) or self._defaults.get(part.rpartition(".")[2], "")


def _check_start(reader):
    """Refuse what does not begin as a ZIP does, by what it is instead."""
    head = reader.head(8)
    if len(head) < 8:
        raise refusal("truncated_file" if head and _LOCAL.startswith(head[:4]) else "not_ooxml")
    if head == OLE_MAGIC:
        # Office wraps a document with a password in an OLE file.
        places = (ole_directory(reader), reader.head(64 * KIB), reader.tail(64 * KIB))
        encrypted = any(ENCRYPTED_OLE_NAME in place for place in places)
        raise refusal("encrypted_document" if encrypted else "legacy_office_document")
    if not head.startswith(_LOCAL):
        is_zip_behind = find_zip_end(reader.tail(_MAX_COMMENT + _END_SIZE)) and not head.startswith(b"PK")
        raise refusal("polyglot" if is_zip_behind else "not_ooxml")


def _locate_directory(reader):
    """Return (offset, size, number of entries) of the ZIP directory; it must fill the space up to the end record."""
    tail = reader.tail(_MAX_COMMENT + _END_SIZE)
    found = find_zip_end(tail)
    if found is None:
        # A longer look only tells 'something was appended' from 'the end is missing'.
        found = find_zip_end(reader.tail(MIB))
        raise refusal("polyglot" if found and found[1] > 0 else "truncated_file")
    offset, gap = found
    if gap:
        raise refusal("polyglot" if gap > 0 else "truncated_file")
    end = reader.size - len(tail) + offset
    disk, directory_disk, count_here, count, size, start = struct.unpack(
        "<4xHHHHII2x", tail[offset : offset + _END_SIZE]
    )
    if end >= _LOCATOR_64_SIZE and reader.read(end - _LOCATOR_64_SIZE, 4) == _LOCATOR_64:
        end = struct.unpack("<8xQ4x", reader.read(end - _LOCATOR_64_SIZE, _LOCATOR_64_SIZE))[0]
        if end + _END_64_SIZE + _LOCATOR_64_SIZE > reader.size:
            raise refusal("malformed_package")
        record = struct.unpack("<4sQ4xIIQQQQ", reader.read(end, _END_64_SIZE))
        signature, record_size, disk, directory_disk, count_here, count, size, start = record
        if signature != _END_64 or record_size != _END_64_SIZE - 12:
            raise refusal("malformed_package")
        if end + _END_64_SIZE + _LOCATOR_64_SIZE + len(tail) - offset != reader.size:
            raise refusal("malformed_package")
    if disk or directory_disk or count_here != count or not count:
        raise refusal("malformed_package")
    if start + size < end:
        raise refusal("polyglot")
    if start + size > end:
        raise refusal("malformed_package")
    return start, size, count


def _parse_directory(data, count):
    """Return the `count` entries of a ZIP directory, which must fill `data` exactly."""
    entries, position = [], 0
    for _number in range(count):
        fixed = data[position : position + _CENTRAL_SIZE]
        if len(fixed) < _CENTRAL_SIZE or not fixed.startswith(_CENTRAL):
            raise refusal("malformed_package")
        flags, method, crc, packed, unpacked, name_length, extra_length, comment_length, disk, offset = struct.unpack(
            "<8xHH4xIIIHHHH6xI", fixed
        )
        position += _CENTRAL_SIZE
        raw_name = data[position : position + name_length]
        extra = data[position + name_length : position + name_length + extra_length]
        position += name_length + extra_length + comment_length
        if position > len(data):
            raise refusal("malformed_package")
        if flags & 0x2041:  # encrypted, strongly encrypted, directory encrypted
            raise refusal("encrypted_document")
        unpacked, packed, offset, disk = _apply_zip64(extra, unpacked, packed, offset, disk)
        if disk or method not in (_STORED, _DEFLATED):
            raise refusal("malformed_package")
        try:
            name = raw_name.decode("utf-8" if flags & 0x800 else "cp437")
        except UnicodeDecodeError:
            raise refusal("malformed_package") from None
        entries.append(_Entry(name, raw_name, method, crc, packed, unpacked, offset))
    if position != len(data):
        raise refusal("malformed_package")
    return entries


def _apply_zip64(extra, unpacked, packed, offset, disk):
    """Return the four values with those that are all ones replaced from the ZIP64 extra field."""
    values = {"unpacked": unpacked, "packed": packed, "offset": offset}
    missing = [name for name, value in values.items() if value == 0xFFFFFFFF]
    if not missing and disk != 0xFFFF:
        return unpacked, packed, offset, disk
    while len(extra) >= 4:
        field, length = struct.unpack("<HH", extra[:4])
        content, extra = extra[4 : 4 + length], extra[4 + length :]
        if field != 1:
            continue
        if len(content) < 8 * len(missing) + (4 if disk == 0xFFFF else 0):
            break
        for number, name in enumerate(missing):
            values[name] = int.from_bytes(content[8 * number : 8 * number + 8], "little")
        if disk == 0xFFFF:
            disk = int.from_bytes(content[8 * len(missing) : 8 * len(missing) + 4], "little")
        return *values.values(), disk
    raise refusal("malformed_package")


def _is_sound_path(name):
    """True for a relative path of plain parts, with / between them (one at the end marks a directory)."""
    parts = name.removesuffix("/").split("/")
    return not re.search(r"[\x00-\x1f\x7f\\:]", name) and not {"", ".", ".."} & set(parts)


def _inflate(packed, limit):
    """Return (the inflater, at most `limit` bytes); what the ZIP says about sizes is not believed."""
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        return inflater, inflater.decompress(packed, limit)
    except zlib.error:
        raise refusal("malformed_package") from None


def _main_target(data):
    """The name of the part that is the document itself, from `_rels/.rels`."""
    elements = parse_xml(data)
    if elements[0][1:3] != (_RELS_NS, "Relationships"):
        raise refusal("not_ooxml")
    found = [attributes for _, _, _, attributes in elements if attributes.get("Type") in _MAIN_RELATIONS]
    if not found:
        raise refusal("not_ooxml")
    if len(found) > 1 or found[0].get("TargetMode", "Internal") != "Internal":
        raise refusal("malformed_package")
    return found[0].get("Target", "").removeprefix("/").removeprefix("./")


def _check_kind(content_type, expected):
    if content_type == expected:
        return
    if _MACRO_TYPE.search(content_type):
        raise refusal("macro_enabled")
    raise refusal("wrong_ooxml_kind" if content_type in _MAIN_TYPES.values() else "not_ooxml")


def _check_main_part(package, main, main_type):
    """Refuse a main part that is not XML or has another root than its type says."""
    whole = main.unpacked <= MAX_MAIN_PART_BYTES and main.packed <= MAX_MAIN_PACKED_BYTES
    data = package.read(main, MAX_MAIN_PART_BYTES) if whole else b""
    # One document may hold more elements than we care to count: its root is told by its start.
    elements = parse_xml(data[:MAIN_START_BYTES] or package.read_start(main, MAIN_START_BYTES), whole=False)
    language = main_type.removeprefix(_PREFIX).partition(".")[0]
    if not elements or elements[0][2] != _ROOTS[language] or f"/{language}/" not in f"{elements[0][1]}/":
        raise refusal("malformed_package")


def _check_prologs(package, skip):
    """Refuse a document type declaration before the root of any XML part, as far as the budget of reads goes."""
    budget = package.fetched + PROLOG_BUDGET_BYTES
    for entry in sorted(package.entries, key=lambda entry: entry.offset):
        if entry is skip or not entry.name.lower().endswith((".xml", ".rels", ".vml")):
            continue
        if package.fetched > budget:
            return
        start = package.read_start(entry, PROLOG_BYTES)
        try:
            hides_its_root = not parse_xml(start, whole=False) and len(start) == PROLOG_BYTES
        except FileTypeRefused as error:
            # Excel writes drawings that are not quite XML, and custom XML may have any encoding: no fault of theirs.
            hides_its_root = error.code == "xml_bomb" or re.search(rb"<!(DOCTYPE|ENTITY)", start.replace(b"\0", b""))
        if hides_its_root:
            raise refusal("xml_bomb")
