"""Check that a file is a Word, Excel or PowerPoint package of exactly the kind its name says, and harmless.

The check first reads the ZIP directory and the few parts that say what the package is, by ranged reads: most refusals
need no more. Then it unpacks the package once, block by block, to count what it unpacks to.
"""

import codecs
import re
from urllib.parse import unquote
from xml.parsers import expat

from . import ole
from .file_types import PROGRAMS, SCRIPTS, SHORTCUTS
from .ranged_reader import KIB, MIB, Reader, Window
from .refusals import FileTypeRefused
from .zip_package import LOCAL, MAX_END_BYTES, START_BYTES, Package, find_zip_end, is_sound_path

MAX_SMALL_PART_BYTES = 1 * MIB  # [Content_Types].xml and _rels/.rels
MAX_MAIN_PART_BYTES = 4 * MIB  # of a larger main part only the start is checked
MAX_MAIN_PACKED_BYTES = 1 * MIB
MAIN_START_BYTES = 64 * KIB
MAX_XML_ELEMENTS = 100_000
MAX_XML_DEPTH = 256

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

_PIECE = re.compile(r"/\[\d+\](\.last)?\.piece\Z", re.IGNORECASE)

EXTENSIONS = frozenset(_MAIN_TYPES)


def inspect(source, extension):
    """Check that `source` is a sound and harmless package of exactly the kind `extension` names.

    source: a seekable binary file. Reads may be slow (ranged reads of an object), so they fetch blocks of 64 KiB: the
    end, the ZIP directory (at most 4 MiB), and the parts that say what the package is; then all of it in blocks of 256
    KiB, except what is stored without compression. The file's position afterwards is undefined.
    extension: one of EXTENSIONS.

    Raises FileTypeRefused (415) with one of the codes of refusals.BY_PACKAGE. Macros and programs are refused;
    embedded OLE objects and links to other servers are allowed.
    """
    main_type = _MAIN_TYPES[extension]
    reader = Reader(source)
    _check_start(reader)
    package = Package(reader)
    _check_names(package)
    types = _ContentTypes(_small_part(package, "[Content_Types].xml"))
    main = package.find(_main_target(_small_part(package, "_rels/.rels")))
    _check_kind(types.of(main.name), main_type)
    if any(_MACRO_TYPE.search(types.of(entry.name)) for entry in package.entries):
        raise FileTypeRefused("macro_enabled")
    _check_main_part(package, main, main_type)
    for entry, start in package.unpack(Window(source)):
        if entry is not main and entry.name.lower().endswith((".xml", ".rels", ".vml")):
            _check_prolog(start)


def _check_start(reader):
    """Refuse a file that does not begin like a ZIP. The code says what the file is instead."""
    head = reader.head(8)
    if len(head) < 8:
        raise FileTypeRefused("truncated_file" if head and LOCAL.startswith(head[:4]) else "not_ooxml")
    if head == ole.MAGIC:
        # Office saves a document with a password as an OLE file that holds the encrypted package.
        places = (ole.directory(reader), reader.head(64 * KIB), reader.tail(64 * KIB))
        encrypted = any(ole.ENCRYPTED_NAME in place for place in places)
        raise FileTypeRefused("encrypted_document" if encrypted else "legacy_office_document")
    if not head.startswith(LOCAL):
        is_zip_behind = find_zip_end(reader.tail(MAX_END_BYTES)) and not head.startswith(b"PK")
        raise FileTypeRefused("polyglot" if is_zip_behind else "not_ooxml")


def _check_names(package):
    """Refuse a ZIP that lacks one of the two parts of every package, and one with unsound paths, macros or programs."""
    if not {"[content_types].xml", "_rels/.rels"} <= package.names:
        raise FileTypeRefused("not_ooxml")
    for entry in package.entries:
        if not is_sound_path(entry.name):
            raise FileTypeRefused("malformed_package")
    for entry in package.entries:
        if _MACRO_PART.search(entry.name):
            raise FileTypeRefused("macro_enabled")
        if entry.name.rpartition("/")[2].rpartition(".")[2].lower() in _HARMFUL_PARTS and "." in entry.name:
            raise FileTypeRefused("executable_content")


def _small_part(package, name):
    """The content of a part. Refuses a part larger than MAX_SMALL_PART_BYTES."""
    return package.read(package.find(name), MAX_SMALL_PART_BYTES)


class _ContentTypes:
    """The content of [Content_Types].xml: the type of each part.

    A type counts where a part has it. Writers declare types that no part has: SheetJS, for one, declares every .bin as
    a workbook with macros, and writes none.
    """

    def __init__(self, data):
        self._defaults, self._overrides = {}, {}
        elements = parse_xml(data)
        if elements[0][1:3] != (_TYPES_NS, "Types"):
            raise FileTypeRefused("not_ooxml")
        for depth, namespace, name, attributes in elements[1:]:
            content_type = attributes.get("ContentType", "").strip().lower()
            if depth != 1 or namespace != _TYPES_NS:
                if _MACRO_TYPE.search(content_type):
                    # Programs may differ on whether it counts here, and no writer puts one here.
                    raise FileTypeRefused("macro_enabled")
                continue
            if name == "Default":
                table, key = self._defaults, attributes.get("Extension", "").lower().lstrip(".")
            else:
                table, key = self._overrides, _part_name(attributes.get("PartName", ""))
            if table.setdefault(key, content_type) != content_type:
                raise FileTypeRefused("malformed_package")

    def of(self, part):
        """The content type of the part named `part`, in lower case; '' when it has none."""
        part = _part_name(part)
        return self._overrides.get(part) or self._defaults.get(part.rpartition(".")[2], "")


def _part_name(name):
    """A part's name in the one form in which types and parts are compared.

    In [Content_Types].xml it begins with / and may be percent-encoded (ISO 29500-2 §6.2); a part may be split into
    pieces, `name/[0].piece` and so on (§7.2.4).
    """
    return _PIECE.sub("", unquote(name)).lower().lstrip("/")


def _main_target(data):
    """The name of the main part, which is the document itself. `data` is the content of `_rels/.rels`."""
    elements = parse_xml(data)
    if elements[0][1:3] != (_RELS_NS, "Relationships"):
        raise FileTypeRefused("not_ooxml")
    found = [attributes for _, _, _, attributes in elements if attributes.get("Type") in _MAIN_RELATIONS]
    if not found:
        raise FileTypeRefused("not_ooxml")
    if len(found) > 1 or found[0].get("TargetMode", "Internal") != "Internal":
        raise FileTypeRefused("malformed_package")
    return found[0].get("Target", "").removeprefix("/").removeprefix("./")


def _check_kind(content_type, expected):
    if content_type == expected:
        return
    if _MACRO_TYPE.search(content_type):
        raise FileTypeRefused("macro_enabled")
    raise FileTypeRefused("wrong_ooxml_kind" if content_type in _MAIN_TYPES.values() else "not_ooxml")


def _check_main_part(package, main, main_type):
    """Refuse a main part that is not XML, or whose root element does not fit its type."""
    whole = main.unpacked <= MAX_MAIN_PART_BYTES and main.packed <= MAX_MAIN_PACKED_BYTES
    data = package.read(main, MAX_MAIN_PART_BYTES) if whole else b""
    # Parse the start only: it holds the root, and a large document has more elements than MAX_XML_ELEMENTS.
    elements = parse_xml(data[:MAIN_START_BYTES] or package.read_start(main, MAIN_START_BYTES), whole=False)
    language = main_type.removeprefix(_PREFIX).partition(".")[0]
    if not elements or elements[0][2] != _ROOTS[language] or f"/{language}/" not in f"{elements[0][1]}/":
        raise FileTypeRefused("malformed_package")


def _check_prolog(start):
    """Refuse an XML part with a document type declaration. `start` is its start, or all of a shorter part."""
    try:
        hides_its_root = not parse_xml(start, whole=False) and len(start) == START_BYTES
    except FileTypeRefused as error:
        # Accept parts that do not parse, unless they hold a declaration: Excel writes drawings that are not quite
        # XML, and custom XML may have any encoding.
        hides_its_root = error.code == "xml_bomb" or re.search(rb"<!(DOCTYPE|ENTITY)", start.replace(b"\0", b""))
    if hides_its_root:
        raise FileTypeRefused("xml_bomb")


def parse_xml(data, *, whole=True):
    """Return [(depth, namespace, name, attributes)] of the XML in `data`, in order of their start tags.

    Accepts UTF-8, and UTF-16 with a byte order mark: the encodings that OPC allows. With whole=False `data` is the
    start of a document and may end anywhere. Refuses with `xml_bomb` a document type declaration (which entities
    need) and too many or too deep elements, and with `malformed_package` data that is not XML.
    """
    text = _decode_xml(data, whole)
    elements, depth = [], 0

    def start(name, attributes):
        nonlocal depth
        namespace, _space, local = name.rpartition(" ")
        elements.append((depth, namespace, local, attributes))
        depth += 1
        if len(elements) > MAX_XML_ELEMENTS or depth > MAX_XML_DEPTH:
            raise FileTypeRefused("xml_bomb")

    def end(name):
        nonlocal depth
        depth -= 1

    def declaration(*args):
        raise FileTypeRefused("xml_bomb")

    # Name the encoding: the text is encoded as UTF-8 below, so expat must ignore the encoding that the XML declares.
    parser = expat.ParserCreate("utf-8", " ")
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.StartDoctypeDeclHandler = declaration
    parser.EntityDeclHandler = declaration
    try:
        parser.Parse(text.encode(), whole)
    except expat.ExpatError:
        raise FileTypeRefused("malformed_package") from None
    return elements


def _decode_xml(data, whole):
    """Return the text of an XML part in UTF-8, or in UTF-16 with a byte order mark. Refuses other encodings."""
    if data.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        raise FileTypeRefused("malformed_package")
    encoding = "utf-16" if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"
    try:
        text = codecs.getincrementaldecoder(encoding)().decode(data, whole)
    except UnicodeError:
        raise FileTypeRefused("malformed_package") from None
    declared = re.match(r"<\?xml[^>]{0,200}?encoding\s*=\s*[\"']([^\"']*)[\"']", text)
    allowed = ("utf-16",) if encoding == "utf-16" else ("utf-8", "us-ascii", "ascii")
    if "\0" in text or (declared and declared[1].lower() not in allowed):
        raise FileTypeRefused("malformed_package")
    return text
