import pytest

from fileshare.content import file_types
from fileshare.content.file_types import GENERAL, OFFICE, check_declared, check_extension, kind
from fileshare.content.refusals import FileTypeRefused

pytestmark = pytest.mark.once

DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
PPTX = "application/vnd.openxmlformats-officedocument.presentationml.presentation"
BYTES = "application/octet-stream"


@pytest.mark.parametrize("policy", [OFFICE, GENERAL])
@pytest.mark.parametrize(("filename", "stored"), [("a.docx", DOCX), ("a.XLSX", XLSX), ("b.c.pptx", PPTX)])
def test_an_office_file_is_stored_with_its_own_type(policy, filename, stored):
    for declared in (stored, stored.upper(), f" {stored} ; charset=binary", BYTES, "", None):
        assert check_declared(policy, filename, declared) == stored


@pytest.mark.parametrize(
    ("filename", "declared", "code"),
    [
        ("a.pdf", "application/pdf", "extension_not_allowed"),
        ("a.docm", DOCX, "extension_not_allowed"),
        ("a.doc", "application/msword", "extension_not_allowed"),
        ("a.docx.exe", DOCX, "extension_not_allowed"),
        ("a.exe\0", DOCX, "extension_not_allowed"),
        ("docx", DOCX, "extension_not_allowed"),
        ("a.dotx", BYTES, "extension_not_allowed"),
        ("a.docx", XLSX, "content_type_mismatch"),
        ("a.docx", "application/zip", "content_type_mismatch"),
        ("a.docx", "text/html", "content_type_blocked"),
        ("a.docx", "application/vnd.ms-word.document.macroEnabled.12", "content_type_blocked"),
        ("a.docx", "nonsense", "content_type_mismatch"),
        ("a.docx", "a/b/c", "content_type_mismatch"),
        ("a.docx", "text/plain\r\nX-Evil: 1", "content_type_mismatch"),
        ("a.docx", "x" * 100_000 + "/y", "content_type_mismatch"),
    ],
)
def test_an_office_folder_refuses_everything_else(filename, declared, code):
    with pytest.raises(FileTypeRefused) as refusal:
        check_declared(OFFICE, filename, declared)
    assert (refusal.value.status, refusal.value.code) == (415, code)


DANGEROUS = """
    a.exe a.EXE a.com a.scr a.msi a.dll a.so a.jar a.apk a.deb a.dmg a.lnk a.url a.desktop a.bat a.cmd a.ps1 a.sh a.vbs
    a.js a.mjs a.hta a.html a.htm a.xhtml a.shtml a.mht a.svgz a.php a.py a.docm a.dotm a.xlsm a.xltm a.xlam a.xlsb
    a.pptm a.potm a.ppam a.ppsm a.sldm a.vsdm a.vstm a.vssm a.mdb a.accdb
    a.reg a.chm invoice.pdf.exe a.pdf.js a.exe. .html a/b.exe report.pdf\u202e.exe
"""


@pytest.mark.parametrize("filename", DANGEROUS.split())
def test_a_general_folder_refuses_dangerous_names(filename):
    for name in (filename, filename + " ", filename + "...", filename + "\u200b"):
        with pytest.raises(FileTypeRefused) as refusal:
            check_declared(GENERAL, name, BYTES)
        assert (refusal.value.status, refusal.value.code) == (415, "extension_blocked")


@pytest.mark.parametrize(
    ("filename", "declared", "stored"),
    [
        ("a.csv", "application/vnd.ms-excel", "text/csv"),
        ("a.csv", "text/csv; charset=utf-8", "text/csv"),
        ("a.jpg", "image/jpg", "image/jpeg"),
        ("a.jpg", "image/heic", "image/jpeg"),
        ("a.jpg", "image/png", "image/jpeg"),
        ("a.png", "image/webp", "image/png"),
        ("a.jpeg", "image/pjpeg", "image/jpeg"),
        ("a.zip", "application/x-zip-compressed", "application/zip"),
        ("a.png", "", "image/png"),
        ("a.mp3", "audio/mp3", "audio/mpeg"),
        ("a.wav", "audio/x-wav", "audio/wav"),
        ("a.md", "text/plain", "text/markdown"),
        ("a.xml", "text/xml", "application/xml"),
        ("a.svg", "image/svg+xml", "image/svg+xml"),
        ("a.pdf.txt", "text/plain", "text/plain"),
        ("README", "", BYTES),
        ("README", "text/plain", "text/plain"),
        ("model.step", "model/step", "model/step"),
        ("drawing.dwg", "application/acad", "application/acad"),
        ("drawing.dwg", "image/vnd.dwg", BYTES),
        ("data.parquet", "application/vnd.apache.parquet", "application/vnd.apache.parquet"),
        ("odd.foo", "image/png", BYTES),
        ("odd.foo", "application/pdf", BYTES),
        ("odd.foo", "text/css", BYTES),
        ("odd.foo", "application/atom+xml", BYTES),
    ],
)
def test_a_general_folder_stores_a_type_that_can_be_trusted(filename, declared, stored):
    assert check_declared(GENERAL, filename, declared) == stored


@pytest.mark.parametrize(
    ("filename", "declared", "code"),
    [
        ("a.png", "image/svg+xml", "content_type_mismatch"),
        ("a.pdf", "text/plain", "content_type_mismatch"),
        ("a.txt", "application/pdf", "content_type_mismatch"),
        ("a.png", "text/html", "content_type_blocked"),
        ("a.foo", "text/html; charset=utf-8", "content_type_blocked"),
        ("a.foo", "application/javascript", "content_type_blocked"),
        ("a.foo", "application/x-msdownload", "content_type_blocked"),
        ("a.foo", "application/xhtml+xml", "content_type_blocked"),
        ("a.foo", "application/vnd.ms-excel.sheet.macroEnabled.12", "content_type_blocked"),
        ("a.foo", "text", "content_type_mismatch"),
    ],
)
def test_a_general_folder_refuses_a_type_that_does_not_fit(filename, declared, code):
    with pytest.raises(FileTypeRefused) as refusal:
        check_declared(GENERAL, filename, declared)
    assert (refusal.value.status, refusal.value.code) == (415, code)


def test_a_policy_nobody_knows_is_a_fault_of_ours():
    with pytest.raises(ValueError, match="unknown type policy"):
        check_extension("none", "a.docx")


def test_no_known_kind_is_blocked_and_none_stores_a_blocked_type():
    assert not file_types.KNOWN_TYPES.keys() & file_types.BLOCKED_EXTENSIONS
    for known in file_types.KNOWN_TYPES.values():
        assert not ({known.content_type} | known.aliases) & file_types.BLOCKED_TYPES


def test_the_picker_offers_the_three_office_kinds():
    assert f".docx,.xlsx,.pptx,{DOCX},{XLSX},{PPTX}" == file_types.ACCEPT


def test_each_policy_has_its_own_hint():
    assert file_types.hint(OFFICE) != file_types.hint(GENERAL)


@pytest.mark.parametrize(
    ("filename", "expected"),
    [
        ("a.docx", "document"),
        ("a.ODT", "document"),
        ("a.xlsx", "sheet"),
        ("a.csv", "sheet"),
        ("a.pptx", "slides"),
        ("a.jpeg", "image"),
        ("a.pdf", "pdf"),
        ("a.txt", "text"),
        ("a.tar.gz", "archive"),
        ("a.mp3", "audio"),
        ("a.mov", "video"),
        ("a.bin", "other"),
        ("README", "other"),
    ],
)
def test_every_file_has_an_icon(filename, expected):
    assert kind(filename) == expected
