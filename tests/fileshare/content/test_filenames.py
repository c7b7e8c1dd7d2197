import random
import re
import time
import unicodedata
from urllib.parse import unquote

import pytest

from fileshare.content.filenames import ascii_key_name, clean, content_disposition, extension

pytestmark = pytest.mark.once

LONG_STEM = "é" * 200

CLEANED = {
    "a plain name stays": ("report.docx", "report.docx"),
    "capitals and inner spaces stay": ("My Report (2).DOCX", "My Report (2).DOCX"),
    "a leading dot stays": (".env", ".env"),
    "other alphabets stay": ("报告 отчёт.xlsx", "报告 отчёт.xlsx"),
    "decomposed letters are composed": ("Zu\u0308rich.pdf", "Zürich.pdf"),
    "a Unix path loses its folders": ("../../etc/passwd", "passwd"),
    "a Windows path loses its folders": ("C:\\Users\\me\\plan.pptx", "plan.pptx"),
    "mixed separators are both taken": ("a\\b/c\\d.txt", "d.txt"),
    "a folder gives its own name": ("photos/", "photos"),
    "a NUL is dropped": ("report.exe\0.docx", "report.exe.docx"),
    "line breaks are dropped": ("a\r\nSet-Cookie: x=1.txt", "aSet-Cookie: x=1.txt"),
    "C1 controls and DEL are dropped": ("a\x7f\x85\x9fb.txt", "ab.txt"),
    "a right-to-left override is dropped": ("invoice\u202efdp.exe", "invoicefdp.exe"),
    "isolates and marks are dropped": ("\u2066a\u2069\u200eb\u061c.txt", "ab.txt"),
    "zero-width characters are dropped": ("in\u200bvo\u2060ice\ufeff.pdf", "invoice.pdf"),
    "tag characters are dropped": ("a\U000e0041\U000e0042.txt", "a.txt"),
    "lone surrogates are dropped": ("a\ud800b\udfff.txt", "ab.txt"),
    "a joiner between ASCII letters is dropped": ("pay\u200dpal.pdf", "paypal.pdf"),
    "a joiner in an emoji stays": ("👩\u200d💻.png", "👩\u200d💻.png"),
    "a joiner in Persian stays": ("می\u200cخواهم.docx", "می\u200cخواهم.docx"),
    "a joiner before the dot is dropped": ("می\u200c.docx", "می.docx"),
    "trailing dots and spaces are dropped": ("virus.exe. . .", "virus.exe"),
    "leading and exotic spaces are dropped": ("\u3000 a.txt\u00a0", "a.txt"),
    "a device name gets a prefix": ("CON", "_CON"),
    "a device name with an extension, too": ("nul.txt", "_nul.txt"),
    "a device name with two endings, too": ("Com1 .tar.gz", "_Com1 .tar.gz"),
    "a name that starts like a device stays": ("console.log", "console.log"),
    "only dots become the fallback": ("....", "file"),
    "only spaces become the fallback": ("   ", "file"),
    "nothing becomes the fallback": ("", "file"),
    "only separators become the fallback": ("///\\", "file"),
    "only invisible characters become the fallback": ("\u202e\u200b\0", "file"),
    "a device name left by the cut gets a prefix": ("NUL" + " " * 300 + "x", "_NUL"),
    "a long name keeps its extension": ("a" * 300 + ".docx", "a" * 250 + ".docx"),
    "bytes are counted, not letters": (LONG_STEM + ".pdf", "é" * 125 + ".pdf"),
    "a very long ending is no extension": ("a." + "x" * 300, "a." + "x" * 253),
}


@pytest.mark.parametrize(("name", "expected"), CLEANED.values(), ids=CLEANED.keys())
def test_a_name_is_cleaned(name, expected):
    assert clean(name) == expected


def _wild_names():
    chosen = random.Random(2)
    alphabet = list(
        "aZ9._- /\\\0\r\n\"%;'é\u0301\u0308\u200b\u200c\u200d\u202e\u2066\u3000\u00a0\u212a\ud800👩💻文ی"
    ) + [
        "CON",
        "NUL",
        ".exe",
        "..",
        "x" * 120,
        "é" * 90,
        "\u0338",
    ]
    for _number in range(3000):
        yield "".join(chosen.choices(alphabet, k=chosen.randint(0, 12)))


def test_a_cleaned_name_keeps_every_promise_and_is_clean_already():
    for name in [*_wild_names(), *(name for name, _expected in CLEANED.values())]:
        cleaned = clean(name)
        assert clean(cleaned) == cleaned, ascii(name)
        assert 1 <= len(cleaned.encode()) <= 255
        assert unicodedata.is_normalized("NFC", cleaned)
        assert not re.search(r"[/\\\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]", cleaned)
        assert cleaned == cleaned.strip().rstrip(".")


@pytest.mark.parametrize(
    "name",
    ["a" * 2**20 + ".pdf", "\u0301" * 2**20, "../" * 2**18, "\u200b" * 2**20, "👩\u200d" * 2**18, " ." * 2**19 + "x"],
    ids=["letters", "composing marks", "folders", "invisible", "emoji", "dots and spaces"],
)
def test_a_name_of_a_megabyte_takes_no_time(name):
    start = time.perf_counter()

    cleaned = clean(name)

    assert time.perf_counter() - start < 0.5
    assert 1 <= len(cleaned.encode()) <= 255


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.DOCX", "docx"),
        ("invoice.pdf.exe", "exe"),
        ("archive.tar.gz", "gz"),
        (".exe", "exe"),
        ("README", ""),
        ("", ""),
    ],
)
def test_the_last_ending_is_the_extension(name, expected):
    assert extension(name) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Report 2025.docx", "Report-2025.docx"),
        ("Zürich café.PDF", "Zurich-cafe.PDF"),
        ("文書.xlsx", "file.xlsx"),
        (".htaccess", "file.htaccess"),
        ("-rf.txt", "rf.txt"),
        ("a..b…c.txt", "a.b.c.txt"),
        ("ＮＵＬ.txt", "_NUL.txt"),
        ("données.été", "donnees.ete"),
        ("名前.名前", "file"),
        ("a/b", "b"),
    ],
)
def test_a_key_name_is_plain_ascii(name, expected):
    assert ascii_key_name(name) == expected


def test_a_key_name_is_always_safe_in_a_path():
    for name in [*_wild_names(), "x" * 2**20, "." + "y" * 64, "é" * 300 + ".docx"]:
        key_name = ascii_key_name(name)
        assert re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}", key_name), (ascii(name), key_name)
        assert ".." not in key_name
    assert ascii_key_name("é" * 300 + ".docx").endswith(".docx")


def test_a_download_header_holds_a_plain_and_the_true_name():
    assert (
        content_disposition('Zürich "Q1" 100%.docx')
        == "attachment; filename=\"Zurich _Q1_ 100_.docx\"; filename*=UTF-8''Z%C3%BCrich%20%22Q1%22%20100%25.docx"
    )
    assert content_disposition("文書.pdf", "inline") == (
        "inline; filename=\"__.pdf\"; filename*=UTF-8''%E6%96%87%E6%9B%B8.pdf"
    )


def test_no_name_breaks_out_of_the_download_header():
    names = [*_wild_names(), 'a"; filename="evil.exe', "a\r\nX-Evil: 1", "a\\", "a'b;c,d.txt", "\u2028.txt"]
    for name in names:
        header = content_disposition(name)
        found = re.fullmatch(
            r"attachment; filename=\"([ !#-\[\]-~]+)\"; filename\*=UTF-8''([A-Za-z0-9!#$&+.^_`|~%-]+)", header
        )
        assert found, ascii(name)
        assert unquote(found[2], errors="strict") == clean(name)


def test_only_two_dispositions_exist():
    with pytest.raises(ValueError, match="unknown disposition"):
        content_disposition("a.txt", "attachment\r\nX: y")
