"""Stored files: renamed, published, deleted, kept in versions, expired, checked."""

import datetime as dt
import hashlib
import io
import zlib

import pytest
from django.core.cache import cache
from django.utils import timezone

from audit.models import Event
from fileshare import checksums, folders, tasks
from fileshare.incoming import completion
from fileshare.models import File, Folder, RedeemedLink
from fileshare.storage import StoreUnavailable, get_store
from tests.factories import SubfolderFactory, grant, store_file
from tests.fileshare.helpers import REAL_TRANSACTIONS, at_once, complete, promise, refusal, send_parts, space

START = dt.datetime(2031, 5, 1, 12, tzinfo=dt.UTC)


def by_page(client, file):
    return client.post(f"/files/{file.pk}/delete")


def by_api(client, file):
    return client.delete(f"/api/files/{file.pk}")


def by_fileshare_api(client, file):
    return client.delete(f"/api/fileshare/files/{file.pk}")


@pytest.fixture
def own(people):
    """A text in the client's personal folder."""
    folder = folders.personal_folder(people["client"])
    return store_file(user=people["client"], folder=folder, filename="notes.txt", content=b"words")


# --- Changed ------------------------------------------------------------------------------------------


def test_a_file_is_renamed_and_keeps_its_key(report, api_as):
    answer = api_as("uploader").patch(f"/api/files/{report.pk}", {"filename": "  Final: report.DOCX "})

    assert answer.status_code == 200
    assert answer.json()["filename"] == "Final: report.DOCX"
    assert File.objects.get().object_key == report.object_key
    event = Event.objects.get(action="file_changed")
    assert event.detail == {"before": {"filename": "report.docx"}, "after": {"filename": "Final: report.DOCX"}}


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"filename": "report.exe"}, 400, "extension_changed"),
        ({"filename": "report.docm"}, 400, "extension_changed"),
        ({"filename": "report"}, 400, "extension_changed"),
        ({"filename": "report.docx.pdf"}, 400, "extension_changed"),
        ({"filename": "report.docx\x00.exe"}, 400, "extension_changed"),
        ({"filename": "..."}, 400, "extension_changed"),
        ({"filename": ""}, 400, "invalid"),
        ({"filename": None}, 400, "invalid"),
        ({"visibility": "secret"}, 400, "invalid"),
        ({"visibility": "public"}, 403, "permission_denied"),
        ({"visibility": None}, 400, "invalid"),
        ({"folder_id": "x"}, 400, "invalid"),
        ({"uploaded_by": "x", "filename": "good.docx"}, 400, "invalid"),
        ({"size_bytes": 1}, 400, "invalid"),
        ({"filename": "good.docx", "visibility": "public"}, 403, "permission_denied"),
    ],
)
def test_what_may_not_change(changes, status, code, report, api_as):
    answer = api_as("uploader").patch(f"/api/files/{report.pk}", changes)

    assert refusal(answer) == (status, code)
    file = File.objects.get()
    assert (file.filename, file.visibility) == ("report.docx", "private")
    assert not Event.objects.filter(action="file_changed").exists()


def test_changing_nothing_is_fine_and_leaves_no_trace(report, api_as):
    api = api_as("uploader")

    assert api.patch(f"/api/files/{report.pk}", {}).status_code == 200
    assert api.patch(f"/api/files/{report.pk}", {"visibility": "private"}).status_code == 200
    assert not Event.objects.filter(action="file_changed").exists()


def test_a_personal_file_is_published_and_taken_back(own, api_as):
    stranger, owner = api_as("stranger"), api_as("client")
    assert stranger.get(f"/api/files/{own.pk}").status_code == 404

    assert owner.patch(f"/api/files/{own.pk}", {"visibility": "public"}).json()["visibility"] == "public"
    assert stranger.get(f"/api/client/download/{own.pk}").status_code == 200
    assert str(own.pk) in [row["id"] for row in stranger.get("/api/client/files").json()["results"]]
    assert refusal(stranger.patch(f"/api/files/{own.pk}", {"visibility": "private"})) == (403, "permission_denied")
    assert refusal(stranger.delete(f"/api/files/{own.pk}")) == (403, "permission_denied")
    owner.patch(f"/api/files/{own.pk}", {"visibility": "private"})

    assert stranger.get(f"/api/files/{own.pk}").status_code == 404


def test_a_public_file_does_not_open_the_folder_it_lies_in(own, api_as):
    api_as("client").patch(f"/api/files/{own.pk}", {"visibility": "public"})

    assert api_as("stranger").get(f"/api/fileshare/folders/{own.folder_id}").status_code == 404
    assert api_as("stranger").get(f"/api/fileshare/folders/{own.folder_id}/files").status_code == 404


# --- Deleted ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ask", [by_page, by_api, by_fileshare_api])
@pytest.mark.parametrize(
    ("who", "status"),
    [("uploader", None), ("super", None), ("colleague", 403), ("stranger", 404), ("client", 404), ("ops", 404)],
)
def test_a_file_is_deleted_by_its_uploader_or_a_super(ask, who, status, page_as, report, company_folder, commits):
    with commits():
        response = ask(page_as(who), report)

    if status:
        assert response.status_code == status
        assert File.objects.filter(pk=report.pk).exists()
        assert get_store().head(report.object_key) is not None
        assert space(company_folder) == (report.size_bytes, 0)
    else:
        assert response.status_code in (204, 302)
        assert not File.objects.kept().exists()
        assert get_store().head(report.object_key) is not None
        assert space(company_folder) == (report.size_bytes, 0)
        event = Event.objects.get(action="delete")
        assert (event.target_id, event.target_name, event.size_bytes) == (
            str(report.pk),
            "report.docx",
            report.size_bytes,
        )


@pytest.mark.parametrize("ask", [by_page, by_api])
def test_nobody_deletes_without_signing_in(ask, page_as, report):
    assert ask(page_as(None), report).status_code in (302, 401)
    assert File.objects.exists()


def test_a_file_goes_once(report, api_as, commits):
    api = api_as("uploader")
    with commits():
        assert api.delete(f"/api/files/{report.pk}").status_code == 204

    assert refusal(api.delete(f"/api/files/{report.pk}")) == (404, "not_found")


@REAL_TRANSACTIONS
def test_deleted_many_times_at_once_it_goes_to_the_trash_once(people, report, api_as):
    apis = [api_as("uploader") for _ in range(6)]

    answers = at_once(6, lambda number: apis[number].delete(f"/api/files/{report.pk}").status_code)

    assert sorted(answers) == [204] + [404] * 5
    assert Event.objects.filter(action="delete").count() == 1


# --- Versions -----------------------------------------------------------------------------------------


def test_the_same_name_twice_is_two_files_and_one_line(people, company_folder, page_as, api_as):
    for number in range(3):
        store_file(user=people["uploader"], folder=company_folder, filename="plan.txt", content=b"version %d" % number)
    store_file(user=people["uploader"], folder=company_folder, filename="other.txt", content=b"other")
    subfolder = SubfolderFactory(folder=company_folder, slug="reports")
    store_file(
        user=people["uploader"], folder=company_folder, subfolder=subfolder, filename="plan.txt", content=b"below"
    )

    page = page_as("colleague").get("/fileshare/baobab-files/").context["page"]
    below = page_as("colleague").get("/fileshare/baobab-files/reports/").context["page"]

    newest = File.objects.filter(filename="plan.txt", subfolder=None).order_by("-uploaded_at", "-pk").first()
    assert [(row.filename, row.version_count) for row in page.results] == [("other.txt", 1), ("plan.txt", 3)]
    assert page.results[1].pk == newest.pk
    assert [(row.filename, row.version_count) for row in below.results] == [("plan.txt", 1)]
    assert len(api_as("colleague").get(f"/api/fileshare/folders/{company_folder.pk}/files").json()["results"]) == 5
    shown = page_as("colleague").get(f"/files/{newest.pk}/")
    assert [row.pk for row in shown.context["versions"]] == list(
        File.objects.filter(filename="plan.txt", subfolder=None)
        .order_by("-uploaded_at", "-pk")
        .values_list("pk", flat=True)
    )


def test_versions_of_one_moment_show_one_line(people, company_folder, page_as):
    for number in range(3):
        store_file(user=people["uploader"], folder=company_folder, filename="a.txt", content=b"%d" % number)
    File.objects.update(uploaded_at=timezone.now())

    page = page_as("colleague").get("/fileshare/baobab-files/").context["page"]

    assert [row.version_count for row in page.results] == [3]


def test_an_expired_version_is_no_version(people, company_folder, page_as):
    old, _new = (
        store_file(user=people["uploader"], folder=company_folder, filename="a.txt", content=b"%d" % number)
        for number in range(2)
    )
    File.objects.filter(pk=old.pk).update(expires_at=timezone.now() - dt.timedelta(seconds=1))

    page = page_as("colleague").get("/fileshare/baobab-files/").context["page"]

    assert [row.version_count for row in page.results] == [1]


# --- Kept for a time ----------------------------------------------------------------------------------


@pytest.mark.local
def test_a_file_is_kept_as_long_as_its_folder_says(people, company_folder, time_machine):
    time_machine.move_to(START, tick=False)
    for days, expires in ((7, START + dt.timedelta(days=7)), (None, None)):
        company_folder.retention_days = days
        company_folder.save()
        assert store_file(user=people["uploader"], folder=company_folder).expires_at == expires


@pytest.mark.local
def test_another_retention_moves_the_day_of_what_is_there(people, company_folder, api_as, time_machine):
    time_machine.move_to(START, tick=False)
    file = store_file(user=people["uploader"], folder=company_folder)
    address = f"/api/fileshare/folders/{company_folder.pk}"
    time_machine.move_to(START + dt.timedelta(days=2), tick=False)

    for days, expires in ((90, START + dt.timedelta(days=90)), (None, None), (5, START + dt.timedelta(days=2 + 8))):
        assert api_as("super").patch(address, {"retention_days": days}).json()["retention_days"] == days
        file.refresh_from_db()
        assert file.expires_at == expires


def test_a_retention_that_ends_while_a_form_is_read_holds_for_its_file(people, company_folder, api_as, monkeypatch):
    """The folder may change while the body arrives, so its retention is read when the file is stored."""
    look = completion.inspection.inspect

    def meanwhile(*args, **kwargs):
        Folder.objects.filter(pk=company_folder.pk).update(retention_days=None)
        return look(*args, **kwargs)

    monkeypatch.setattr(completion.inspection, "inspect", meanwhile)
    file = store_file(user=people["uploader"], folder=company_folder)

    assert file.expires_at is None


@pytest.mark.local
def test_a_file_whose_time_is_over_is_gone_for_everybody(people, company_folder, api_as, time_machine, commits):
    time_machine.move_to(START, tick=False)
    file = store_file(user=people["uploader"], folder=company_folder)
    time_machine.move_to(START + dt.timedelta(days=30), tick=False)

    for who in ("uploader", "colleague", "super"):
        assert api_as(who).get(f"/api/files/{file.pk}").status_code == 404
        assert api_as(who).get(f"/api/client/download/{file.pk}").status_code == 404
        assert api_as(who).get("/api/client/files").json()["results"] == []
    with commits():
        assert tasks.remove_expired_files() == 1
        assert tasks.remove_expired_files() == 0

    assert get_store().head(file.object_key) is None
    assert space(company_folder) == (0, 0)
    event = Event.objects.get(action="expired")
    assert (event.actor, event.target_name) == (None, file.filename)


@REAL_TRANSACTIONS
def test_expired_files_are_removed_once_by_two_at_once(people, company_folder):
    for number in range(8):
        store_file(user=people["uploader"], folder=company_folder, filename="a.txt", content=b"%d" % number)
    kept = store_file(user=people["uploader"], folder=company_folder, filename="b.txt", content=b"kept")
    File.objects.exclude(pk=kept.pk).update(expires_at=timezone.now() - dt.timedelta(seconds=1))

    counts = at_once(2, lambda number: tasks.remove_expired_files())

    assert sum(counts) == 8
    assert list(File.objects.values_list("pk", flat=True)) == [kept.pk]
    assert space(company_folder) == (4, 0)
    assert Event.objects.filter(action="expired").count() == 8
    assert [key for key, _size, _modified in get_store().list()] == [kept.object_key]


def test_spent_links_are_forgotten_long_after_they_ended(people, report):
    for nonce, age in (("old", dt.timedelta(days=2)), ("young", dt.timedelta(hours=20))):
        RedeemedLink.objects.create(
            nonce=nonce, file=report, user=people["colleague"], redeemed_at=timezone.now() - age
        )

    tasks.remove_expired_files()

    assert [link.nonce for link in RedeemedLink.objects.all()] == ["young"]


# --- Checked ------------------------------------------------------------------------------------------


def test_a_file_another_worker_reads_for_its_checksums_is_left_to_it(report):
    File.objects.update(sha256="", crc32=None)
    cache.add(f"checksums-{report.pk}", True)

    assert tasks.complete_checksums() == 0
    cache.delete(f"checksums-{report.pk}")
    assert tasks.complete_checksums() == 1


def test_a_store_that_is_away_keeps_no_file_from_being_read_later(report, monkeypatch):
    File.objects.update(sha256="", crc32=None)
    with monkeypatch.context() as away:
        away.setattr(get_store(), "read_range", unavailable)
        with pytest.raises(StoreUnavailable):
            tasks.complete_checksums()

    assert tasks.complete_checksums() == 1


def unavailable(*_args):
    raise StoreUnavailable


@pytest.mark.local
def test_what_came_in_parts_is_read_once_for_its_checksums(people, company_folder, api_as, settings, monkeypatch):
    monkeypatch.setattr(completion, "DIGEST_AT_ONCE_BYTES", 1000)
    settings.MULTIPART_THRESHOLD_BYTES, settings.PART_SIZE_BYTES = 10, 1000
    body = b"a line of the text\n" * 300
    transfer = promise(api_as("uploader"), company_folder, body, "notes.txt").json()
    shown = complete(api_as("uploader"), transfer, parts=send_parts(transfer, body)).json()
    assert shown["sha256"] == ""

    assert tasks.complete_checksums() == 1
    assert tasks.complete_checksums() == 0

    file = File.objects.get()
    assert (file.sha256, file.crc32) == (hashlib.sha256(body).hexdigest(), zlib.crc32(body))


def test_one_file_without_bytes_does_not_hold_up_the_others(people, company_folder):
    lost, found = (
        store_file(user=people["uploader"], folder=company_folder, filename="a.txt", content=b"%d" % number)
        for number in range(2)
    )
    File.objects.update(sha256="")
    get_store().delete(lost.object_key)

    assert tasks.complete_checksums() == 1

    found.refresh_from_db()
    assert found.sha256 == hashlib.sha256(b"1").hexdigest()


def altered(file, body):
    """Put other bytes of the same size in the store; the row keeps the CRC-32 only. Returns the file."""
    File.objects.filter(pk=file.pk).update(sha256="")
    get_store().delete(file.object_key)
    get_store().write(file.object_key, io.BytesIO(body), size_limit=len(body))
    file.refresh_from_db()
    return file


def test_other_bytes_than_those_that_came_are_told_and_leave_the_row_as_it_is(people, company_folder, caplog, api_as):
    file = store_file(user=people["uploader"], folder=company_folder, filename="a.txt", content=b"words")
    crc32 = altered(file, b"swords"[:5]).crc32
    assert b"".join(checksums.bytes_of(file, 0, 5)) == b"sword"
    assert not checksums.compute(file)

    for row in (file, File.objects.get()):
        assert (row.sha256, row.crc32) == ("", crc32) == ("", zlib.crc32(b"words"))
    [first, _second] = [entry for entry in caplog.records if entry.name == "fileshare.checksums"]
    assert first.levelname == "ERROR"
    assert str(file.pk) in first.getMessage()


def test_an_altered_file_holds_up_no_others_and_is_not_read_again_and_again(people, company_folder, monkeypatch):
    first, second = (
        store_file(user=people["uploader"], folder=company_folder, filename="a.txt", content=b"words %d" % number)
        for number in range(2)
    )
    altered(first, b"other 0")
    altered(second, b"words 1")

    assert checksums.complete(limit=1) == 1
    second.refresh_from_db()
    assert second.sha256 == hashlib.sha256(b"words 1").hexdigest()
    with monkeypatch.context() as unread:
        unread.setattr(get_store(), "read_range", unavailable)
        assert tasks.complete_checksums() == 0
    cache.clear()
    assert tasks.complete_checksums() == 0
    assert File.objects.get(pk=first.pk).sha256 == ""


def test_a_file_knows_its_checksums(people, company_folder):
    file = store_file(user=people["uploader"], folder=company_folder, filename="a.txt", content=b"words")

    assert (file.sha256, file.crc32) == (hashlib.sha256(b"words").hexdigest(), zlib.crc32(b"words"))


def test_a_file_outlives_its_uploader(people, company_folder, report, api_as):
    grant(company_folder, "upload", user=people["ops"])
    people["uploader"].delete()

    shown = api_as("colleague").get(f"/api/files/{report.pk}").json()

    assert shown["uploaded_by"] is None
    assert shown["can_delete"] is False
