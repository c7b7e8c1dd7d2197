import gzip
import io
import random
from contextlib import nullcontext, suppress

import pytest

from config.errors import Refused
from fileshare.content.file_types import GENERAL, OFFICE
from fileshare.content.inspection import MAX_SVG_BYTES, inspect
from fileshare.content.ranged_reader import KIB, MIB
from fileshare.content.refusals import FileTypeRefused
from tests.fakes import documents

pytestmark = pytest.mark.once


def look(data, filename, policy=GENERAL):
    source = documents.CountingSource(data)
    inspect(source, size=len(data), filename=filename, policy=policy)
    return source


NOISE = random.Random(8).randbytes(300)
MAIL = b"Content-Type: application/pdf\r\nContent-Location: https://example.org/a.pdf\r\n\r\n"


def v7_tar():
    """A tar of Unix v7: its header has a checksum and no magic."""
    block = bytearray(b"notes.txt".ljust(100, b"\0") + b"0000644\0" * 3 + b"00000000005\0" * 2 + b" " * 8 + bytes(356))
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block) + b"words".ljust(512, b"\0") + bytes(1024)


def sheetjs(**parts):
    """A workbook with the content types of SheetJS, which declare every .bin as a workbook with macros."""
    line = b'<Default Extension="bin" ContentType="application/vnd.ms-excel.sheet.binary.macroEnabled.main"/>'
    whole = documents.parts_of(documents.xlsx())
    whole["[Content_Types].xml"] = whole["[Content_Types].xml"].replace(b"</Types>", line + b"</Types>")
    return documents.zipped(whole | parts)


GOOD = {
    "a workbook of SheetJS": ("a.xlsx", sheetjs),
    "a workbook with a newline behind": ("a.xlsx", lambda: documents.xlsx() + b"\n"),
    "a document with a line end of Windows behind": ("a.docx", lambda: documents.docx() + b"\r\n"),
    "an archive with a newline behind": ("a.zip", lambda: documents.zipped({"a.txt": b"x"}) + b"\n"),
    "a PDF behind a blank line": ("a.pdf", lambda: b"\n" + documents.pdf()),
    "a PDF behind a byte order mark": ("a.pdf", lambda: b"\xef\xbb\xbf" + documents.pdf()),
    "a PDF behind headers of a mail": ("a.pdf", lambda: MAIL + documents.pdf()),
    "a PDF from byte 1,024 on": ("a.pdf", lambda: b"\n" * 1023 + documents.pdf()),
    "rich text as Word saves it": ("a.doc", lambda: b"{\\rtf1\\ansi words}"),
    "a PDF behind an address": ("a.pdf", lambda: b"From <a@example.org> http://example.org/" + documents.pdf()),
    "a tar of Unix v7": ("a.tar", v7_tar),
    "a tar whose first file begins with MZ": ("a.tar", lambda: b"MZ".ljust(257, b"\0") + b"ustar\x0000" + bytes(300)),
    "a tar without files": ("a.tar", lambda: bytes(10_240)),
    "a gzipped tar": ("a.tar", lambda: gzip.compress(v7_tar())),
    "an archive of links within": (
        "a.zip",
        lambda: documents.zipped(
            [("a/b.txt", b"x"), (documents.link("a/c"), b"b.txt"), (documents.link("d"), b"a/b.txt")]
        ),
    ),
    "an archive stored in an archive, with links": (
        "a.zip",
        lambda: documents.zipped(
            [("a", b"x" * 99), ("b.zip", documents.zipped([("c", b"x"), (documents.link("d"), b"c")]))], 0
        ),
    ),
    "links of a framework of macOS": (
        "a.zip",
        lambda: documents.zipped(
            [
                ("F/Versions/A/F", b"x"),
                (documents.link("F/Versions/Current"), b"A"),
                (documents.link("F/F"), b"Versions/Current/F"),
                (documents.link("F/Versions/A/Up"), b"../A"),
            ]
        ),
    ),
    "an archive under a password": ("a.zip", lambda: documents.raw_zip([documents.entry_of(b"a", NOISE, flags=1)])),
    "an archive of archives": (
        "a.zip",
        lambda: documents.zipped({"a.zip": documents.zipped({"b.docx": documents.docx()})}),
    ),
    "a Word document": ("a.docx", documents.docx),
    "an Excel workbook": ("a.XLSX", documents.xlsx),
    "a presentation": ("a.pptx", documents.pptx),
    "an old Word document": ("a.doc", documents.legacy_doc),
    **{f"an old {kind} document": (f"a.{kind}", documents.legacy_doc) for kind in ("dot", "pot", "vsd", "wbk", "xlt")},
    "an old presentation without macros": ("a.ppt", lambda: documents.legacy_ppt(project=0, has_macros=0)),
    "a PNG picture": ("a.png", documents.png),
    "a JPEG picture": ("a.jpg", lambda: b"\xff\xd8\xff\xe0\0\x10JFIF\0" + bytes(500) + b"\xff\xd9"),
    "a GIF picture": ("a.gif", documents.gif),
    "a WebP picture": ("a.webp", lambda: b"RIFF\x20\0\0\0WEBPVP8 " + bytes(20)),
    "a TIFF picture": ("a.tiff", lambda: b"II*\0\x08\0\0\0" + bytes(50)),
    "a PDF": ("a.pdf", documents.pdf),
    "a ZIP": ("a.zip", lambda: documents.zipped({"a.txt": b"x"})),
    "an empty ZIP": ("a.zip", lambda: documents.zipped({})),
    "a 7z archive": ("a.7z", lambda: b"7z\xbc\xaf'\x1c" + bytes(30)),
    "a tar": ("a.tar", lambda: bytes(257) + b"ustar\x0000" + bytes(300)),
    "an MP3 with a tag": ("a.mp3", lambda: b"ID3\x04" + bytes(50)),
    "an MP3 without": ("a.mp3", lambda: b"\xff\xfb\x90\x64" + bytes(50)),
    "an MP4": ("a.mp4", lambda: b"\0\0\0\x20ftypisom" + bytes(50)),
    "a WAV": ("a.wav", lambda: b"RIFF\x24\0\0\0WAVEfmt " + bytes(50)),
    "an OpenDocument text": (
        "a.odt",
        lambda: documents.zipped([("mimetype", b"application/vnd.oasis.opendocument.text"), ("a", b"x")], 0),
    ),
    "an OpenDocument sheet of SheetJS, which puts its type last": (
        "a.ods",
        lambda: documents.zipped([("a", b"x"), ("mimetype", b"application/vnd.oasis.opendocument.spreadsheet")]),
    ),
    "a text": ("a.txt", lambda: "Grüße\n".encode()),
    "a text of another code page": ("a.txt", lambda: b"Gr\xfc\xdfe"),
    "a text in UTF-16": ("a.txt", lambda: "Grüße".encode("utf-16")),
    "a text that begins with MZ": ("a.txt", lambda: b"MZ is a province code"),
    "a text about shebangs": ("a.md", lambda: b"Scripts begin with #!/bin/sh"),
    "Rust, which only looks like a shebang": ("a.rs", lambda: b"#![allow(dead_code)]"),
    "Markdown that begins with a tag": ("a.md", lambda: b"<h1 align=center>Title</h1>"),
    "a CSV": ("a.csv", lambda: b"a,b\r\n1,2\r\n"),
    "JSON": ("a.json", lambda: b'{"a": "<html>"}'),
    "XML": ("a.xml", lambda: b"<?xml version='1.0'?><feed><html>quoted</html></feed>"),
    "a picture in SVG": ("a.svg", documents.svg),
    "a picture in SVG as Inkscape writes it": (
        "a.svg",
        lambda: documents.svg(
            "<a href='https://example.org/'><text>on time</text></a><style>path{fill:red}</style>",
            before="<?xml version='1.0' encoding='UTF-8'?><!DOCTYPE svg PUBLIC '-//W3C//DTD SVG 1.1//EN' "
            "'http://www.w3.org/Graphics/SVG/1.1/DTD/svg11.dtd'>",
        ),
    ),
    "a picture in SVG of parts and styles of its own": (
        "a.svg",
        lambda: documents.svg(
            "<defs><linearGradient id='g'/></defs><use href='#g'/><image href='data:image/png;base64,AAAA'/>"
            "<a href='//example.org/' xlink:href='HTTPS://example.org/' xmlns:xlink='http://www.w3.org/1999/xlink'/>"
            "<style>/* https://example.org */ path { fill: url(#g) }</style><desc>@import url(https://x)</desc>",
            "style='fill:url(#g)' data-from='https://example.org/'",
        ),
    ),
    "a kind nobody knows": ("a.foo", lambda: bytes(range(256))),
    "a name without an ending": ("README", lambda: b"Read me"),
}


@pytest.mark.parametrize(("filename", "make"), GOOD.values(), ids=GOOD.keys())
def test_a_file_that_is_what_it_says_passes(filename, make):
    look(make(), filename)
    inspect(documents.DrippingSource(make()), size=len(make()), filename=filename, policy=GENERAL)


def iso(brand, *compatible):
    """The start of a file of ISO media, such as HEIC."""
    brands = brand + bytes(4) + b"".join(compatible)
    return (8 + len(brands)).to_bytes(4, "big") + b"ftyp" + brands + bytes(50)


@pytest.mark.parametrize(
    ("filename", "data", "true"),
    [
        ("a.jpg", iso(b"heic", b"mif1"), "heic"),
        ("a.JPEG", iso(b"mif1", b"mif1", b"heic"), "heic"),
        ("a.jpg", iso(b"mif1", b"mif1", b"avif"), "avif"),
        ("a.heic", iso(b"avif"), "avif"),
        ("a.jpg", b"RIFF\x20\0\0\0WEBPVP8 " + bytes(20), "webp"),
        ("a.jpg", documents.png(), "png"),
        ("a.png", b"\xff\xd8\xff\xe0\0\x10JFIF\0" + bytes(500) + b"\xff\xd9", "jpg"),
        ("a.webp", documents.gif(), "gif"),
        ("a.gif", b"BM" + bytes(8) + b"\x36\0\0\0\x28\0\0\0" + bytes(40), "bmp"),
        ("a.png", b"II*\0\x08\0\0\0" + bytes(50), "tif"),
        ("a.jpeg", b"\xff\xd8\xff\xe0" + bytes(50), "jpeg"),
        ("a.heif", iso(b"heic"), "heif"),
    ],
)
def test_a_picture_is_known_by_its_content(filename, data, true):
    assert inspect(io.BytesIO(data), size=len(data), filename=filename, policy=GENERAL) == true


@pytest.mark.parametrize(
    ("filename", "data", "policy", "told"),
    [
        ("a.xls", b"x", OFFICE, "Save it from Excel as .xlsx"),
        ("a.odp", b"x", OFFICE, "Save it from PowerPoint as .pptx"),
        ("a.pdf", b"x", OFFICE, "Only .docx, .xlsx and .pptx files are taken here."),
        ("a.xlsm", b"x", GENERAL, "Save it from Excel as .xlsx, without macros"),
        ("a.html", b"x", GENERAL, "Save the page as a PDF"),
        ("a.docx", documents.macro_document(), GENERAL, "Save it from Word as .docx, without macros"),
        ("a.pptx", documents.legacy_doc(), OFFICE, "Save it from PowerPoint as .pptx"),
        ("a.xlsx", documents.encrypted_docx(), OFFICE, "Remove the password in Excel"),
        (
            "a.xls",
            b"<html><table>",
            GENERAL,
            "This is a web page with the ending of Excel. Save it from Excel as .xlsx",
        ),
        (
            "a.doc",
            documents.docx(),
            GENERAL,
            "This is a newer Office file than its name says. Save it from Word as .docx",
        ),
    ],
)
def test_a_refusal_says_what_to_do(filename, data, policy, told):
    with pytest.raises(FileTypeRefused) as refusal:
        look(data, filename, policy)
    assert told in str(refusal.value.message)


EVIL = {
    # programs, whatever their name
    **{
        f"{name} as {filename}": (filename, data, "executable_content")
        for filename in ("a.png", "a.pdf", "a.txt", "a.zip", "a.foo", "README")
        for name, data in {
            "a Windows program": documents.windows_program(),
            "a Linux program": b"\x7fELF\x02\x01\x01" + bytes(60),
            "a macOS program": b"\xcf\xfa\xed\xfe\x07\0\0\x01" + bytes(60),
            "a macOS program of other byte order": b"\xfe\xed\xfa\xce" + bytes(60),
            "a fat macOS program": b"\xca\xfe\xba\xbe\0\0\0\x02" + bytes(60),
            "a Java class": b"\xca\xfe\xba\xbe\0\0\0\x34" + bytes(60),
            "a shell script": b"#!/bin/sh\nrm -rf /\n",
            "a shell script with a mark": b"\xef\xbb\xbf#! /usr/bin/env python3\n",
            "a batch file": b"@ECHO OFF\r\ndel *.*\r\n",
            "a Windows shortcut": b"L\0\0\0\x01\x14\x02\0" + bytes(60),
            "an internet shortcut": b"[InternetShortcut]\r\nURL=file://evil/x.exe\r\n",
            "a desktop entry": b"\n[Desktop Entry]\nExec=sh\n",
            "an installer": documents.ole("!_StringData", class_id=documents.INSTALLER_CLASS),
        }.items()
    },
    "an installer as an old document": (
        "a.doc",
        documents.ole("x", class_id=documents.INSTALLER_CLASS, filler=70 * KIB // 512 * 512),
        "executable_content",
    ),
    # another format than the name says
    "HTML in a picture": ("a.png", documents.html(), "content_mismatch"),
    "HTML in a PDF": ("a.pdf", documents.html(), "content_mismatch"),
    "HTML in a CSV": ("a.csv", b"\n<!-- x --><!-- y --> <html>", "content_mismatch"),
    "HTML in JSON": ("a.json", documents.html(), "content_mismatch"),
    "HTML in XML": ("a.xml", b"<html xmlns='http://www.w3.org/1999/xhtml'/>", "content_mismatch"),
    "HTML in an SVG": ("a.svg", b"<html/>", "content_mismatch"),
    "a script in a picture": ("a.jpg", b"alert(1)", "content_mismatch"),
    "a ZIP named RAR": ("a.rar", documents.zipped({"a": b"x"}), "content_mismatch"),
    "a document named ZIP without one": ("a.zip", b"words", "content_mismatch"),
    "a text named MP4": ("a.mp4", b"words", "content_mismatch"),
    "a package named like an old document": ("a.doc", documents.macro_document(), "content_mismatch"),
    "a package named like rich text": ("a.rtf", documents.macro_document(), "content_mismatch"),
    "a ZIP named OpenDocument": ("a.odt", documents.zipped({"a": b"x"}), "content_mismatch"),
    "a sheet named as a text": (
        "a.odt",
        documents.zipped({"mimetype": b"application/vnd.oasis.opendocument.spreadsheet"}),
        "content_mismatch",
    ),
    "a ZIP of two types": (
        "a.epub",
        documents.zipped([("mimetype", b"application/epub+zip"), ("mimetype", b"application/java-archive")]),
        "content_mismatch",
    ),
    "a picture named text": ("a.txt", documents.png(), "content_mismatch"),
    "UTF-16 without its mark": ("a.csv", "a,b".encode("utf-16-le"), "content_mismatch"),
    "a GIF without a picture": ("a.gif", b"GIF89a=1;alert(1)", "content_mismatch"),
    # two formats in one file
    "a GIF that is a script": ("a.gif", documents.gif_script(), "polyglot"),
    "a JPEG that is a script": ("a.jpg", b"\xff\xd8\xff\xe0/*JFIF" + bytes(20) + b"*/=1", "polyglot"),
    "a bitmap that is a script": ("a.bmp", b"BM/*" + bytes(20) + b"*/=1", "polyglot"),
    "a picture with PHP": ("a.png", documents.png() + b"<?php system($_GET[0]); ?>", "polyglot"),
    "a picture with HTML": ("a.gif", documents.gif()[:-1] + b"!\xfe\x10<script>alert(1)</script>\0;", "polyglot"),
    "a picture with an archive behind": ("a.png", documents.png() + documents.zipped({"a": b"x"}), "polyglot"),
    "a PDF with an archive behind": ("a.pdf", documents.pdf() + documents.zipped({"A.class": b"x"}), "polyglot"),
    "a program before a document": ("a.docx", documents.program_before_docx(), "polyglot"),
    # Office
    "a macro document renamed": ("a.docx", documents.macro_document(), "macro_enabled"),
    "a workbook named as a document": ("a.docx", documents.xlsx(), "wrong_ooxml_kind"),
    "a document under a password": ("a.docx", documents.encrypted_docx(), "encrypted_document"),
    "an old document under a password": ("a.xls", documents.encrypted_docx(), "encrypted_document"),
    "an old document with macros": ("a.doc", documents.ole("Macros", "_VBA_PROJECT"), "macro_enabled"),
    **{
        f"an old .{kind} with macros": (f"a.{kind}", documents.ole("Macros", "_VBA_PROJECT"), "macro_enabled")
        for kind in ("dot", "wbk", "xlt", "pot", "pps", "vsd", "vst", "vss")
    },
    **{
        f"a package named like an old .{kind}": (f"a.{kind}", documents.macro_document(), "content_mismatch")
        for kind in ("dot", "wbk", "xlt", "pot", "pps", "vsd", "vst", "vss")
    },
    "an old presentation with macros": ("a.ppt", documents.legacy_ppt(project=7, has_macros=1), "macro_enabled"),
    "an old show with macros": ("a.pps", documents.legacy_ppt(project=7, has_macros=1), "macro_enabled"),
    "an old presentation that hides its macros": (
        "a.ppt",
        documents.legacy_ppt(project=7, has_macros=0),
        "macro_enabled",
    ),
    "a ZIP bomb": ("a.docx", documents.overlapping_bomb(), "zip_bomb"),
    # SVG
    **{
        f"an SVG with {name}": ("a.svg", data, "active_content")
        for name, data in {
            "a script": documents.svg("<script>alert(1)</script>"),
            "a script of another prefix": documents.svg(
                "<s:script xmlns:s='http://www.w3.org/2000/svg' href='//x/y.js'/>"
            ),
            "an event handler": documents.svg(attributes="onload='alert(1)'"),
            "an event handler in capitals": documents.svg("<path OnClick='x'/>"),
            "a javascript link": documents.svg("<a href='java\nscript:alert(1)'/>"),
            "a javascript link by references": documents.svg(
                "<a xmlns:xlink='http://www.w3.org/1999/xlink' xlink:href=' &#x4a;avascript&#58;alert(1)'/>"
            ),
            "a link set later": documents.svg("<set attributeName='href' to='x'/>"),
            "a handler set later": documents.svg("<animate attributeName='onclick' values='x'/>"),
            "HTML inside": documents.svg("<foreignObject/>"),
            "an HTML element": documents.svg("<b xmlns='http://www.w3.org/1999/xhtml'/>"),
            "a page as data": documents.svg("<a href='data:text/html,x'/>"),
            "an entity": documents.svg("&x;", before="<!DOCTYPE svg [<!ENTITY x 'y'>]>"),
            "a style sheet from outside": documents.svg(before="<?xml-stylesheet href='x.xsl' type='text/xsl'?>"),
            "an odd encoding": documents.svg(before="<?xml version='1.0' encoding='windows-1254'?>"),
            "a picture from outside": documents.svg("<image href='https://tracker.example/x.png'/>"),
            "a picture from outside by the old attribute": documents.svg(
                "<image xmlns:xlink='http://www.w3.org/1999/xlink' xlink:href=' HTTP://tracker.example/x.png'/>"
            ),
            "a picture from a server of the same scheme": documents.svg("<image href='//tracker.example/x.png'/>"),
            "a picture by backslashes": documents.svg("<image href='\\\\tracker.example/x.png'/>"),
            "a shape from outside": documents.svg("<use href='https://tracker.example/x.svg#a'/>"),
            "a sound from outside": documents.svg("<audio src='https://tracker.example/x.ogg'/>"),
            "a base outside": documents.svg("<g xml:base='https://tracker.example/'/>"),
            "a fill from outside": documents.svg("<path fill='url( &quot;https://tracker.example/x.svg#a&quot; )'/>"),
            "a style from outside": documents.svg("<a style='fill:url(//tracker.example/x.svg#a)'/>"),
            "an import": documents.svg("<style>@import url(https://tracker.example/x.css);</style>"),
            "an import by a text": documents.svg("<style><![CDATA[@import '//tracker.example/x.css'; ]]></style>"),
            "an import in pieces": documents.svg("<style>@im<!-- x -->port/**/ <g/>'https://tracker.example/'</style>"),
            "an import by escapes": documents.svg("<style>@\\69 mport 'ht\\74ps://tracker.example/'</style>"),
            "an address between texts like comments": documents.svg(
                "<style>a{content:'/*'} b{fill:url(https://tracker.example/)} c{content:'*/'}</style>"
            ),
            "a script in UTF-16": documents.svg("<script/>").decode().encode("utf-16"),
        }.items()
    },
    "an SVG with a script named XML": ("a.xml", documents.svg("<script/>"), "active_content"),
    "an SVG of another encoding named XML": (
        "a.xml",
        documents.svg("<script/>", before="<?xml version='1.0' encoding='shift_jis'?>"),
        "active_content",
    ),
    "an SVG cut off": ("a.svg", documents.svg()[:-3], "content_mismatch"),
    "an SVG of many megabytes": ("a.svg", documents.svg(" " * MAX_SVG_BYTES), "svg_too_large"),
}


@pytest.mark.parametrize(("filename", "data", "code"), EVIL.values(), ids=EVIL.keys())
def test_a_file_that_is_dangerous_or_something_else_is_refused(filename, data, code):
    with pytest.raises(FileTypeRefused) as refusal:
        look(data, filename)
    assert (refusal.value.status, refusal.value.code) == (415, code)


@pytest.mark.parametrize("name", ["a.docx", "a.xlsx", "a.pptx"])
def test_an_office_folder_takes_only_what_the_name_says(name):
    kinds = {"a.docx": documents.docx(), "a.xlsx": documents.xlsx(), "a.pptx": documents.pptx()}
    for other, data in kinds.items():
        if other == name:
            look(data, name, OFFICE)
            continue
        with pytest.raises(FileTypeRefused) as refusal:
            look(data, name, OFFICE)
        assert refusal.value.code == "wrong_ooxml_kind"


@pytest.mark.parametrize(
    ("filename", "policy", "code"),
    [("a.pdf", OFFICE, "extension_not_allowed"), ("a.docm", OFFICE, "extension_not_allowed")]
    + [("a.exe", GENERAL, "extension_blocked"), ("a.docm", GENERAL, "extension_blocked")],
)
def test_the_name_is_asked_again(filename, policy, code):
    with pytest.raises(FileTypeRefused) as refusal:
        look(documents.docx(), filename, policy)
    assert refusal.value.code == code


@pytest.mark.parametrize("filename", ["a.docx", "a.txt", "a.png", "README"])
def test_an_empty_file_is_taken_but_not_as_an_office_document(filename):
    look(b"", filename)
    with pytest.raises(Refused) as refusal:
        look(b"", "a.docx", OFFICE)
    assert (refusal.value.status, refusal.value.code) == (400, "empty_file")


@pytest.mark.parametrize(("filename", "start"), [("a.png", documents.png()), ("a.txt", b"words"), ("a.foo", b"x")])
def test_a_large_file_is_not_read_through(filename, start):
    source = look(start + b"." * (20 * MIB), filename)

    assert source.bytes_read <= 256 * KIB
    assert source.reads <= 4


def test_macros_are_found_wherever_an_old_document_holds_them():
    # The name lies across a border of two blocks of the scan, before one, after one, and at the end.
    data = documents.ole("Macros", filler=3 * MIB)
    name = "_VBA_PROJECT".encode("utf-16-le")
    for position in (MIB - 5, 2 * MIB - len(name), 2 * MIB, len(data) - len(name)):
        with pytest.raises(FileTypeRefused) as refusal:
            look(data[:position] + name + data[position + len(name) :], "a.doc")
        assert refusal.value.code == "macro_enabled"


def test_a_presentations_macros_are_found_across_the_blocks_of_the_scan():
    for project, refused in ((7, True), (0, False)):
        told = documents.vba_info(project=project, has_macros=project and 1)
        for position in range(MIB - len(told) - 1, MIB + 2):
            data = documents.ole("PowerPoint Document", filler=2 * MIB)
            data = data[:position] + told + data[position + len(told) :]
            with pytest.raises(FileTypeRefused) if refused else nullcontext():
                look(data, "a.ppt")


def test_a_hostile_style_takes_no_time():
    look(documents.svg("<style>" + "/*" * 100_000 + "url(x" * 100_000 + "\\" * 100_000 + "</style>"), "a.svg")


def test_a_hostile_page_start_takes_no_time():
    with pytest.raises(FileTypeRefused):
        look(b"<!--" + b"--><!--" * 9000 + b"\0", "a.csv")
    look(b"<!---->" * 9000, "a.csv")


SAMPLES = {
    "a.png": documents.png(),
    "a.gif": documents.gif(),
    "a.svg": documents.svg("<a href='x'><text>y</text></a>"),
    "a.doc": documents.legacy_doc(),
    "a.xml": b"<?xml version='1.0' encoding='utf-8'?><a b='c'>d</a>",
    "a.pdf": documents.pdf(),
    "a.xlsx": documents.xlsx(),
}


@pytest.mark.parametrize("filename", SAMPLES)
def test_no_damage_does_more_than_get_a_file_refused(filename):
    chosen = random.Random(6)
    for _number in range(200):
        data = bytearray(SAMPLES[filename])
        for _change in range(chosen.randint(1, 4)):
            data[chosen.randrange(len(data))] = chosen.randrange(256)
        data = bytes(data[: chosen.randint(1, len(data))] if chosen.random() < 0.3 else data)
        with suppress(FileTypeRefused):
            inspect(io.BytesIO(data), size=len(data), filename=filename, policy=GENERAL)
