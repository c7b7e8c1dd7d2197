import csv
import io
import struct
import zlib
from xml.etree import ElementTree

import pytest

from fileshare.content import ooxml
from fileshare.demo import office_files
from tests.fakes.documents import parts_of

pytestmark = pytest.mark.once

TEXT = 'Zürich & <Söhne> "quoted" 文書'


def make_docx():
    return office_files.docx(TEXT, [TEXT, ""])


def make_xlsx():
    return office_files.xlsx("Q1 & Q2", [["Month", "Sum"], [TEXT, 12.5], [None, True], list(range(30))])


def make_pptx():
    return office_files.pptx(TEXT, [("Aims", [TEXT, "two"]), ("Empty", [])])


@pytest.mark.parametrize(("make", "extension"), [(make_docx, "docx"), (make_xlsx, "xlsx"), (make_pptx, "pptx")])
def test_an_office_file_is_real_and_the_same_every_time(make, extension):
    data = make()

    ooxml.inspect(io.BytesIO(data), extension)
    assert make() == data
    for name, content in parts_of(data).items():
        ElementTree.fromstring(content)  # noqa: S314 - we made the file
        if name.endswith(".rels"):
            folder = name.replace("_rels/", "").rpartition("/")[0]
            for relation in ElementTree.fromstring(content):  # noqa: S314
                assert _resolved(folder, relation.get("Target")) in parts_of(data)


def _resolved(folder, target):
    parts = [part for part in folder.split("/") if part]
    for step in target.split("/"):
        parts = parts[:-1] if step == ".." else [*parts, step]
    return "/".join(parts)


def _texts(content, tag):
    return [element.text or "" for element in ElementTree.fromstring(content).iter() if element.tag.endswith("}" + tag)]  # noqa: S314


def test_a_document_holds_its_title_and_paragraphs():
    assert _texts(parts_of(make_docx())["word/document.xml"], "t") == [TEXT, TEXT, ""]


def test_a_workbook_holds_its_cells():
    sheet = parts_of(make_xlsx())["xl/worksheets/sheet1.xml"]

    assert _texts(sheet, "t") == ["Month", "Sum", TEXT, "True"]
    assert _texts(sheet, "v") == ["12.5", *map(str, range(30))]
    assert b'r="AD4"' in sheet


def test_a_presentation_holds_a_title_slide_and_the_others():
    parts = parts_of(make_pptx())

    assert _texts(parts["ppt/slides/slide1.xml"], "t") == [TEXT]
    assert _texts(parts["ppt/slides/slide2.xml"], "t") == ["Aims", TEXT, "two"]
    assert "ppt/slides/slide3.xml" in parts
    assert "ppt/slides/slide4.xml" not in parts


def test_a_table_comes_back_from_csv():
    rows = [["Name", "Sum"], [TEXT, "1,5"], ["a\nb", ""]]

    data = office_files.csv(rows)

    assert list(csv.reader(io.StringIO(data.decode("utf-8-sig"), newline=""))) == rows


@pytest.mark.parametrize(("width", "height"), [(640, 360), (32, 32), (33, 200)])
def test_a_picture_is_a_whole_png(width, height):
    data = office_files.png(width, height, (1, 2, 3))

    position, chunks = 8, {}
    while position < len(data):
        length, kind = struct.unpack(">I4s", data[position : position + 8])
        content = data[position + 8 : position + 8 + length]
        assert zlib.crc32(kind + content) == int.from_bytes(data[position + 8 + length : position + 12 + length])
        chunks[kind] = content
        position += 12 + length
    assert struct.unpack(">II", chunks[b"IHDR"][:8]) == (width, height)
    assert len(zlib.decompress(chunks[b"IDAT"])) == height * (3 * width + 1)
    assert list(chunks) == [b"IHDR", b"IDAT", b"IEND"]
