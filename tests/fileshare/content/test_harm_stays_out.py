"""Each check that refuses harmful files, tested with a small and harmless input."""

import gzip
import io

import pytest

from fileshare.content.file_types import GENERAL
from fileshare.content.filenames import ascii_key_name, content_disposition
from fileshare.content.inspection import inspect
from fileshare.content.ranged_reader import KIB, MIB
from fileshare.content.refusals import FileTypeRefused
from fileshare.content.unpacking import MAX_LEVELS
from tests.fakes import documents
from tests.fileshare.content.test_inspection import MAIL, sheetjs

pytestmark = pytest.mark.once

PAGE = b"<script>alert(1)</script>"


def entries(*more):
    return [*documents.raw_entries(documents.docx()), *more]


def packed(*pairs):
    return documents.zipped(list(pairs))


def tower(levels):
    """ZIPs in one another, `levels` deep."""
    whole = b"words"
    for _level in range(levels):
        whole = packed(("inner.zip", whole))
    return whole


def many(compression=8):
    """A ZIP of three ZIPs of 30 MiB of zeros: each alone is below the limit, all three are above it."""
    whole = packed(("zeros.bin", bytes(30 * MIB)))
    return documents.zipped([(f"{number}.zip", whole) for number in range(3)], compression)


def hidden():
    """A ZIP whose bomb lies in the extra field of the entry before it."""
    bomb = documents.entry_of(b"b", bytes(80 * MIB))
    inside = documents.local_header(bomb) + bomb.packed
    front = bytearray(documents.local_header(documents.entry_of(b"a", b"")))
    front[28:30] = min(len(inside), 0xFFFF).to_bytes(2, "little")
    directory = documents.central_header(bomb, len(front))
    return documents.finished_zip(bytes(front) + inside, directory, 1)


def linked(name, target):
    return packed(("a/b.txt", b"x"), (documents.link(name), target))


END, CENTRAL = b"PK\5\6", b"PK\1\2"


def changed(data, record, place, new):
    """`data` with `new` at the offset `place` of the last `record`."""
    place += data.rindex(record)
    return data[:place] + new + data[place + len(new) :]


def docx_and(name, content=b"x"):
    return documents.zipped([*documents.parts_of(documents.docx()).items(), (name, content)])


def overridden(part, name):
    """A docx with a `part`, which declares the type of a macro project for `name`."""
    line = b'<Override PartName="%s" ContentType="application/vnd.ms-office.vbaProject"/></Types>' % name
    types = documents.parts_of(documents.docx())["[Content_Types].xml"].replace(b"</Types>", line)
    return documents.docx_with(types=types, parts={part: b"x"})


LIAR = documents.entry_of(b"word/media/a.bmp", bytes(80 * MIB), unpacked=100)
FAR = {f"customXml/item{number}.xml": b"<a/>" for number in range(300)} | {"z/last.xml": b"<!DOCTYPE a><a/>"}

HARM = {
    # sizes, counted while inflating, over all levels of nesting
    "a part that states 100 bytes": ("a.docx", lambda: documents.raw_zip(entries(LIAR)), "zip_bomb"),
    "an archive's entry that states 100 bytes": ("a.zip", lambda: documents.raw_zip([LIAR]), "zip_bomb"),
    "an archive in a document": ("a.docx", lambda: docx_and("word/embeddings/a.zip", many()), "zip_bomb"),
    "a stored archive in a document": (
        "a.docx",
        lambda: documents.zipped([*documents.parts_of(documents.docx()).items(), ("word/a.zip", many(0))], 0),
        "zip_bomb",
    ),
    "archives in an archive": ("a.zip", many, "zip_bomb"),
    "archives stored in an archive": ("a.zip", lambda: many(0), "zip_bomb"),
    "archives in an OpenDocument": ("a.foo", many, "zip_bomb"),
    "archives too deep": ("a.zip", lambda: tower(MAX_LEVELS + 1), "zip_bomb"),
    "a bomb in an extra field": ("a.zip", hidden, "zip_bomb"),
    **{
        f"a bomb under another {field} in its own header": (
            "a.zip",
            lambda place=place: changed(packed(("zeros.bin", bytes(80 * MIB))), b"PK\3\4", place, b"\x63"),
            "zip_bomb",
        )
        for field, place in {"version": 4, "flag": 6, "method": 8}.items()
    },
    "a bomb in an extra field of another method": (
        "a.zip",
        lambda: hidden()[:8] + b"\x63" + hidden()[9:],
        "zip_bomb",
    ),
    "a stored archive behind other bytes of a part": (
        "a.docx",
        lambda: documents.zipped(
            [*documents.parts_of(documents.docx()).items(), ("word/a.bin", bytes(300 * KIB) + many(0))], 0
        ),
        "zip_bomb",
    ),
    "a bomb behind a newline": ("a.zip", lambda: many() + b"\n", "zip_bomb"),
    "a declaration in the last of many parts": ("a.docx", lambda: documents.docx_with(parts=FAR), "xml_bomb"),
    # scripts in files of other formats
    "a page in a document's comment": (
        "a.docx",
        lambda: documents.zipped(documents.parts_of(documents.docx()), comment=PAGE),
        "executable_content",
    ),
    "a page in an archive's comment": (
        "a.zip",
        lambda: documents.zipped({"a": b"x"}, comment=PAGE),
        "executable_content",
    ),
    "a page in UTF-16 in a comment": (
        "a.zip",
        lambda: documents.zipped({"a": b"x"}, comment=PAGE.decode().encode("utf-16")),
        "executable_content",
    ),
    "a shell script in a comment": (
        "a.zip",
        lambda: documents.zipped({"a": b"x"}, comment=b"\n#!/bin/sh\n"),
        "executable_content",
    ),
    "a page in the comment of an archive's second entry": (
        "a.zip",
        lambda: packed((documents.commented("a", b"words"), b"x"), (documents.commented("b", PAGE), b"x")),
        "executable_content",
    ),
    "a page in an entry's comment": (
        "a.docx",
        lambda: docx_and(documents.commented("a.xml", PAGE)),
        "executable_content",
    ),
    "a page before a PDF": ("a.pdf", lambda: PAGE + b"\n" + documents.pdf(), "polyglot"),
    "a page after the headers of a mail": ("a.pdf", lambda: MAIL + PAGE + documents.pdf(), "polyglot"),
    "JavaScript around a PDF": ("a.pdf", lambda: b"alert(1)/*\n" + documents.pdf() + b"*/", "polyglot"),
    "JavaScript that multiplies by a PDF": ("a.pdf", lambda: b"a=2*/*\n" + documents.pdf() + b"*/1", "polyglot"),
    "a handler before a PDF": ("a.pdf", lambda: b"<img src=x onerror=a()>\n" + documents.pdf(), "polyglot"),
    "a comment to the end of the line before a PDF": ("a.pdf", lambda: b"a()//" + documents.pdf(), "polyglot"),
    "zeros before something else": ("a.tar", lambda: bytes(512) + documents.windows_program(), "content_mismatch"),
    "rich text before a PDF": ("a.pdf", lambda: b"{\\rtf1 " + documents.pdf(), "polyglot"),
    "a picture before a PDF": ("a.pdf", lambda: documents.gif() + documents.pdf(), "polyglot"),
    "a program before a PDF": ("a.pdf", lambda: documents.windows_program() + documents.pdf(), "executable_content"),
    "a PDF after byte 1,024": ("a.pdf", lambda: b"\n" * 1025 + documents.pdf(), "content_mismatch"),
    "an archive and a newline behind a PDF": (
        "a.pdf",
        lambda: documents.pdf() + packed(("a", b"x")) + b"\n",
        "polyglot",
    ),
    "an archive behind a picture, and an end record in its comment": (
        "a.png",
        lambda: documents.png() + documents.zipped({"a": b"x"}, comment=documents.zipped({}) + b"x"),
        "polyglot",
    ),
    "an archive and zeros behind a picture": (
        "a.png",
        lambda: documents.png() + packed(("a", b"x")) + bytes(9),
        "polyglot",
    ),
    "PHP in a picture of another name": ("a.jpg", lambda: documents.png() + b"<?php x ?>", "polyglot"),
    "a script that is a GIF of another name": ("a.jpg", documents.gif_script, "polyglot"),
    "a text that begins like a bitmap": ("a.jpg", lambda: b"BMW and others", "content_mismatch"),
    "a script named as a tar": ("a.tar", lambda: b"#!/bin/sh\n".ljust(512), "executable_content"),
    "words gzipped as a tar": ("a.tar", lambda: gzip.compress(b"words" * 200), "content_mismatch"),
    "rich text named as a sheet": ("a.xls", lambda: b"{\\rtf1 words}", "content_mismatch"),
    "two newlines behind a document": ("a.docx", lambda: documents.docx() + b"\n\n", "polyglot"),
    # links and names that lead out of the archive
    "a link in a document": (
        "a.docx",
        lambda: docx_and(documents.link("word/a"), b"document.xml"),
        "malformed_package",
    ),
    "a link to a place of the system": ("a.zip", lambda: linked("a/c", b"/etc/hosts"), "leads_outside"),
    "a link to a drive": ("a.zip", lambda: linked("a/c", b"C:\\x"), "leads_outside"),
    "a link upwards": ("a.zip", lambda: linked("a/c", b"../../x"), "leads_outside"),
    "a link by detours": ("a.zip", lambda: linked("a/c", b"b/../../../x"), "leads_outside"),
    "a link before a newline": ("a.zip", lambda: linked("a/c", b"/etc/hosts") + b"\n\n", "leads_outside"),
    "a name upwards": ("a.zip", lambda: packed(("a/../../b", b"x")), "leads_outside"),
    "an absolute name": ("a.zip", lambda: packed(("/a/b", b"x")), "leads_outside"),
    "a name on a drive": ("a.zip", lambda: packed(("C:/b", b"x")), "leads_outside"),
    "a link behind a link": (
        "a.zip",
        lambda: packed((documents.link("a/b"), b"."), (documents.link("c"), b"A/B/..")),
        "leads_outside",
    ),
    "a link below a link": (
        "a.zip",
        lambda: packed((documents.link("a"), b"."), (documents.link("a/b"), b"..")),
        "leads_outside",
    ),
    "a name upwards, in a directory without a count": (
        "a.zip",
        lambda: changed(packed(("../b", b"x")), END, 8, bytes(4)),
        "leads_outside",
    ),
    "a name upwards, in a directory without a size": (
        "a.zip",
        lambda: changed(packed(("../b", b"x")), END, 12, bytes(4)),
        "leads_outside",
    ),
    "a name upwards on another disk": (
        "a.zip",
        lambda: changed(packed(("../b", b"x")), CENTRAL, 34, b"\1"),
        "leads_outside",
    ),
    "a name upwards, and an end record in the comment": (
        "a.zip",
        lambda: documents.zipped({"../b": b"x"}, comment=documents.zipped({})),
        "leads_outside",
    ),
    "a directory that does not lead to its end": (
        "a.zip",
        lambda: changed(packed(("a", b"x")), CENTRAL, 28, b"\2"),
        "malformed_package",
    ),
    # content types of parts
    "a part of a macro type": ("a.xlsx", lambda: sheetjs(**{"xl/printerSettings1.bin": b"x"}), "macro_enabled"),
    "a part of a macro type in pieces": (
        "a.xlsx",
        lambda: sheetjs(**{"xl/a.bin/[0].last.piece": b"x"}),
        "macro_enabled",
    ),
    "a macro type under a coded name": (
        "a.docx",
        lambda: overridden("word/ab.dat", b"/word/a%62.dat"),
        "macro_enabled",
    ),
    "a macro type without a slash": ("a.docx", lambda: overridden("word/a.dat", b"word/A.dat"), "macro_enabled"),
    # names of files
    "a program in full-width letters": ("a.ｅｘｅ", lambda: b"x", "extension_blocked"),
    "a program behind a dot leader": ("a․exe", lambda: b"x", "extension_blocked"),
}


@pytest.mark.parametrize(("filename", "make", "code"), HARM.values(), ids=HARM.keys())
def test_harm_is_refused(filename, make, code):
    data = make()
    assert len(data) < MIB

    with pytest.raises(FileTypeRefused) as refusal:
        inspect(io.BytesIO(data), size=len(data), filename=filename, policy=GENERAL)
    assert (refusal.value.status, refusal.value.code) == (415, code)


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("..／..／x.csv", "x.csv"),
        ("..＼..＼x.csv", "x.csv"),
        ("℀.txt", "c.txt"),
        ("‥", "file"),
        ("ＮＵＬ.txt", "_NUL.txt"),
        ("a＂; filename＝＂b.txt", "a_; filename=_b.txt"),
    ],
)
def test_a_name_in_ascii_is_cleaned_after_its_letters_changed(name, plain):
    assert content_disposition(name).partition('"')[2].partition('"; filename*')[0] == plain
    assert ascii_key_name(name).strip("._-")
    assert "/" not in ascii_key_name(name)


def test_the_budget_is_that_of_the_bytes_read_not_of_the_whole_file(monkeypatch):
    data = packed(("zeros.bin", bytes(80 * MIB))) + bytes(MIB)
    inspect(io.BytesIO(data), size=len(data), filename="a.zip", policy=GENERAL)

    monkeypatch.setattr("fileshare.content.archives.READ_THROUGH_BYTES", 256 * KIB)
    with pytest.raises(FileTypeRefused) as refusal:
        inspect(io.BytesIO(data), size=len(data), filename="a.zip", policy=GENERAL)
    assert refusal.value.code == "zip_bomb"


def test_links_are_read_in_the_order_of_the_file_and_are_not_too_many(monkeypatch):
    data = packed(*[(documents.link(f"{number}"), b"a") for number in range(20)])
    source = documents.CountingSource(data)
    inspect(source, size=len(data), filename="a.zip", policy=GENERAL)
    assert source.bytes_read <= 5 * len(data)  # each read once: the start, the directory, the links, the unpacking

    monkeypatch.setattr("fileshare.content.archives.MAX_SMALL_ENTRIES", 19)
    with pytest.raises(FileTypeRefused) as refusal:
        inspect(io.BytesIO(data), size=len(data), filename="a.zip", policy=GENERAL)
    assert refusal.value.code == "zip_bomb"


def test_directories_are_read_up_to_a_bound(monkeypatch):
    data = packed(*[(f"{number}", b"x") for number in range(20)])
    monkeypatch.setattr("fileshare.content.archive_directory.MAX_DIRECTORY_BYTES", 19 * 128)

    with pytest.raises(FileTypeRefused) as refusal:
        inspect(io.BytesIO(data), size=len(data), filename="a.zip", policy=GENERAL)
    assert refusal.value.code == "zip_bomb"
