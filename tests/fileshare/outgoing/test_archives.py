"""Many files as one ZIP."""

import io
import random
import struct
import subprocess
import uuid
import zipfile
import zlib
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from urllib.parse import urlsplit

import pytest
import time_machine
from django.utils import timezone

from audit.models import Event
from config.errors import Refused
from fileshare import checksums, files
from fileshare.contributions.actions import Action
from fileshare.models import Archive, File, PermissionType
from fileshare.outgoing.zip_format import Entry, Layout
from fileshare.storage import get_store
from tests.factories import FolderFactory, SubfolderFactory, grant, store_file

pytestmark = pytest.mark.django_db
BULK = "/api/fileshare/download/bulk"
WHEN = datetime(2026, 11, 21, 10, 30, 8, tzinfo=UTC)


def body(response):
    return b"".join(response.streaming_content)


def bulk(client, rows, **options):
    return client.post(BULK, {"file_ids": [str(row.pk) for row in rows], **options})


def resumption(response):
    """The path that resumes the archive of this answer."""
    return urlsplit(response["Link"].partition(">")[0].strip("<")).path


@pytest.fixture
def three(people, company_folder):
    reports = SubfolderFactory(folder=company_folder, name="Ripoti", slug="reports")
    uploader = people["uploader"]
    return [
        store_file(user=uploader, folder=company_folder, filename="notes.txt", content=b"first"),
        store_file(user=uploader, folder=company_folder, filename="Notes.txt", content=b"second"),
        store_file(user=uploader, folder=company_folder, subfolder=reports, filename="días.txt", content=b"third"),
    ]


@pytest.mark.parametrize(
    ("accepted", "kind"),
    [
        ("*/*", "application/zip"),
        ("application/octet-stream", "application/octet-stream"),
        ("application/octet-stream, application/zip", "application/zip"),
    ],
)
def test_a_client_that_takes_plain_bytes_gets_them(accepted, kind, api_as, three):
    response = api_as("colleague").post(BULK, {"file_ids": [str(row.pk) for row in three]}, HTTP_ACCEPT=accepted)

    assert response["Content-Type"] == kind
    assert body(response).startswith(b"PK")


def test_files_come_as_one_archive_of_the_announced_length(api_as, three):
    response = bulk(api_as("colleague"), three)

    content = body(response)
    assert response.status_code == 200
    assert response["Content-Type"] == "application/zip"
    assert "fileshare-download.zip" in response["Content-Disposition"]
    assert int(response["Content-Length"]) == len(content)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.testzip() is None
        assert {name: archive.read(name) for name in archive.namelist()} == {
            "Baobab/notes.txt": b"first",
            "Baobab/Notes (2).txt": b"second",
            "Baobab/Ripoti/días.txt": b"third",
        }
        assert {info.compress_type for info in archive.infolist()} == {zipfile.ZIP_STORED}


def test_names_are_such_as_windows_takes_and_still_differ(api_as, people):
    folder = FolderFactory(name='Q3: "final"', company=people["colleague"].company)
    sub = SubfolderFactory(folder=folder, name="<old|new>", slug="s")
    names = ["a?.txt", "a*.txt", "nul.txt", "12:30.txt", "what?"]
    facts = {"user": people["uploader"], "folder": folder, "subfolder": sub}
    rows = [store_file(**facts, filename=name, content=b"x") for name in names]

    with zipfile.ZipFile(io.BytesIO(body(bulk(api_as("colleague"), rows)))) as archive:
        paths = [name.split("/") for name in archive.namelist()]

    assert {tuple(path[:-1]) for path in paths} == {("Q3_ _final_", "_old_new_")}
    assert [path[-1] for path in paths] == ["a_.txt", "a_ (2).txt", "_nul.txt", "12_30.txt", "what_"]


def test_times_are_moments_and_not_hours_of_some_zone(api_as, three):
    content = body(bulk(api_as("colleague"), three))

    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        for info, row in zip(archive.infolist(), three, strict=True):
            stamp = struct.pack("<2sHBI", b"UT", 5, 1, int(row.uploaded_at.timestamp()))
            start = info.header_offset + 30 + len(info.filename.encode())
            assert info.extra == content[start : start + len(stamp)] == stamp


def test_an_archive_resumes_at_any_byte(api_as, three):
    client = api_as("colleague")
    response = bulk(client, three)
    whole = body(response)
    address = resumption(response)
    etag = response["ETag"]
    chosen = random.Random(7)

    for _ in range(60):
        start = chosen.randrange(len(whole))
        end = chosen.randrange(start, len(whole))
        part = client.get(address, headers={"Range": f"bytes={start}-{end}", "If-Range": etag})
        assert part.status_code == 206
        assert part["Content-Range"] == f"bytes {start}-{end}/{len(whole)}"
        assert body(part) == whole[start : end + 1]
    assert body(client.get(address)) == whole
    assert client.get(address, headers={"Range": f"bytes={len(whole)}-"}).status_code == 416


def test_an_archive_belongs_to_its_maker_for_ten_minutes_and_as_long_as_they_may_have_the_files(
    api_as, people, three, company_folder
):
    address = resumption(bulk(api_as("uploader"), three))

    assert api_as("colleague").get(address).status_code == 404
    assert api_as(None).get(address).status_code == 401
    with time_machine.travel(timezone.now() + timedelta(minutes=4)):
        company_folder.permissions.all().delete()
        assert api_as("uploader").get(address).json()["code"] == "not_found"
        grant(company_folder, PermissionType.DOWNLOAD, user=people["uploader"])
        assert api_as("uploader").get(address).status_code == 200
    with time_machine.travel(timezone.now() + timedelta(minutes=11)):
        assert api_as("uploader").get(address).status_code in (401, 410)


def test_it_is_all_or_nothing_on_permission(api_as, people, three):
    elsewhere = store_file(user=people["super"], folder=FolderFactory(), filename="other.txt", content=b"x")
    gone = str(uuid.uuid4())

    response = api_as("colleague").post(BULK, {"file_ids": [str(three[0].pk), str(elsewhere.pk), gone]})

    assert response.status_code == 404
    assert response.json()["errors"] == {"file_ids": [str(elsewhere.pk), gone]}
    assert not Archive.objects.exists()
    assert not Event.objects.filter(action=Action.DOWNLOAD).exists()


def test_a_file_seen_but_not_downloadable_is_403(api_as, people):
    folder = FolderFactory()
    grant(folder, PermissionType.UPLOAD, user=people["client"])
    own = store_file(user=people["client"], folder=folder, filename="own.txt", content=b"x")

    response = bulk(api_as("client"), [own])

    assert response.status_code == 403
    assert response.json()["errors"] == {"file_ids": [str(own.pk)]}


@pytest.mark.parametrize(
    ("query", "options"), [("", {"partial": True}), ("?partial=1", {}), ("?partial=true", {"partial": False})]
)
def test_partial_leaves_the_refused_out_and_lists_them(query, options, api_as, people, three):
    elsewhere = store_file(user=people["super"], folder=FolderFactory(), filename="other.txt", content=b"x")

    ids = [str(three[0].pk), str(elsewhere.pk)]
    response = api_as("colleague").post(BULK + query, {"file_ids": ids, **options})

    with zipfile.ZipFile(io.BytesIO(body(response))) as archive:
        assert archive.namelist() == ["Baobab/notes.txt", "SKIPPED.txt"]
        assert str(elsewhere.pk) in archive.read("SKIPPED.txt").decode()
        assert "other.txt" not in archive.read("SKIPPED.txt").decode()


@pytest.mark.parametrize(
    "file_ids",
    [[], ["x"], "x", None, [1], [str(uuid.uuid4())] * 1001],
    ids=["none", "no id", "a word", "null", "a number", "1,001"],
)
def test_lists_that_make_no_sense_are_refused(api_as, file_ids):
    response = api_as("client").post(BULK, {"file_ids": file_ids})

    assert response.status_code == 400
    assert response.json()["code"] == "invalid"


def test_each_file_is_counted_once_and_recorded(api_as, three):
    client = api_as("colleague")
    response = client.post(BULK, {"file_ids": [str(row.pk) for row in three] * 2})
    body(response)
    body(client.get(resumption(response), headers={"Range": "bytes=5-"}))

    assert list(File.objects.values_list("download_count", flat=True)) == [1, 1, 1]
    events = Event.objects.filter(action=Action.DOWNLOAD)
    assert events.count() == 3
    assert len({event.detail["bulk"] for event in events}) == 1


def test_a_checksum_not_known_yet_is_computed_once_and_kept(api_as, three):
    File.objects.update(crc32=None, sha256="")

    content = body(bulk(api_as("colleague"), three[:1]))

    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.testzip() is None
    row = File.objects.get(pk=three[0].pk)
    assert (row.crc32, row.sha256) == (zlib.crc32(b"first"), sha256(b"first").hexdigest())
    assert checksums.complete() == 2


def test_an_archive_begun_without_checksums_resumes_at_any_byte(api_as, three):
    File.objects.update(crc32=None, sha256="")
    api = api_as("colleague")
    first = bulk(api, three)
    whole, again = body(first), resumption(first)

    assert len(whole) == int(first["Content-Length"])
    for start in (0, 1, 40, len(whole) // 2, len(whole) - 30):
        File.objects.update(crc32=None, sha256="")  # the first attempt ended before it stored them
        answer = api.get(again, headers={"Range": f"bytes={start}-"})
        assert (answer.status_code, body(answer)) == (206, whole[start:])


def test_a_checksum_that_becomes_known_changes_no_byte_of_an_archive(api_as, three):
    File.objects.update(crc32=None, sha256="")
    api = api_as("colleague")
    first = bulk(api, three)
    again = resumption(first)
    checksums.complete()

    assert body(api.get(again)) == body(first)


def test_bytes_that_vanish_end_the_archive_before_its_end(api_as, three):
    File.objects.update(crc32=None, sha256="")
    get_store().delete(three[1].object_key)

    with pytest.raises(Refused):
        body(bulk(api_as("colleague"), three))


def test_the_number_of_queries_does_not_grow_with_the_files(
    api_as, people, company_folder, django_assert_max_num_queries
):
    rows = [
        store_file(user=people["uploader"], folder=company_folder, filename=f"{number}.txt", content=b"x")
        for number in range(12)
    ]
    for count in (2, 12):
        with django_assert_max_num_queries(9):
            body(bulk(api_as("colleague"), rows[:count]))


def test_a_folder_comes_whole_from_its_page(client, people, three):
    client.force_login(people["colleague"])

    whole = client.post("/fileshare/baobab-files/download.zip")
    part = client.post("/fileshare/baobab-files/reports/download.zip")
    chosen = client.post("/files/download.zip", {"file_ids": [str(three[1].pk)]})

    assert len(zipfile.ZipFile(io.BytesIO(body(whole))).namelist()) == 3
    assert zipfile.ZipFile(io.BytesIO(body(part))).namelist() == ["Baobab/Ripoti/días.txt"]
    assert zipfile.ZipFile(io.BytesIO(body(chosen))).namelist() == ["Baobab/Notes.txt"]
    client.force_login(people["stranger"])
    assert client.post("/fileshare/baobab-files/download.zip").status_code == 404


def test_the_page_offers_the_rest_when_some_of_the_chosen_are_gone(client, people, three):
    client.force_login(people["colleague"])
    ids = [str(row.pk) for row in three]
    files.delete(user=people["uploader"], file_id=three[2].pk)

    page = client.post("/files/download.zip", {"file_ids": ids})

    assert page.status_code == 404
    assert "1 of the 3 files you chose was deleted meanwhile" in page.content.decode()
    assert "Download the rest (2 files)" in page.content.decode()
    assert not Archive.objects.exists()

    rest = client.post("/files/download.zip", {"file_ids": ids, "partial": "1"})

    with zipfile.ZipFile(io.BytesIO(body(rest))) as archive:
        assert archive.namelist() == ["Baobab/notes.txt", "Baobab/Notes (2).txt", "SKIPPED.txt"]
        assert ids[2] in archive.read("SKIPPED.txt").decode()


def test_the_page_offers_nothing_when_nothing_is_left(client, people, three):
    client.force_login(people["stranger"])

    page = client.post("/files/download.zip", {"file_ids": [str(row.pk) for row in three]})

    assert page.status_code == 404
    assert b"Download the rest" not in page.content


def test_a_table_offers_what_its_folder_may_be_downloaded_from(page_as, people, three, inbox):
    own = store_file(user=people["client"], folder=inbox, filename="own.txt", content=b"x")
    box = 'name="file_ids" value="%s" form="file-zip"'

    page = page_as("colleague").get("/fileshare/baobab-files/").content.decode()
    assert page.count('name="file_ids"') == 2
    assert all(box % row.pk in page for row in three[:2])
    page = page_as("client").get("/fileshare/inbox/").content.decode()
    assert box % own.pk in page, "it can be moved and deleted"
    assert 'id="select-download"' not in page
    assert box % own.pk in page_as("client").get("/files/").content.decode()


@pytest.mark.parametrize("crc_behind", [False, True])
def test_a_file_over_four_gibibytes_gets_zip64_fields_and_every_range_adds_up(crc_behind, tmp_path):
    gib = 1 << 30
    block = b"\0" * (1 << 20)
    crc = 0
    for _ in range(5 * 1024):
        crc = zlib.crc32(block, crc)
    layout = Layout(
        [
            Entry("big/zeros.bin", 5 * gib, lambda: crc, WHEN, "zeros", crc_behind),
            Entry("big/after.txt", 5, lambda: zlib.crc32(b"after"), WHEN, b"after", crc_behind),
        ]
    )
    path = tmp_path / "large.zip"
    with path.open("wb") as file:
        for piece in layout.pieces(0, layout.size_bytes):
            if piece.source is None:
                file.write(piece.made())
            elif piece.source == "zeros":
                file.seek(piece.end - piece.start, io.SEEK_CUR)  # zeros: a hole in the file
            else:
                file.write(piece.source[piece.start : piece.end])

    assert path.stat().st_size == layout.size_bytes
    with zipfile.ZipFile(path) as archive:
        assert [(info.filename, info.file_size) for info in archive.infolist()] == [
            ("big/zeros.bin", 5 * gib),
            ("big/after.txt", 5),
        ]
        assert archive.read("big/after.txt") == b"after"
    chosen = random.Random(11)
    for _ in range(200):
        start = chosen.randrange(layout.size_bytes)
        end = chosen.randrange(start, layout.size_bytes) + 1
        lengths = [p.end - p.start if p.source else len(p.made()) for p in layout.pieces(start, end)]
        assert sum(lengths) == end - start


def test_other_programs_read_it(api_as, three, tmp_path):
    path = tmp_path / "a.zip"
    path.write_bytes(body(bulk(api_as("colleague"), three)))

    listed = subprocess.run(["python3", "-m", "zipfile", "-t", str(path)], capture_output=True, text=True, check=True)

    assert "Done testing" in listed.stdout
