"""Check that the bytes of a stored file fit the kind that its name says, and are harmless.

`inspect` is called when all bytes have arrived, before the File row exists. The source may be an object in a bucket,
so reads are few and bounded: the head, the tail, and what `fileshare.content.ooxml` needs. Read completely are Office
files (in blocks, for macros, and to count what they unpack to) and SVG pictures (for scripts; at most 4 MiB); of other
ZIPs the first 64 MiB. docs/formats.md lists each kind, what decides it, and why.
"""

import codecs
import re
import zlib
from contextlib import suppress
from xml.parsers import expat

from django.utils.translation import gettext_lazy as _

from config.errors import Refused

from . import archives, ole, ooxml, refusals
from .file_types import KNOWN_TYPES, OFFICE, PICTURES, check_extension, kind
from .ranged_reader import KIB, MIB, Reader, read_exactly
from .refusals import FileTypeRefused
from .scripts import holds_script
from .zip_package import LOCAL, ends_with_zip

HEAD_BYTES = 64 * KIB
TAIL_BYTES = 64 * KIB + 21  # a ZIP end record with the longest comment
MAX_SVG_BYTES = 4 * MIB
SCAN_BLOCK_BYTES = 1 * MIB
PDF_START_BYTES = 1024  # readers look for %PDF so far (PDF Reference 1.7, appendix H, note 13)

LEGACY_OFFICE = frozenset({"doc", "dot", "wbk", "xls", "xlt", "ppt", "pot", "pps", "vsd", "vst", "vss"})
WORD = frozenset({"doc", "dot", "wbk"})
TEXT = frozenset({"txt", "text", "log", "ini", "md", "markdown", "csv", "tsv", "json", "xml", "yaml", "yml"})
_PICTURES_AND_MEDIA = ("image", "pdf", "audio", "video")

# Two signs of macros. Word and Excel: the name _VBA_PROJECT in the OLE directory, in UTF-16; an entry of the directory
# never crosses a sector. PowerPoint: it compresses the project into its own stream, so look for a VBAInfoContainer.
# Most presentations have one even without macros: then the project's place and the "has macros" flag are zero.
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
# Scripts in a picture. No picture format needs them, but a browser or server that guesses a wrong type would run them.
_SCRIPT_IN_PICTURE = re.compile(rb"<script\b|<\?php\b|<html\b|<!doctype html", re.IGNORECASE)
# The offset at which binary fields of the format could hold the start of a JavaScript comment. The comment would hide
# the picture's bytes, so that the file would be valid JavaScript too.
_COMMENT_OFFSETS = {"gif": 6, "jpg": 4, "jpeg": 4, "jpe": 4, "jfif": 4, "bmp": 2}

_JPEG = rb"\xff\xd8\xff"
_TIFF = rb"II[*+]\0|MM\0[*+]"
_ISO_MEDIA = rb".{4}ftyp"
_AVIF = rb".{4}ftyp(avi[fs]|m[is]f1.{4}(.{4}){0,8}?avi[fs])"
_HEIF = rb".{4}ftyp(heic|heix|heim|heis|hevc|hevx|mif1|msf1)"
_RTF = rb"\{\\rtf"
_ASF = rb"0&\xb2u\x8ef\xcf\x11"
_ZIP = rb"PK(\x03\x04|\x05\x06)"
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
        "avif": _AVIF,
        "heic": _HEIF,
        "heif": _HEIF,
        "rtf": _RTF,
        **dict.fromkeys(LEGACY_OFFICE, re.escape(ole.MAGIC)),
        # Word itself saves rich text under these endings, and opens it.
        **dict.fromkeys(WORD, re.escape(ole.MAGIC) + b"|" + _RTF),
        "zip": _ZIP,
        "7z": rb"7z\xbc\xaf'\x1c",
        "rar": rb"Rar!\x1a\x07",
        "gz": rb"\x1f\x8b\x08",
        "tgz": rb"\x1f\x8b\x08",
        "bz2": rb"BZh[1-9]",
        "xz": rb"\xfd7zXZ\0",
        "zst": rb"\(\xb5/\xfd",
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

_PDF = re.compile(rb"%PDF-\d")
# What may not stand before a PDF: bytes that are no text, as other formats begin with; the words that those begin with
# that do begin with text; and what would hide the PDF from a reader of JavaScript.
_NO_ENVELOPE = re.compile(
    rb"[\0-\x08\x0e-\x1a\x1c-\x1f]|\A(\{\\rtf|GIF8|ID3|%!|PK)|/\*|`"
    # the rest of the line, behind // that belongs to no address; markup with a handler of events
    rb"|(?<!:)//[^\r\n]*\Z|(?i:<[^>]*[\s/\"']on\w+\s*=)"
)
_PAGE_AS_OFFICE = re.compile(_WEB_PAGE.pattern + rb"|(\xef\xbb\xbf)?\s*(<\?xml|<table|MIME-Version:)", _WEB_PAGE.flags)
_TYPED_PACKAGES = frozenset({"odt", "ods", "odp", "epub"})
# Each is sure enough to tell a picture under another picture's name.
_TRUE_PICTURES = {
    **{extension: MAGIC[extension] for extension in ("jpg", "png", "gif", "webp", "tif", "avif", "heic")},
    "bmp": re.compile(rb"BM.{4}\0{4}.{4}[\x0c-\x7c]\0\0\0", re.DOTALL),
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


class EmptyFile(Refused):
    """400: the file has no bytes, so it is no Office document."""

    def __init__(self):
        super().__init__(
            400, "empty_file", _("The file is empty. Save the document in its program, and upload it again.")
        )


def inspect(source, *, size, filename, policy):
    """Check that the content of `source` fits the extension of `filename` and is harmless. Returns its true extension.

    That is the extension of `filename`, except for a picture under the ending of another kind of picture: phones and
    web sites name HEIC and WebP .jpg, and every viewer shows them.

    source: a seekable binary file of `size` bytes; reads may go to a remote store. Its position afterwards is
    undefined. filename: the cleaned name.

    Policy `office`: the file must be the OOXML package that its name says. Policy `general`: a file of a known
    extension must begin with the magic number of its kind, and an empty file is taken. Text must hold no NUL byte in
    its first 64 KiB (except UTF-16 with a byte order mark). Pictures must hold no script; pictures, PDFs, audio and
    video must not end with a ZIP. Old Office files must hold no macros, SVG nothing active, archives no bomb. A program
    is refused under any name.

    Raises EmptyFile (400) or FileTypeRefused (415) with the codes of `check_extension`, those of
    `refusals.BY_PACKAGE` (this module itself raises `executable_content`, `macro_enabled`, `encrypted_document`,
    `polyglot` and `truncated_file` too), and those of `refusals.BY_CONTENT`.
    """
    extension = check_extension(policy, filename)
    if size == 0:
        if policy == OFFICE:
            raise EmptyFile
        return extension
    try:
        return _inspected(source, extension)
    except FileTypeRefused as refusal:
        raise refusal.advised(extension) from None


def _inspected(source, extension):
    if extension in ooxml.EXTENSIONS:
        ooxml.inspect(source, extension)
        return extension
    reader = Reader(source)
    head = reader.head(HEAD_BYTES)
    _check_program(reader, head, extension)
    extension = _true_picture(head, extension)
    if extension == "pdf":
        _check_pdf_start(head)
    elif extension == "tar":
        _check_tar(head)
    elif extension in _TYPED_PACKAGES and not head.startswith(LOCAL):
        raise _mismatch()
    elif extension in MAGIC and not MAGIC[extension].match(head):
        raise _mismatch(head, extension)
    if head.startswith(LOCAL):
        archives.inspect(source, KNOWN_TYPES[extension].content_type if extension in _TYPED_PACKAGES else None)
    if extension in LEGACY_OFFICE and head.startswith(ole.MAGIC):
        _check_legacy_office(source, reader)
    elif extension == "svg":
        _check_svg(source, reader.size)
    elif extension in TEXT:
        _check_text(source, reader, head, extension)
    elif kind("." + extension) in _PICTURES_AND_MEDIA and (extension in MAGIC or extension == "pdf"):
        _check_polyglot(reader, head, extension)
    return extension


def _mismatch(head=b"", extension=""):
    """The refusal, with what to do where the content tells."""
    sentence = None
    if extension in LEGACY_OFFICE and head.startswith(LOCAL):
        sentence = refusals.for_program(refusals.NEWER_OFFICE, extension)
    elif extension in LEGACY_OFFICE and _PAGE_AS_OFFICE.match(head):
        sentence = refusals.for_program(refusals.PAGE_AS_OFFICE, extension)
    return FileTypeRefused("content_mismatch", sentence)


def _true_picture(head, extension):
    """The extension of the picture that `head` begins, when `extension` names another kind of picture."""
    if extension not in PICTURES or MAGIC[extension].match(head):
        return extension
    return next((other for other, magic in _TRUE_PICTURES.items() if magic.match(head)), extension)


def _check_pdf_start(head):
    """Refuse a PDF without %PDF in its first 1,024 bytes, or with anything but plain text before it.

    Mail programs and web servers leave a byte order mark, blank lines or headers there.
    """
    found = _PDF.search(head, 0, PDF_START_BYTES + len("PDF-1"))
    if not found:
        raise _mismatch()
    before = head[: found.start()]
    if _NO_ENVELOPE.search(before) or holds_script(before):
        raise FileTypeRefused("polyglot")


def _check_tar(head):
    """Refuse what is no tar. One of Unix v7 has no magic but a checksum, an empty one is zeros, many are gzipped."""
    if head.startswith(b"\x1f\x8b\x08"):
        inflater = zlib.decompressobj(zlib.MAX_WBITS | 16)
        with suppress(zlib.error):
            head = inflater.decompress(head, 512)
    block = head[:512]
    if len(block) < 512 or (not _is_tar_header(block) and any(head)):
        raise _mismatch()


def _is_tar_header(block):
    """True with the magic of a tar; or when bytes 148 to 155 hold, in octal, the sum of all others and 8 spaces."""
    if block[257:262] == b"ustar":
        return True
    stated = re.match(rb" *([0-7]+)[ \0]", block[148:156])
    return stated is not None and int(stated[1], 8) == sum(block) - sum(block[148:156]) + 8 * 32


def _active():
    return FileTypeRefused("active_content")


def _check_program(reader, head, extension):
    """Refuse a file whose first bytes are those of a program."""
    is_program = _PROGRAM_MAGIC.match(head)
    # A text may begin with "MZ" too, but only a program has zero bytes in its first fields.
    # So may the name of a tar's first file.
    may_begin_so = (extension in TEXT and b"\0" not in head[:64]) or (extension == "tar" and _is_tar_header(head[:512]))
    is_program = is_program or (head.startswith((b"MZ", b"ZM")) and not may_begin_so)
    if not is_program and head.startswith(ole.MAGIC):
        is_program = _INSTALLER_CLASS.match(ole.directory(reader), 80)
    if is_program:
        raise FileTypeRefused("executable_content")


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
    """Refuse a picture, PDF, audio or video file that is a file of another kind at the same time."""
    tail = reader.tail(TAIL_BYTES)
    is_polyglot = ends_with_zip(tail)
    if kind("." + extension) == "image":
        comment = _COMMENT_OFFSETS.get(extension)
        is_polyglot = (
            is_polyglot
            or (comment is not None and head[comment : comment + 2] in (b"/*", b"//"))
            or _SCRIPT_IN_PICTURE.search(head)
            or _SCRIPT_IN_PICTURE.search(tail)
        )
    if is_polyglot:
        raise FileTypeRefused("polyglot")
    if extension == "gif" and not _is_gif_start(head):
        raise _mismatch()


def _is_gif_start(head):
    """True when a valid GIF block follows the screen descriptor and the colour table."""
    if len(head) < 14:
        return False
    colours = head[10]
    first_block = 13 + (3 << ((colours & 7) + 1) if colours & 0x80 else 0)
    return head[first_block : first_block + 1] in (b"!", b",")


def _check_legacy_office(source, reader):
    """Refuse an old Office file with macros or a password. Reads the whole file, in blocks."""
    if ole.ENCRYPTED_NAME in ole.directory(reader):
        raise FileTypeRefused("encrypted_document")
    overlap = b""
    for offset in range(0, reader.size, SCAN_BLOCK_BYTES):
        block = overlap + read_exactly(source, offset, min(SCAN_BLOCK_BYTES, reader.size - offset))
        if _VBA.search(block):
            raise FileTypeRefused("macro_enabled")
        overlap = block[1 - _VBA_BYTES :]


def _xml_root(head):
    """Return (namespace, local name) of the root of the XML that begins with `head`; ('', '') when there is no root."""
    root = []
    # Try again as Latin-1: expat may not know the declared encoding, but the root's name is ASCII in most encodings.
    for encoding in (None, "iso-8859-1"):
        parser = expat.ParserCreate(encoding, " ")
        parser.StartElementHandler = lambda name, attributes: root.append(name)
        # Ignore errors: the root may have been read before the error.
        with suppress(expat.ExpatError, ValueError, LookupError):
            parser.Parse(head, False)
    namespace, _space, name = (root[0] if root else "").rpartition(" ")
    return namespace, name.lower()


def _check_svg(source, size):
    """Refuse a file that is not an SVG, or that holds anything a browser would run or fetch by itself."""
    if size > MAX_SVG_BYTES:
        raise FileTypeRefused("svg_too_large")
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
            # <set attributeName="href"> and similar elements could set an attribute to a value that is refused here.
            writes_link = attribute == "attributename" and (target.startswith("on") or target.endswith("href"))
            link = _SPACE.sub("", value)
            # A browser fetches the target of every link by itself, except that of an <a>, which the user has to click.
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
    """True when CSS (a whole sheet or one value) would load something from another server."""
    if not any(sign in style for sign in "(@\\"):
        return False
    # Read the style with and without comments: text that looks like a comment may be part of a string.
    readings = (style, _STYLE_COMMENT.sub("", style))
    return any(_REMOTE_STYLE.search(_SPACE.sub("", _STYLE_ESCAPE.sub(_unescaped, reading))) for reading in readings)


def _unescaped(escape):
    number, letter = escape.groups()
    return letter if number is None else chr(min(int(number, 16), 0x10FFFF))
