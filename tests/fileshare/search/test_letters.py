"""Python, FTS5 and PostgreSQL treat the same letters as equal: those that people take for the same one."""

import sys
import unicodedata

import pytest
from django.db import connection

from fileshare.content.folding import find_all, fold
from fileshare.models import File, Tag
from fileshare.search import find, folding
from tests.fileshare.search.test_search import found, row, rows

__all__ = ["found"]

# Names in fourteen scripts, newest last.
NAMES = [
    "İstanbul Kırmızı.txt",
    "ISPARTA.txt",
    "Ng’endo ya Mūgo.txt",
    "Ng'ang'a lease.txt",
    "Łódź Øresund.txt",
    "Straße naïve.txt",
    "ﬁnance ２０２６.txt",
    "Đặng Việt.txt",
    "Œuvre Ærø.txt",
    "Ἀθῆναι ΟΔΟΣ.txt",
    "Договор Ёлка Й.txt",
    "عَقْد إيجار.txt",
    "می‌خواهم ﷲ.txt",
    "שָׁלוֹם חוזה.txt",
    "किराया अनुबंध.txt",
    "การเช่า น้ำ.txt",
    "合同 租赁.txt",
    "ガ契約 か.txt",
    "한국어 계약.txt",
    "Պայմանագիր.txt",
    "ქართული ᲥᲐᲠᲗᲣᲚᲘ.txt",
    "ኪራይ ውል.txt",
    "குத்தகை.txt",
]
# {query: the beginnings of the names it finds}
FOUND = {
    "istanbul": ["İstanbul"],
    "İSTANBUL": ["İstanbul"],
    "ıstanbul": ["İstanbul"],
    "i̇stanbul": ["İstanbul"],
    "KIRMIZI": ["İstanbul"],
    "kırmızı": ["İstanbul"],
    "kirmizi": ["İstanbul"],
    "ısparta": ["ISPARTA"],
    "isp": ["ISPARTA"],
    "ng'endo": ["Ng’endo"],
    "NG‘ENDO": ["Ng’endo"],
    "ngʼendo": ["Ng’endo"],
    "ng´endo": ["Ng’endo"],
    "ng`endo": ["Ng’endo"],
    "ngendo": [],
    "mugo": ["Ng’endo"],
    "MŪGO": ["Ng’endo"],
    "mu\u0304go": ["Ng’endo"],
    "ng’ang’a": ["Ng'ang'a"],
    "lodz": ["Łódź"],
    "ŁÓDŹ": ["Łódź"],
    "oresund": ["Łódź"],
    "strasse": ["Straße"],
    "STRASSE": ["Straße"],
    "STRAẞE": ["Straße"],
    "naive": ["Straße"],
    "NAÏVE": ["Straße"],
    "finance": ["ﬁnance"],
    "ＦＩＮＡＮＣＥ": ["ﬁnance"],
    "2026": ["ﬁnance"],
    "dang viet": ["Đặng"],
    "ĐẶNG": ["Đặng"],
    "oeuvre": ["Œuvre"],
    "ÆRØ": ["Œuvre"],
    "αθηναι": ["Ἀθῆναι"],
    "ΑΘΗΝΑΙ": ["Ἀθῆναι"],
    "οδός": ["Ἀθῆναι"],
    "οδοσ": ["Ἀθῆναι"],
    "ДОГОВОР": ["Договор"],
    "елка": ["Договор"],
    "ЁЛКА": ["Договор"],
    "عقد": ["عَقْد"],
    "ايجار": ["عَقْد"],
    "میخواهم": ["می‌خواهم"],
    "می‌خواهم": ["می‌خواهم"],
    "الله": ["می‌خواهم"],
    "שלום": ["שָׁלוֹם"],
    "שָׁלוֹם": ["שָׁלוֹם"],
    "किराया": ["किराया"],
    "करय": [],
    "น้ำ": ["การเช่า"],
    "นำ": [],
    "合同": ["合同"],
    "合约": [],
    "ガ契約": ["ガ契約"],
    "ｶﾞ契": ["ガ契約"],
    "カ契": [],
    "한국": ["한국어"],
    "하": [],
    "պայմանագիր": ["Պայմանագիր"],
    "ՊԱՅՄԱՆԱԳԻՐ": ["Պայմանագիր"],
    "ქართული": ["ქართული"],
    "ᲥᲐᲠᲗᲣᲚᲘ": ["ქართული"],
    "ኪራይ": ["ኪራይ"],
    "குத்தகை": ["குத்தகை"],
    "\u0301": [name.partition(" ")[0].removesuffix(".txt") for name in reversed(NAMES)],
}


@pytest.mark.both
def test_every_engine_finds_the_same_names_in_every_script(company_folder, found, monkeypatch):
    rows(company_folder, NAMES)
    assert len(FOUND) >= 60

    for sizes in ({}, {"NEWEST": 1, "MANY": 1}):  # row by row, then by the index
        for name, size in sizes.items():
            monkeypatch.setattr(find, name, size)
        wrong = {}
        for query, parts in FOUND.items():
            words = find.words_of(query)
            if sizes and not (words and all(len(word) > 2 for word in words)):
                continue  # the index does not find such short words
            names = [next(name for name in NAMES if name.startswith(part)) for part in parts]
            by_python = [name for name in reversed(NAMES) if all(word in fold(name) for word in words)]
            if not found("colleague", q=query) == names == by_python:
                wrong[query] = found("colleague", q=query), names, by_python
        assert not wrong


@pytest.mark.both
def test_tags_fold_like_names(company_folder, found, api_as):
    row(company_folder, "a.txt", tags=["i̇stanbul", "ng’endo"])

    for query in ({"q": "ıstan"}, {"tags": "ISTANBUL"}, {"tags": "Ng'endo,istanbul"}, {"q": "NG`E"}):
        assert found("colleague", **query) == ["a.txt"], query
    assert found("colleague", q="tanbul") == []


@pytest.mark.once
def test_every_letter_folds_once_and_alike_in_every_case():
    """For each letter with a decomposition or two cases, and each apostrophe: its fold and both cases fold alike."""
    letters = [
        letter
        for letter in map(chr, range(sys.maxunicode + 1))
        if unicodedata.decomposition(letter) or letter.lower() != letter.upper() or letter in "`´ʹʻʼʽʾʿˈˊˋ‘’‛′՚Ꞌꞌ＇"
    ]
    wrong = [
        letter
        for letter in letters
        if {fold(form) for form in (fold(letter), letter.upper(), letter.lower())} != {fold(letter)}
    ]

    assert len(letters) > 5000
    assert not wrong


@pytest.mark.once
def test_what_is_marked_is_what_was_found():
    def marked(text, *words):
        return [text[start:end] for start, end in find_all(text, words)]

    assert marked("Die STRASSE, die Straße.txt", "strasse") == ["STRASSE", "Straße"]
    assert marked("İstanbul ﬁn", "istan", "fi") == ["İstan", "ﬁ"]
    assert marked("e\u0301te\u0301 été", "ete") == ["e\u0301te\u0301", "été"]
    assert marked("aaa", "a", "aa") == ["aa", "a"]
    assert marked("abc", "", "x") == marked("", "x") == []


@pytest.mark.both
def test_names_that_old_code_wrote_are_found_once_they_are_folded(company_folder, found, monkeypatch):
    monkeypatch.setattr(folding, "BATCH", 2)
    monkeypatch.setattr(find, "NEWEST", 1)
    old = [row(company_folder, f"Été {number}.txt", minutes=number, tags=["né"]) for number in range(5)]
    File.objects.update(folded_name=None)
    Tag.objects.update(folded_name=None)
    assert found("colleague", q="ete") == found("colleague", tags="né") == []

    assert folding.fold_missing() == 6
    assert len(found("colleague", q="ete")) == len(found("colleague", tags="ne")) == len(old)
    assert folding.fold_missing() == 0

    # The old code renames a file without changing its folded name.
    with connection.cursor() as cursor:
        cursor.execute("UPDATE fileshare_file SET filename = 'Neu.txt' WHERE filename = 'Été 3.txt'")
    assert folding.fold_all() == 1
    assert found("colleague", q="neu") == ["Neu.txt"]
    assert found("colleague", q="ete 3") == []
