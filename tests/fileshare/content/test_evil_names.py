"""Hostile file names, by API and page: they are stored clean, sent correctly and never used as a path."""

import json
import re
from urllib.parse import unquote

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from fileshare import folders
from fileshare.models import File
from tests.factories import store_file
from tests.fileshare.helpers import complete, content, promise, send_whole

BODY = bytes(range(256)) * 40
KEY = re.compile(r"files/u-[0-9a-f-]{36}/[0-9a-f-]{36}/[A-Za-z0-9_][A-Za-z0-9._-]{0,99}")
EVIL = [
    ("../../etc/passwd.bin", "passwd.bin"),
    ("..\\..\\windows\\system.bin", "system.bin"),
    ("/absolute/name.bin", "name.bin"),
    ("C:\\temp\\name.bin", "name.bin"),
    ("nul\x00byte.bin", "nulbyte.bin"),
    ("line\r\nbreak.bin", "linebreak.bin"),
    ("gpj.\u202enib.bin", "gpj.nib.bin"),
    ("zero\u200bwidth.bin", "zerowidth.bin"),
    ("lone\ud800surrogate.bin", "lonesurrogate.bin"),
    ("CON.bin", "_CON.bin"),
    ("com1.bin", "_com1.bin"),
    ("....", "file"),
    (".", "file"),
    ("/", "file"),
    ("   ", "file"),
    ("\x00", "file"),
    ("..", "file"),
    ("trailing.bin. . .", "trailing.bin"),
    ("  spaces.bin  ", "spaces.bin"),
    ("cafe\u0301.bin", "café.bin"),
    ('quote".bin', 'quote".bin'),
    ("semi;colon.bin", "semi;colon.bin"),
    ("percent%2e%2e.bin", "percent%2e%2e.bin"),
    ("<script>.bin", "<script>.bin"),
    ("{{ 7*7 }}.bin", "{{ 7*7 }}.bin"),
    ("' OR 1=1.bin", "' OR 1=1.bin"),
    ("報告書.bin", "報告書.bin"),
    ("отчёт.bin", "отчёт.bin"),
    ("😀.bin", "😀.bin"),
    ("a" * 1_000_000, "a" * 255),
    ("a" * 999_996 + ".bin", "a" * 251 + ".bin"),
    ("é" * 300 + ".bin", "é" * 125 + ".bin"),
]


def spelled(case):
    return ascii(case)[:30] if isinstance(case, str) else None


@pytest.fixture
def own(people):
    return folders.personal_folder(people["client"])


@pytest.mark.local
@pytest.mark.parametrize(("name", "kept"), EVIL, ids=spelled)
def test_an_evil_name_is_stored_clean_and_sent_right(name, kept, api_as, own):
    api = api_as("client")

    answer = api.post(
        "/api/fileshare/upload/initiate",
        json.dumps({"folder_id": str(own.pk), "filename": name, "size_bytes": len(BODY)}),
        content_type="application/json",
    )
    assert answer.status_code == 201, answer.json()
    send_whole(answer.json(), BODY)
    shown = complete(api, answer.json()).json()

    assert shown["filename"] == kept
    assert KEY.fullmatch(File.objects.get().object_key)
    assert ".." not in File.objects.get().object_key
    download = api.get(api.get(f"/api/client/download/{shown['id']}").json()["download-link"])
    assert content(download) == BODY
    header = download["Content-Disposition"]
    assert header.startswith('attachment; filename="')
    assert header.isascii()
    assert header.isprintable()
    assert unquote(header.partition("filename*=UTF-8''")[2]) == kept
    assert download["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("../../etc/passwd.bin", "passwd.bin"),
        ("..\\..\\system.bin", "system.bin"),
        ("gpj.\u202enib.bin", "gpj.nib.bin"),
        ("CON.bin", "_CON.bin"),
        ("報告書.bin", "報告書.bin"),
        ("trailing.bin...", "trailing.bin"),
        ("a" * 500 + ".bin", "a" * 251 + ".bin"),
    ],
    ids=spelled,
)
@pytest.mark.parametrize("door", ["api", "page"])
def test_an_evil_name_in_a_form(door, name, kept, api_as, page_as, own):
    file = SimpleUploadedFile("x", BODY, "application/octet-stream")
    file._name = name  # as a script may send it: the attribute bypasses Django's own cleaning
    if door == "api":
        answer = api_as("client").post("/api/files/upload", {"file": file}, format="multipart")
    else:
        answer = page_as("client").post("/files/upload", {"file": file})

    assert answer.status_code in (201, 302), answer.content
    stored = File.objects.get()
    assert stored.filename == kept
    assert KEY.fullmatch(stored.object_key)


def test_a_name_beyond_a_million_letters_is_refused(api_as, own):
    answer = promise(api_as("client"), own, BODY, "a" * 1_000_001)

    assert (answer.status_code, answer.json()["code"]) == (400, "invalid")


def test_the_key_keeps_the_name_the_person_gave_in_plain_letters(people, company_folder):
    file = store_file(user=people["uploader"], folder=company_folder, filename="Résumé 2.txt", content=b"words")

    assert file.object_key == f"files/baobab-files/{file.pk}/Resume-2.txt"


# --- Downloads ----------------------------------------------------------------------------------------


@pytest.fixture
def stored(people, own):
    return store_file(user=people["client"], folder=own, filename="data.bin", content=BODY)


@pytest.fixture(params=["secure", "signed"])
def url(request, stored, api_as):
    api = api_as("client")
    if request.param == "secure":
        return api.get(f"/api/client/download/{stored.pk}").json()["download-link"]
    return api.post(f"/api/fileshare/download/{stored.pk}").json()["download_url"].removeprefix("http://testserver")


@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [
        ("bytes=0-", 0, None),
        ("bytes=0-0", 0, 1),
        ("bytes=100-199", 100, 200),
        ("bytes=10000-", 10_000, None),
        ("bytes=-10", -10, None),
        ("bytes=-999999", 0, None),
        ("bytes=10239-99999", 10_239, None),
    ],
)
def test_ranges_are_served(asked, start, end, url, page_as):
    answer = page_as("client").get(url, headers={"Range": asked})

    body = content(answer)
    assert answer.status_code == 206
    assert body == BODY[start:end]
    first = start % len(BODY)
    assert answer["Content-Range"] == f"bytes {first}-{first + len(body) - 1}/{len(BODY)}"
    assert answer["Content-Length"] == str(len(body))


@pytest.mark.parametrize("asked", ["bytes=10240-", "bytes=99999-100000", "bytes=-0"])
def test_ranges_behind_the_end_are_refused(asked, url, page_as):
    answer = page_as("client").get(url, headers={"Range": asked})

    assert answer.status_code == 416
    assert answer["Content-Range"] == f"bytes */{len(BODY)}"


@pytest.mark.local
@pytest.mark.parametrize("asked", ["bytes=5-2", "bytes=a-b", "lines=1-2", "bytes=1-2,4-5", "bytes", ""])
def test_ranges_that_are_none_give_the_whole(asked, url, page_as):
    answer = page_as("client").get(url, headers={"Range": asked})

    assert answer.status_code == 200
    assert content(answer) == BODY


@pytest.mark.local
def test_a_download_is_an_attachment_nobody_sniffs_or_caches(url, page_as):
    answer = page_as("client").get(url)

    assert content(answer) == BODY
    assert answer["Content-Disposition"].startswith("attachment;")
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["Content-Type"] == "application/octet-stream"
    assert answer["Cache-Control"] == "private, no-store"
    assert "sandbox" in answer["Content-Security-Policy"]
    assert answer["Accept-Ranges"] == "bytes"
    assert answer["Content-Length"] == str(len(BODY))
    assert page_as("client").get(url, headers={"If-None-Match": answer["ETag"]}).status_code == 304


@pytest.mark.local
def test_the_store_gives_nothing_to_an_unsigned_or_changed_url(url, page_as):
    for address in ("/store/x", "/store/get.x", "/store/put.x:y", "/store/%00"):
        assert page_as("client").get(address).status_code == 403
        assert page_as("client").put(address, b"x").status_code == 403
    if url.startswith("/store/"):
        assert page_as("client").put(url, b"x").status_code == 403
        assert page_as("client").get(url[:-1] + ("A" if url[-1] != "A" else "B")).status_code == 403
