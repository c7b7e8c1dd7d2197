"""Good and malicious files that tests upload, made when they are needed. No sample is dangerous to open."""

import io
import stat
import struct
import zipfile
import zlib
from typing import NamedTuple

from fileshare.demo import office_files

MACRO_TYPE = b"application/vnd.ms-word.document.macroEnabled.main+xml"
DOCX_TYPE = b"application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"
OLE_MAGIC = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
INSTALLER_CLASS = bytes.fromhex("84100c0000000000c000000000000046")


class CountingSource(io.BytesIO):
    """A source that counts the reads and the bytes, as a bucket would bill them."""

    def __init__(self, data):
        super().__init__(data)
        self.reads = self.bytes_read = 0

    def read(self, size=-1):
        data = super().read(size)
        self.reads += 1
        self.bytes_read += len(data)
        return data


class DrippingSource(io.BytesIO):
    """A source that returns at most 1,000 bytes a read, as a socket may."""

    def read(self, size=-1):
        return super().read(min(size, 1000) if size >= 0 else 1000)


# Good files


def docx(text="Figures of the year"):
    return office_files.docx("Report", [text])


def xlsx():
    return office_files.xlsx("Sales", [["Month", "Amount"], ["January", 12.5]])


def pptx():
    return office_files.pptx("Plans", [("Aims", ["Grow", "Learn"])])


def png():
    return office_files.png(64, 48)


def pdf():
    return (
        b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj\n"
        b"3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 200 200]>>endobj\n"
        b"trailer<</Root 1 0 R/Size 4>>\nstartxref\n0\n%%EOF\n"
    )


def gif():
    return b"GIF89a\x01\0\x01\0\x80\0\0\0\0\0\xff\xff\xff!\xf9\x04\0\0\0\0\0,\0\0\0\0\x01\0\x01\0\0\x02\x02D\x01\0;"


def svg(inside="<path d='M0 0h9v9z'/>", attributes="", before=""):
    return f"{before}<svg xmlns='http://www.w3.org/2000/svg' {attributes}>{inside}</svg>".encode()


def strict_docx():
    """A docx with the namespaces of ISO 29500 Strict."""
    strict = {
        b"http://schemas.openxmlformats.org/officeDocument/2006/relationships": b"http://purl.oclc.org/ooxml/officeDocument/relationships",
        b"http://schemas.openxmlformats.org/wordprocessingml/2006/main": b"http://purl.oclc.org/ooxml/wordprocessingml/main",
    }
    parts = parts_of(docx())
    for name, data in parts.items():
        for old, new in strict.items():
            data = data.replace(old, new)
        parts[name] = data
    return zipped(parts)


def utf16_docx():
    """A docx whose XML parts are all UTF-16, as OPC allows."""
    return zipped({name: _as_utf16(data) for name, data in parts_of(docx()).items()})


def ole(*names, class_id=bytes(16), filler=0):
    """An OLE file whose directory lists `names`; `filler` bytes stand before the directory (a multiple of 512)."""
    header = bytearray(512)
    header[:8] = OLE_MAGIC
    header[24:34] = struct.pack("<HHHHH", 0x3E, 3, 0xFFFE, 9, 6)
    header[48:52] = struct.pack("<I", filler // 512)
    directory = b""
    for number, name in enumerate(("Root Entry", *names)):
        raw = name.encode("utf-16-le")
        entry = raw.ljust(64, b"\0") + struct.pack("<HBB", len(raw) + 2, 1 if number else 5, 1) + b"\xff" * 12
        directory += (entry + (class_id if number == 0 else bytes(16))).ljust(128, b"\0")
    directory += bytes(-len(directory) % 512)
    return bytes(header) + bytes(filler) + directory + bytes(512)


def legacy_doc():
    return ole("WordDocument", "1Table")


def vba_info(*, project, has_macros):
    """A presentation's VBAInfoContainer: the number of its VBA project, and whether that holds macros."""
    atom = struct.pack("<HHIIII", 2, 0x400, 12, project, has_macros, 2)
    return struct.pack("<HHI", 0x1F, 0x3FF, len(atom)) + atom


def legacy_ppt(*, project, has_macros):
    whole = ole("PowerPoint Document", "Current User", filler=1024)
    told = vba_info(project=project, has_macros=has_macros)
    return whole[:600] + told + whole[600 + len(told) :]


# Packages taken apart and put together


def parts_of(package):
    """The parts of a package: {name: content}, in order."""
    with zipfile.ZipFile(io.BytesIO(package)) as source:
        return {name: source.read(name) for name in source.namelist()}


def zipped(parts, compression=zipfile.ZIP_DEFLATED, comment=b""):
    """A ZIP of {name: content} or of (name or ZipInfo, content) pairs."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", compression) as package:
        for name, content in parts.items() if isinstance(parts, dict) else parts:
            package.writestr(zipfile.ZipInfo(name) if isinstance(name, str) else name, content, compression)
        package.comment = comment
    return target.getvalue()


def link(name):
    """The ZipInfo of a symbolic link; its content is what it points to."""
    info = zipfile.ZipInfo(name)
    info.create_system, info.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    return info


def commented(name, comment):
    """The ZipInfo of an entry with a comment."""
    info = zipfile.ZipInfo(name)
    info.comment = comment
    return info


def docx_with(*, drop=(), **replaced):
    """A docx with parts replaced or added. Keywords: types, rels, document; or parts={name: content}."""
    parts = parts_of(docx())
    names = {"types": "[Content_Types].xml", "rels": "_rels/.rels", "document": "word/document.xml"}
    parts |= replaced.pop("parts", {})
    parts |= {names[key]: content for key, content in replaced.items()}
    return zipped({name: content for name, content in parts.items() if name not in drop})


def docx_changed(part, old, new):
    """A docx with `old` replaced by `new` in one of its parts, where it must occur."""
    content = parts_of(docx())[part]
    assert old in content
    return docx_with(parts={part: content.replace(old, new)})


class RawEntry(NamedTuple):
    """An entry of a ZIP as written: the packed bytes, and what the headers claim about them, true or false."""

    name: bytes
    packed: bytes
    unpacked: int
    crc: int = 0
    method: int = 8
    flags: int = 0


def raw_entries(package):
    return [entry_of(name.encode(), content) for name, content in parts_of(package).items()]


def entry_of(name, content, **changes):
    """A truthful entry, deflated; keywords change its claims."""
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = deflate.compress(content) + deflate.flush()
    return RawEntry(name, packed, len(content), zlib.crc32(content))._replace(**changes)


def raw_zip(entries, *, zip64=False, gap=b"", comment=b""):
    """A ZIP written byte by byte; `gap` stands between the entries and the directory."""
    body, directory = b"", b""
    for entry in entries:
        offset = len(body)
        body += local_header(entry) + entry.packed
        directory += central_header(entry, offset)
    return finished_zip(body + gap, directory, len(entries), zip64=zip64, comment=comment)


def local_header(entry):
    return (
        struct.pack(
            "<4sHHHHHIIIHH",
            b"PK\x03\x04",
            20,
            entry.flags,
            entry.method,
            0,
            0x21,
            entry.crc,
            len(entry.packed),
            min(entry.unpacked, 0xFFFFFFFF),
            len(entry.name),
            0,
        )
        + entry.name
    )


def central_header(entry, offset):
    large = entry.unpacked >= 0xFFFFFFFF
    extra = struct.pack("<HHQ", 1, 8, entry.unpacked) if large else b""
    return (
        struct.pack(
            "<4sHHHHHHIIIHHHHHII",
            b"PK\x01\x02",
            20,
            20,
            entry.flags,
            entry.method,
            0,
            0x21,
            entry.crc,
            len(entry.packed),
            min(entry.unpacked, 0xFFFFFFFF),
            len(entry.name),
            len(extra),
            0,
            0,
            0,
            0,
            offset,
        )
        + entry.name
        + extra
    )


def finished_zip(body, directory, count, *, zip64=False, comment=b""):
    start, end = len(body), b""
    if zip64:
        end = struct.pack("<4sQHHIIQQQQ", b"PK\x06\x06", 44, 45, 45, 0, 0, count, count, len(directory), start)
        end += struct.pack("<4sIQI", b"PK\x06\x07", 0, start + len(directory), 1)
        count, size, start = 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF
    else:
        size = len(directory)
    end += struct.pack("<4sHHHHIIH", b"PK\x05\x06", 0, 0, count, count, size, start, len(comment))
    return body + directory + end + comment


# Malicious files


def windows_program():
    return b"MZ\x90\0\x03\0\0\0\x04\0\0\0\xff\xff\0\0".ljust(60, b"\0") + b"\x40\0\0\0PE\0\0L\x01" + bytes(200)


def macro_document():
    """A .docm, whatever its name is."""
    return docx_with(
        types=parts_of(docx())["[Content_Types].xml"].replace(DOCX_TYPE, MACRO_TYPE),
        parts={"word/vbaProject.bin": ole("VBA", "_VBA_PROJECT")},
    )


def hidden_macros():
    """A docx by its content types, with a macro project that they do not declare."""
    return docx_with(parts={"word/vbaProject.bin": ole("VBA", "_VBA_PROJECT")})


def encrypted_docx():
    """What Office writes when a document gets a password."""
    return ole("EncryptionInfo", "EncryptedPackage")


def fake_types_zip():
    """A ZIP whose first entry has a name by which simple detectors take it for an Office file."""
    return zipped({"[Content_Types].xml": b"<Types/>", "setup.exe": windows_program()})


def zip_bomb(gigabytes=10):
    """A docx with `gigabytes` GiB of zeros in about as many MiB."""
    # Compress one MiB of zeros, flush, and repeat the result: compressing ten GiB would take too long.
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    stretch = deflate.compress(bytes(2**20)) + deflate.flush(zlib.Z_FULL_FLUSH)
    bomb = RawEntry(b"word/media/image1.bmp", stretch * 1024 + deflate.flush(), 2**30)
    bombs = [bomb._replace(name=b"word/media/image%d.bmp" % number) for number in range(gigabytes)]
    return raw_zip([*raw_entries(docx()), *bombs])


def lying_bomb(part="word/document.xml"):
    """A docx with a part that unpacks to 64 MiB and claims 1,000 bytes."""
    entries = [entry for entry in raw_entries(docx()) if entry.name != part.encode()]
    return raw_zip([*entries, entry_of(part.encode(), bytes(2**26), unpacked=1000)])


def overlapping_bomb(count=40):
    """A docx with many entries that all unpack the same bytes; each entry quotes the header of the next."""
    chain = [entry_of(b"word/media/z.bin", bytes(2**20))]
    for number in reversed(range(count)):
        header = local_header(chain[0])
        # A stored block that holds the next header, then the next entry's own bytes.
        quoted = b"\0" + struct.pack("<HH", len(header), len(header) ^ 0xFFFF) + header + chain[0].packed
        content = zlib.decompress(quoted, -15)
        chain.insert(0, RawEntry(b"word/media/%03d.bin" % number, quoted, len(content), zlib.crc32(content)))
    honest = raw_entries(docx())
    body, directory = b"", b""
    for entry in honest:
        directory += central_header(entry, len(body))
        body += local_header(entry) + entry.packed
    # Only the outermost entry is written; every other one lies within it.
    offset = len(body)
    for entry in chain:
        directory += central_header(entry, offset)
        offset += len(local_header(entry)) + 5
    return finished_zip(body + local_header(chain[0]) + chain[0].packed, directory, len(honest) + len(chain))


def same_bytes_twice():
    """A docx in which two entries share the same bytes of the file."""
    entries = raw_entries(docx())
    body, directory = b"", b""
    for entry in entries:
        directory += central_header(entry, len(body))
        last, body = len(body), body + local_header(entry) + entry.packed
    directory += central_header(entries[-1]._replace(name=b"word/other.xml"), last)
    return finished_zip(body, directory, len(entries) + 1)


def xml_bomb(part="[Content_Types].xml", encoding="utf-8"):
    """A docx with a part that would expand to a billion laughs."""
    entities = "".join(f"<!ENTITY l{n} '{f'&l{n - 1};' * 10}'>" for n in range(1, 10))
    text = f"<!DOCTYPE a [<!ENTITY l0 'ha'>{entities}]>"
    original = parts_of(docx())[part].decode().partition("?>")[2]
    text = f'<?xml version="1.0" encoding="{encoding}"?>{text}{original}'
    return docx_with(parts={part: text.encode(encoding)})


def truncated_docx():
    return docx()[:-400]


def program_before_docx():
    return windows_program() + docx()


def program_behind_docx():
    return docx() + windows_program()


def gif_script():
    """A GIF by its first bytes, JavaScript by the rest."""
    return b"GIF89a/*\0\0\0\0\0*/=1;alert(1);/*" + gif()[13:-1] + b"*/;"


def html():
    return b"<!DOCTYPE html><html><body><script>alert(1)</script></body></html>"


def _as_utf16(data):
    text = data.decode().replace('encoding="UTF-8"', 'encoding="UTF-16"')
    return text.encode("utf-16")
