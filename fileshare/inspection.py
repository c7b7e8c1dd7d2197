"""Do the bytes of a stored file bear out what its name says?

Called when all bytes have arrived, before a File row exists. The source may be
an object in a bucket, so reads are few and bounded: the head, the tail, what
`fileshare.ooxml` needs. Only two kinds are read through, in blocks: old Office
files (for macros) and SVG pictures (for scripts; at most 4 MiB of them).
"""

import codecs
import re
from contextlib import suppress
from xml.parsers import expat

from django.utils.translation import gettext_lazy as _

from config.errors import Refused
from fileshare import ooxml
from fileshare.file_types import OFFICE, FileTypeRefused, check_extension, kind
from fileshare.ooxml import KIB, MIB, OLE_MAGIC, Reader, find_zip_end, ole_directory, read_exactly

HEAD_BYTES = 64 * KIB
TAIL_BYTES = 64 * KIB + 21  # a ZIP end record with the longest comment
MAX_SVG_BYTES = 4 * MIB
SCAN_BLOCK_BYTES = 1 * MIB

LEGACY_OFFICE = frozenset({"doc", "dot", "wbk", "xls", "xlt", "ppt", "pot", "pps", "vsd", "vst", "vss"})
TEXT = frozenset({"txt", "text", "log", "ini", "md", "markdown", "csv", "tsv", "json", "xml", "yaml", "yml"})
_PICTURES_AND_MEDIA = ("image", "pdf", "audio", "video")

# The name in an OLE directory is UTF-16, and one entry never crosses a sector. PowerPoint keeps the project
# compressed in its own stream: there a VBAInfoContainer tells of it, which most presentations have, with zeros for
# where the project is and whether it holds macros.
_VBA = re.compile(
    re.escape("_VBA_PROJECT".encode("utf-16-le"))
    + rb"|\x1f\0\xff\x03\x14\0\0\0(?!\x02\0\0\x04\x0c\0\0\0\0{8})(?=.{16})",
    re.DOTALL,
)
_VBA_BYTES = 24
# Class ids 000C1082, -84 and -86 of the root mark Windows Installer transforms, packages and patches.
_INSTALLER_CLASS = re.compile(rb"[\x82\x84\x86]\x10\x0c\0\0\0\0\0\xc0\0\0\0\0\0\0F")

_PROGRAM_MAGIC = re.compile(
    # ELF; Mach-O of both byte orders; fat Mach-O, which Java classes share
    rb"\x7fELF|\xfe\xed\xfa[\xce\xcf]|[\xce\xcf]\xfa\xed\xfe|\xca\xfe\xba[\xbe\xbf]|[\xbe\xbf]\xba\xfe\xca"
    # .lnk, Android, WebAssembly, Debian package or static library, RPM, CHM, macOS package
    rb"|L\0\0\0\x01\x14\x02\0|dex\n0|\0asm|!<arch>\n|\xed\xab\xee\xdb|ITSF\x03|xar!\0"
    # a shebang, but not Rust's #![attribute]; then shortcuts and batch files
    rb"|(\xef\xbb\xbf)?#!(?!\[)|(\xef\xbb\xbf)?\s*(\[InternetShortcut\]|\[Desktop Entry\]|@echo off)",
    re.IGNORECASE,
)
_WEB_PAGE = re.compile(
    rb"(\xef\xbb\xbf)?\s*(?><!--.*?-->\s*)*+<(!doctype\s+html|html|head|body|script|iframe|svg|\?php)\b",
    re.IGNORECASE | re.DOTALL,
)
# In a picture no part of a format; a browser or a server that guesses wrong would run it.
_SCRIPT_IN_PICTURE = re.compile(rb"<script\b|<\?php\b|<html\b|<!doctype html", re.IGNORECASE)
# Where a picture's own binary fields could open a JavaScript comment, and hide the rest of the picture from the engine.
_COMMENT_OFFSETS = {"gif": 6, "jpg": 4, "jpeg": 4, "jpe": 4, "jfif": 4, "bmp": 2}

_JPEG = rb"\xff\xd8\xff"
_TIFF = rb"II[*+]\0|MM\0[*+]"
_ISO_MEDIA = rb".{4}ftyp"
_HEIF = rb".{4}ftyp(heic|heix|heim|heis|hevc|hevx|mif1|msf1|avif|avis)"
_ASF = rb"0&\xb2u\x8ef\xcf\x11"
_ZIP = rb"PK(\x03\x04|\x05\x06)"
_ODF = rb"PK\x03\x04.{26}mimetypeapplication/vnd\.oasis\.opendocument\."
_MPEG_AUDIO = rb"ID3|\xff[\xe2-\xe5\xf2-\xf5\xfa-\xfd]"
_OGG = rb"OggS"
_EBML = rb"\x1aE\xdf\xa3"
_MPEG_VIDEO = rb"\0\0\x01[\xb0-\xbf]|G.{187}G"
_AIFF = rb"FORM.{4}AIF[FC]"

MAGIC = {
    extension: re.compile(pattern, re.DOTALL)
    for extension, pattern in {
        "png": rb"\x89PNG\r\n\x1a\n.{4}IHDR",
        "jpg": _JPEG,
        "jpeg": _JPEG,
        "jpe": _JPEG,
        "jfif": _JPEG,
        "gif": rb"GIF8[79]a",
        "webp": rb"RIFF.{4}WEBPVP8",
        "bmp": rb"BM",
        "tif": _TIFF,
        "tiff": _TIFF,
        "ico": rb"\0\0\x01\0[^\0]",
        "avif": _HEIF,
        "heic": _HEIF,
        "heif": _HEIF,
        "pdf": rb"%PDF-[12]\.\d",
        "rtf": rb"\{\\rtf",
        "odt": _ODF + rb"text",
        "ods": _ODF + rb"spreadsheet",
        "odp": _ODF + rb"presentation",
        "epub": rb"PK\x03\x04.{26}mimetypeapplication/epub\+zip",
        **dict.fromkeys(LEGACY_OFFICE, re.escape(OLE_MAGIC)),
        "zip": _ZIP,
        "7z": rb"7z\xbc\xaf'\x1c",
        "rar": rb"Rar!\x1a\x07",
        "gz": rb"\x1f\x8b\x08",
        "tgz": rb"\x1f\x8b\x08",
        "bz2": rb"BZh[1-9]",
        "xz": rb"\xfd7zXZ\0",
        "zst": rb"\(\xb5/\xfd",
        "tar": rb".{257}ustar",
        "mp3": _MPEG_AUDIO,
        "wav": rb"(RIFF|RF64).{4}WAVE",
        "flac": rb"fLaC|ID3",
        "ogg": _OGG,
        "oga": _OGG,
        "opus": _OGG,
        "ogv": _OGG,
        "aac": rb"\xff[\xf0\xf1\xf8\xf9]|ADIF|ID3",
        "m4a": _ISO_MEDIA,
        "aif": _AIFF,
        "aiff": _AIFF,
        "mid": rb"MThd|RIFF.{4}RMID",
        "mp4": _ISO_MEDIA,
        "m4v": _ISO_MEDIA,
        "mov": rb".{4}(ftyp|moov|mdat|wide|free|skip|pnot)",
        "avi": rb"RIFF.{4}AVI ",
        "mkv": _EBML,
        "webm": _EBML,
        "mpg": _MPEG_VIDEO,
        "mpeg": _MPEG_VIDEO,
        "wmv": _ASF,
        "wma": _ASF,
    }.items()
}

_SVG_NAMESPACE = "http://www.w3.org/2000/svg"
_XHTML_NAMESPACE = "http://www.w3.org/1999/xhtml"
_ACTIVE_ELEMENTS = frozenset({"script", "foreignobject", "handler", "listener", "iframe", "object", "embed"})
_ACTIVE_LINK = re.compile(r"(java|vb|live)script:|data:(text/html|text/xml|application/x|image/svg)", re.IGNORECASE)
_LINKS = frozenset({"href", "src", "base"})
_REMOTE = re.compile(r"https?:|[/\\]{2}", re.IGNORECASE)
_REMOTE_STYLE = re.compile(r"""(url\(|@import)(url\()?["']?""" + f"({_REMOTE.pattern})", re.IGNORECASE)
_STYLE_COMMENT = re.compile(r"/\*.*?(\*/|\Z)", re.DOTALL)
_STYLE_ESCAPE = re.compile(r"\\(?:([0-9a-f]{1,6})\s?|(.))", re.IGNORECASE | re.DOTALL)
_SPACE = re.compile(r"[\s\x00-\x20]+")
_SVG_ENCODINGS = ("utf-8", "utf-16", "us-ascii", "iso-8859-1")


MESSAGES = {
    "content_mismatch": _("The file is not what its name says."),
    "active_content": _("The picture holds a script or something else that acts by itself."),
    "svg_too_large": _("An SVG picture may have at most 4 MiB: larger ones are not checked."),
}


class EmptyFile(Refused):
    """A 400: a file of no bytes says nothing and proves nothing."""

    def __init__(self):
        super().__init__(400, "empty_file", _("The file is empty."))


def inspect(source, *, size, filename, policy):
    """Check that the content of `source` fits the extension of `filename` and is no danger.

    source: a seekable binary file of `size` bytes; reads may be remote. Its
    position afterwards is not defined. filename: the cleaned name.

    office: the file must be the OOXML package its name says. general: a known
    extension must bear its own magic number at offset 0, text holds no NUL byte
    in its first 64 KiB (UTF-16 with its mark may), pictures and PDFs hold no
    script and no ZIP at their end, old Office files no macros, SVG nothing
    active; and nothing, whatever its name, is a program.

    Raises EmptyFile (400) or FileTypeRefused (415): what `check_extension`
    raises, the codes of `ooxml.MESSAGES` (`executable_content`, `macro_enabled`,
    `encrypted_document`, `polyglot`, `truncated_file` come from here, too),
    `content_mismatch`, `active_content`, `svg_too_large`.
    """
    extension = check_extension(policy, filename)
    if size == 0:
        raise EmptyFile
    if policy == OFFICE or extension in ooxml.EXTENSIONS:
        ooxml.inspect(source, extension)
        return
    reader = Reader(source)
    head = reader.head(HEAD_BYTES)
    _check_program(reader, head, extension)
    if extension in MAGIC and not MAGIC[extension].match(head):
        raise _mismatch()
    if extension in LEGACY_OFFICE:
        _check_legacy_office(source, reader)
    elif extension == "svg":
        _check_svg(source, reader.size)
    elif extension in TEXT:
        _check_text(source, reader, head, extension)
    elif extension in MAGIC and kind(filename) in _PICTURES_AND_MEDIA:
        _check_polyglot(reader, head, extension)


def _refusal(code):
    return FileTypeRefused(code, MESSAGES[code])


def _mismatch():
    return _refusal("content_mismatch")


def _active():
    return _refusal("active_content")


def _check_program(reader, head, extension):
    """Refuse what a system would run, by its first bytes."""
    is_program = _PROGRAM_MAGIC.match(head)
    # A text may well begin with "MZ"; a program has zeros among its first fields.
    is_program = is_program or (head.startswith((b"MZ", b"ZM")) and (extension not in TEXT or b"\0" in head[:64]))
    if not is_program and head.startswith(OLE_MAGIC):
        is_program = _INSTALLER_CLASS.match(ole_directory(reader), 80)
    if is_program:
        raise ooxml.refusal("executable_content")


def _check_text(source, reader, head, extension):
    if not head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) and b"\0" in head:
        raise _mismatch()
    if extension in ("csv", "tsv", "json") and _WEB_PAGE.match(head):
        raise _mismatch()
    if extension == "xml":
        namespace, root = _xml_root(head)
        if root == "svg":
            _check_svg(source, reader.size)
        elif root == "html" or namespace == _XHTML_NAMESPACE:
            raise _mismatch()


def _check_polyglot(reader, head, extension):
    """Refuse a picture, PDF or recording that is something else as well."""
    tail = reader.tail(TAIL_BYTES)
    zip_end = find_zip_end(tail)
    is_polyglot = zip_end is not None and zip_end[1] == 0
    if kind("." + extension) == "image":
        comment = _COMMENT_OFFSETS.get(extension)
        is_polyglot = (
            is_polyglot
            or (comment is not None and head[comment : comment + 2] in (b"/*", b"//"))
            or _SCRIPT_IN_PICTURE.search(head)
            or _SCRIPT_IN_PICTURE.search(tail)
        )
    if is_polyglot:
        raise ooxml.refusal("polyglot")
    if extension == "gif" and not _is_gif_start(head):
        raise _mismatch()


def _is_gif_start(head):
    """True when a block of a GIF stands where the screen description ends."""
    if len(head) < 14:
        return False
    colours = head[10]
    first_block = 13 + (3 << ((colours & 7) + 1) if colours & 0x80 else 0)
    return head[first_block : first_block + 1] in (b"!", b",")


def _check_legacy_office(source, reader):
    """Refuse an old Office file with macros or under a password; reads it through in blocks."""
    if ooxml.ENCRYPTED_OLE_NAME in ole_directory(reader):
        raise ooxml.refusal("encrypted_document")
    overlap = b""
    for offset in range(0, reader.size, SCAN_BLOCK_BYTES):
        block = overlap + read_exactly(source, offset, min(SCAN_BLOCK_BYTES, reader.size - offset))
        if _VBA.search(block):
            raise ooxml.refusal("macro_enabled")
        overlap = block[1 - _VBA_BYTES :]


def _xml_root(head):
    """Return (namespace, local name) of the root of the XML that starts with `head`; two '' when it has none."""
    root = []
    # A root in an encoding expat does not know is still ASCII to its letters.
    for encoding in (None, "iso-8859-1"):
        parser = expat.ParserCreate(encoding, " ")
        parser.StartElementHandler = lambda name, attributes: root.append(name)
        # What came before a fault counts.
        with suppress(expat.ExpatError, ValueError, LookupError):
            parser.Parse(head, False)
    namespace, _space, name = (root[0] if root else "").rpartition(" ")
    return namespace, name.lower()


def _check_svg(source, size):
    """Refuse an SVG that is none, or that holds anything a browser would run or fetch by itself."""
    if size > MAX_SVG_BYTES:
        raise _refusal("svg_too_large")
    root, styles, depth = [], [], 0

    def declaration(version, encoding, standalone):
        if encoding and encoding.lower() not in _SVG_ENCODINGS:
            raise _active()

    def doctype(name, system_id, public_id, has_internal_subset):
        if has_internal_subset:
            raise _active()

    def instruction(target, data):
        if target.lower() == "xml-stylesheet":
            raise _active()

    def entity(*args):
        raise _active()

    def start(name, attributes):
        nonlocal depth
        namespace, _space, local = name.rpartition(" ")
        if not root:
            root.append(local)
            if local != "svg" or namespace not in ("", _SVG_NAMESPACE):
                raise _mismatch()
        if local.lower() in _ACTIVE_ELEMENTS or namespace == _XHTML_NAMESPACE:
            raise _active()
        for attribute, value in attributes.items():
            attribute = attribute.rpartition(" ")[2].lower()
            target = value.strip().lower()
            # <set attributeName="href"> and its kin write what a plain attribute may not hold.
            writes_link = attribute == "attributename" and (target.startswith("on") or target.endswith("href"))
            link = _SPACE.sub("", value)
            # Of all links only that of an <a> waits until somebody follows it.
            fetches = (attribute in _LINKS and local != "a" and _REMOTE.match(link)) or _style_fetches(value)
            if attribute.startswith("on") or writes_link or fetches or _ACTIVE_LINK.search(link):
                raise _active()
        if depth or local.lower() == "style":
            depth += 1

    def end(name):
        nonlocal depth
        depth = max(0, depth - 1)

    def text(data):
        if depth:
            styles.append(data)

    parser = expat.ParserCreate(namespace_separator=" ")
    parser.XmlDeclHandler = declaration
    parser.StartDoctypeDeclHandler = doctype
    parser.EntityDeclHandler = entity
    parser.ProcessingInstructionHandler = instruction
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = text
    try:
        parser.Parse(read_exactly(source, 0, size), True)
    except expat.ExpatError:
        raise _mismatch() from None
    if _style_fetches("".join(styles)):
        raise _active()


def _style_fetches(style):
    """True where CSS, a whole sheet or one value, names an address of another server to load."""
    if not any(sign in style for sign in "(@\\"):
        return False
    # A string may hold what looks like a comment, so the style is read with them, too.
    readings = (style, _STYLE_COMMENT.sub("", style))
    return any(_REMOTE_STYLE.search(_SPACE.sub("", _STYLE_ESCAPE.sub(_unescaped, reading))) for reading in readings)


def _unescaped(escape):
    number, letter = escape.groups()
    return letter if number is None else chr(min(int(number, 16), 0x10FFFF))
