import io
import random
import struct
import zipfile
from contextlib import suppress

import pytest

from fileshare.content import ooxml
from fileshare.content.ranged_reader import KIB, MIB
from fileshare.content.refusals import BY_PACKAGE, FileTypeRefused
from tests.fakes import documents

pytestmark = pytest.mark.once

GOOD = {
    "a Word document": (documents.docx, "docx"),
    "an Excel workbook": (documents.xlsx, "xlsx"),
    "a PowerPoint presentation": (documents.pptx, "pptx"),
    "a document of the strict standard": (documents.strict_docx, "docx"),
    "a document in UTF-16": (documents.utf16_docx, "docx"),
    "a stored, not deflated document": (lambda: documents.zipped(documents.parts_of(documents.docx()), 0), "docx"),
    "a document with a ZIP comment": (lambda: documents.zipped(documents.parts_of(documents.docx()), 8, b"hi"), "docx"),
    "a document with a ZIP64 end": (lambda: documents.raw_zip(_entries(), zip64=True), "docx"),
    "a document with a streamed part": (lambda: _streamed(), "docx"),
    "a document with pictures and embedded objects": (
        lambda: documents.docx_with(
            parts={"word/media/a.png": documents.png(), "word/embeddings/oleObject1.bin": documents.ole("Ole")}
        ),
        "docx",
    ),
    "a document with a large part": (
        lambda: documents.docx_with(document=_large_document()),
        "docx",
    ),
}


def _entries():
    return documents.raw_entries(documents.docx())


def _large_document():
    content = documents.parts_of(documents.docx())["word/document.xml"]
    noise = random.Random(1).randbytes(3 * MIB).hex().encode()
    return content.replace(b"Figures of the year", noise)


def _streamed():
    """A docx from a writer that cannot seek: the sizes follow the data."""
    target = io.BytesIO()

    class OneWay(io.RawIOBase):
        def writable(self):
            return True

        def write(self, data):
            return target.write(data)

    with zipfile.ZipFile(OneWay(), "w", 8) as package:
        for name, content in documents.parts_of(documents.docx()).items():
            package.writestr(name, content)
    return target.getvalue()


@pytest.mark.parametrize(("make", "extension"), GOOD.values(), ids=GOOD.keys())
def test_a_sound_package_passes(make, extension):
    data = make()

    ooxml.inspect(io.BytesIO(data), extension)
    ooxml.inspect(documents.DrippingSource(data), extension)


def _with_name(name):
    return documents.raw_zip([*_entries(), documents.entry_of(name, b"x")])


def _types_with(line, parts=None):
    types = documents.parts_of(documents.docx())["[Content_Types].xml"]
    return documents.docx_with(types=types.replace(b"</Types>", line + b"</Types>"), parts=parts or {})


def _rels(target, extra=b""):
    return (
        b'<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="r1" '
        b'Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" Target="%s"/>%s'
        b"</Relationships>" % (target, extra)
    )


def _flipped(data, offset):
    return data[:offset] + bytes([data[offset] ^ 0xFF]) + data[offset + 1 :]


def _flipped_in(part):
    """A document with one changed byte in a stored part, which its checksum does not fit."""
    data = documents.zipped(documents.parts_of(documents.docx()), 0)
    return _flipped(data, data.index(part) + len(part) - 1)


EVIL = {
    # no package at all
    "nothing": (lambda: b"", "not_ooxml"),
    "a few bytes": (lambda: b"PK", "truncated_file"),
    "plain text": (lambda: b"just some words, nothing else", "not_ooxml"),
    "a ZIP renamed": (lambda: documents.zipped({"a.txt": b"x"}), "not_ooxml"),
    "an empty ZIP": (lambda: documents.zipped({}), "not_ooxml"),
    "a ZIP with fake content types": (documents.fake_types_zip, "not_ooxml"),
    "a package without relationships": (lambda: documents.docx_with(drop=["_rels/.rels"]), "not_ooxml"),
    "a package without content types": (lambda: documents.docx_with(drop=["[Content_Types].xml"]), "not_ooxml"),
    "relationships without a main part": (
        lambda: documents.docx_changed("_rels/.rels", b"/officeDocument", b"/other"),
        "not_ooxml",
    ),
    "content types in a foreign namespace": (
        lambda: documents.docx_changed("[Content_Types].xml", b"content-types", b"types"),
        "not_ooxml",
    ),
    "relationships in a foreign namespace": (
        lambda: documents.docx_changed("_rels/.rels", b"package/2006/relationships", b"x"),
        "not_ooxml",
    ),
    "a main part of an unknown type": (
        lambda: documents.docx_changed("[Content_Types].xml", b"document.main+xml", b"glossary+xml"),
        "not_ooxml",
    ),
    # macros
    "a macro document renamed": (documents.macro_document, "macro_enabled"),
    "a hidden macro project": (documents.hidden_macros, "macro_enabled"),
    "a macro project in other letters": (
        lambda: documents.docx_with(parts={"word/VBAPROJECT.BIN": b"x"}),
        "macro_enabled",
    ),
    "macro data": (lambda: documents.docx_with(parts={"word/vbaData.xml": b"<x/>"}), "macro_enabled"),
    "an active control": (lambda: documents.docx_with(parts={"word/activeX/activeX1.xml": b"<x/>"}), "macro_enabled"),
    "an Excel 4 macro sheet": (lambda: documents.docx_with(parts={"xl/macrosheets/s.xml": b"<x/>"}), "macro_enabled"),
    "a macro type only": (
        lambda: documents.docx_changed("[Content_Types].xml", documents.DOCX_TYPE, documents.MACRO_TYPE),
        "macro_enabled",
    ),
    "a macro project under another name": (
        lambda: _types_with(
            b'<Override PartName="/a.bin" ContentType="application/vnd.ms-office.vbaProject"/>', {"a.bin": b"x"}
        ),
        "macro_enabled",
    ),
    "macro types by entity": (
        lambda: _types_with(b'<Default Extension="b" ContentType="application/x.macro&#69;nabled"/>', {"a.B": b"x"}),
        "macro_enabled",
    ),
    "an embedded macro workbook": (
        lambda: _types_with(
            b'<Default Extension="xlsm" ContentType="application/vnd.ms-excel.sheet.macroEnabled.12"/>',
            {"word/embeddings/a.xlsm": b"x"},
        ),
        "macro_enabled",
    ),
    "a program among the parts": (
        lambda: documents.docx_with(parts={"word/media/setup.exe": documents.windows_program()}),
        "executable_content",
    ),
    # OLE
    "a document under a password": (documents.encrypted_docx, "encrypted_document"),
    "a document under a password, its directory far behind": (
        lambda: documents.ole("EncryptedPackage", filler=200 * KIB) + bytes(200 * KIB),
        "encrypted_document",
    ),
    "an old document": (documents.legacy_doc, "legacy_office_document"),
    "an encrypted ZIP entry": (
        lambda: documents.raw_zip([entry._replace(flags=1) for entry in _entries()]),
        "encrypted_document",
    ),
    # another kind of Office file
    "a workbook": (documents.xlsx, "wrong_ooxml_kind"),
    "a presentation": (documents.pptx, "wrong_ooxml_kind"),
    "a template": (
        lambda: documents.docx_changed("[Content_Types].xml", b"document.main+xml", b"template.main+xml"),
        "wrong_ooxml_kind",
    ),
    # damaged, or built so that two readers would see different content
    "the same part twice": (
        lambda: documents.raw_zip([*_entries(), documents.entry_of(b"word/document.xml", b"<x/>")]),
        "malformed_package",
    ),
    "the same part in other letters": (
        lambda: documents.raw_zip([*_entries(), documents.entry_of(b"WORD/Document.xml", b"<x/>")]),
        "malformed_package",
    ),
    "a path upwards": (lambda: _with_name(b"../../evil.txt"), "malformed_package"),
    "a path upwards inside": (lambda: _with_name(b"word/../../evil.txt"), "malformed_package"),
    "an absolute path": (lambda: _with_name(b"/etc/evil"), "malformed_package"),
    "a drive": (lambda: _with_name(b"C:evil"), "malformed_package"),
    "a backslash": (lambda: _with_name(b"word\\evil"), "malformed_package"),
    "a NUL in a name": (lambda: _with_name(b"word/a\0b"), "malformed_package"),
    "an empty name": (lambda: _with_name(b""), "malformed_package"),
    "a name that is no UTF-8": (
        lambda: documents.raw_zip([*_entries(), documents.entry_of(b"\xff\xfe", b"x", flags=0x800)]),
        "malformed_package",
    ),
    "an unusual compression": (
        lambda: documents.raw_zip([*_entries(), documents.entry_of(b"a", b"x", method=12)]),
        "malformed_package",
    ),
    "sizes that cannot be": (
        lambda: documents.raw_zip([*_entries(), documents.entry_of(b"a", b"x", unpacked=10 * MIB)]),
        "malformed_package",
    ),
    "a wrong checksum": (lambda: _flipped_in(b"Figures of the year"), "malformed_package"),
    "a wrong checksum of the types": (lambda: _flipped_in(b"ContentType="), "malformed_package"),
    "a main part that is not there": (lambda: documents.docx_with(drop=["word/document.xml"]), "malformed_package"),
    "a main part outside": (
        lambda: documents.docx_with(rels=_rels(b"word/document.xml").replace(b"/>", b' TargetMode="External"/>')),
        "malformed_package",
    ),
    "a main part upwards": (lambda: documents.docx_with(rels=_rels(b"../word/document.xml")), "malformed_package"),
    "two main parts": (
        lambda: documents.docx_with(
            rels=_rels(b"a", _rels(b"b").partition(b'/2006/relationships">')[2].split(b"</")[0])
        ),
        "malformed_package",
    ),
    "two types of one part": (
        lambda: _types_with(b'<Override PartName="/WORD/document.xml" ContentType="text/plain"/>'),
        "malformed_package",
    ),
    "a main part that is no XML": (lambda: documents.docx_with(document=b"MZ, not XML"), "malformed_package"),
    "an empty main part": (lambda: documents.docx_with(document=b""), "malformed_package"),
    "a main part with another root": (
        lambda: documents.docx_with(document=b"<html xmlns='http://www.w3.org/1999/xhtml'/>"),
        "malformed_package",
    ),
    "content types that are no XML": (lambda: documents.docx_with(types=b"<Types"), "malformed_package"),
    "an encoding that hides": (
        lambda: documents.docx_with(types=b'<?xml version="1.0" encoding="UTF-7"?><Types/>'),
        "malformed_package",
    ),
    "UTF-16 without its mark": (
        lambda: documents.docx_with(types="<Types/>".encode("utf-16-le")),
        "malformed_package",
    ),
    "UTF-32": (lambda: documents.docx_with(types="<Types/>".encode("utf-32")), "malformed_package"),
    "a directory of another disk": (
        lambda: documents.docx()[:-18] + b"\1\0" + documents.docx()[-16:],
        "malformed_package",
    ),
    # bombs
    "ten gigabytes of zeros": (documents.zip_bomb, "zip_bomb"),
    "one gigabyte of zeros": (lambda: documents.zip_bomb(1), "zip_bomb"),
    "five gigabytes by their own account": (
        lambda: documents.raw_zip([*_entries(), documents.entry_of(b"a", b"x", unpacked=5 * 2**30)]),
        "zip_bomb",
    ),
    "a bomb that lies about its size": (documents.lying_bomb, "zip_bomb"),
    "content types that lie about their size": (lambda: documents.lying_bomb("[Content_Types].xml"), "zip_bomb"),
    "content types of two megabytes": (
        lambda: documents.docx_with(types=b"<Types>" + bytes(2 * MIB).replace(b"\0", b" ") + b"</Types>"),
        "zip_bomb",
    ),
    "entries that quote each other": (documents.overlapping_bomb, "zip_bomb"),
    "two entries of the same bytes": (documents.same_bytes_twice, "zip_bomb"),
    "eleven thousand entries": (
        lambda: documents.raw_zip([*_entries(), *(documents.entry_of(b"a%d" % n, b"") for n in range(11_000))]),
        "zip_bomb",
    ),
    "a billion laughs": (documents.xml_bomb, "xml_bomb"),
    "a billion laughs in UTF-16": (lambda: documents.xml_bomb(encoding="utf-16"), "xml_bomb"),
    "a billion laughs in the relationships": (lambda: documents.xml_bomb("_rels/.rels"), "xml_bomb"),
    "a billion laughs in the document": (lambda: documents.xml_bomb("word/document.xml"), "xml_bomb"),
    "a billion laughs in the styles": (lambda: documents.xml_bomb("word/styles.xml"), "xml_bomb"),
    "a billion laughs in styles of UTF-16": (lambda: documents.xml_bomb("word/styles.xml", "utf-16"), "xml_bomb"),
    "a declaration behind a long comment": (
        lambda: documents.docx_with(parts={"word/styles.xml": b"<!--" + b"<a" * 4000 + b"--><!DOCTYPE a><a/>"}),
        "xml_bomb",
    ),
    "a declaration without entities": (lambda: documents.docx_with(types=b"<!DOCTYPE a><Types/>"), "xml_bomb"),
    "XML of endless depth": (lambda: documents.docx_with(types=b"<a>" * 1000 + b"</a>" * 1000), "xml_bomb"),
    # other data besides the package
    "a program before the document": (documents.program_before_docx, "polyglot"),
    "a program behind the document": (documents.program_behind_docx, "polyglot"),
    "a long program behind the document": (lambda: documents.docx() + b"MZ" + bytes(300 * KIB), "polyglot"),
    "a stretch between entries and directory": (
        lambda: documents.raw_zip(_entries(), gap=bytes(100 * KIB)),
        "polyglot",
    ),
    "a second end record in the comment": (
        lambda: documents.raw_zip(_entries(), comment=b"PK\x05\x06" + bytes(30)),
        "polyglot",
    ),
    "a stretch in front, its offsets mended": (
        lambda: _shifted(),
        "polyglot",
    ),
    # cut off
    "half a document": (lambda: documents.docx()[: len(documents.docx()) // 2], "truncated_file"),
    "a document without its end": (documents.truncated_docx, "truncated_file"),
    "a document without its last byte": (lambda: documents.docx()[:-1], "truncated_file"),
    "a cut comment": (lambda: documents.raw_zip(_entries(), comment=b"words")[:-2], "truncated_file"),
}


def _shifted():
    """A document behind a foreign entry, which the directory does not list."""
    hidden = documents.entry_of(b"hidden.bin", documents.windows_program())
    front = documents.local_header(hidden) + hidden.packed
    body, directory = front, b""
    for entry in _entries():
        directory += documents.central_header(entry, len(body))
        body += documents.local_header(entry) + entry.packed
    return documents.finished_zip(body, directory, len(_entries()))


@pytest.mark.parametrize(("make", "code"), EVIL.values(), ids=EVIL.keys())
def test_everything_else_claimed_as_a_docx_is_refused(make, code):
    source = documents.CountingSource(make())

    with pytest.raises(FileTypeRefused) as refusal:
        ooxml.inspect(source, "docx")

    assert (refusal.value.status, refusal.value.code) == (415, code)
    assert refusal.value.message is BY_PACKAGE[code]
    assert source.bytes_read <= 2 * MIB


@pytest.mark.parametrize("extension", ["xlsx", "pptx"])
def test_a_document_is_no_other_kind(extension):
    with pytest.raises(FileTypeRefused) as refusal:
        ooxml.inspect(io.BytesIO(documents.docx()), extension)
    assert refusal.value.code == "wrong_ooxml_kind"


def test_every_code_of_the_module_has_been_seen():
    assert {code for _make, code in EVIL.values()} == BY_PACKAGE.keys()


@pytest.mark.parametrize(("compression", "most"), [(0, 2 * MIB), (8, 10 * MIB)], ids=["stored", "deflated"])
def test_a_large_package_is_read_once_and_what_is_stored_not_at_all(compression, most):
    media = random.Random(3).randbytes(8 * MIB)
    data = documents.zipped([*documents.parts_of(documents.docx()).items(), ("word/media/a.png", media)], compression)
    source = documents.CountingSource(data)

    ooxml.inspect(source, "docx")

    assert source.bytes_read <= most
    assert source.reads <= 50


def test_a_source_that_ends_early_is_a_truncated_file():
    class Vanishing(io.BytesIO):
        def read(self, size=-1):
            return b""

    with pytest.raises(FileTypeRefused) as refusal:
        ooxml.inspect(Vanishing(documents.docx()), "docx")
    assert refusal.value.code == "truncated_file"


def test_a_fault_of_the_store_is_not_taken_for_a_bad_file():
    class Broken(io.BytesIO):
        def read(self, size=-1):
            raise OSError("no answer")

    with pytest.raises(OSError, match="no answer"):
        ooxml.inspect(Broken(documents.docx()), "docx")


@pytest.mark.parametrize(
    "make", [documents.docx, lambda: documents.raw_zip(_entries(), zip64=True)], ids=["zip", "zip64"]
)
def test_no_damage_does_more_than_get_a_file_refused(make):
    good, chosen = make(), random.Random(5)
    for _number in range(300):
        data = bytearray(good)
        for _change in range(chosen.randint(1, 4)):
            position = chosen.randrange(len(data))
            match chosen.randrange(4):
                case 0:
                    data[position] = chosen.randrange(256)
                case 1:
                    del data[position : position + chosen.randint(1, 40)]
                case 2:
                    data[position:position] = chosen.randbytes(chosen.randint(1, 40))
                case 3:
                    # Overwrite four bytes near the end: the directory is there, with its numbers.
                    position = max(0, len(data) - chosen.randint(4, 500))
                    data[position : position + 4] = struct.pack("<I", chosen.choice([0, 1, 2**31, 2**32 - 1]))
        source = documents.CountingSource(bytes(data))
        with suppress(FileTypeRefused):
            ooxml.inspect(source, "docx")
        assert source.bytes_read <= 64 * KIB
