"""Direct uploads: promised, sent, completed, resumed, given up."""

import datetime as dt
import json
import uuid
from pathlib import Path

import pytest
from django.conf import settings as portal
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from accounts.models import Notification
from audit.models import Event
from fileshare import completion, files, folders, tasks, uploads
from fileshare.models import File, Upload
from fileshare.storage import get_store
from tests.factories import DOCX, FolderFactory, SubfolderFactory
from tests.fakes import documents as samples
from tests.fileshare.helpers import (
    REAL_TRANSACTIONS,
    at_once,
    complete,
    content,
    path_of,
    promise,
    send,
    send_parts,
    send_whole,
    space,
)

INITIATE = "/api/fileshare/upload/initiate"
TEXT = b"".join(b"line %05d of the text\n" % number for number in range(250))  # 5,750 bytes
NOBODYS = "00000000-0000-4000-8000-000000000000"


@pytest.fixture
def api(api_as):
    return api_as("uploader")


@pytest.fixture
def in_parts(settings):
    """Above 1,000 bytes a file comes in parts of 1,000."""
    settings.MULTIPART_THRESHOLD_BYTES = settings.PART_SIZE_BYTES = 1000


def begun(api, folder, body, filename="notes.txt", **facts):
    answer = promise(api, folder, body, filename, **facts)
    assert answer.status_code == 201, answer.json()
    return answer.json()


def refusal(response):
    return response.status_code, response.json()["code"]


def objects():
    return [key for key, _size, _modified in get_store().list()]


# --- One PUT ----------------------------------------------------------------------------------------


@pytest.mark.local
def test_a_small_file_goes_in_by_one_put(api, company_folder, api_as):
    body = samples.docx()
    transfer = begun(api, company_folder, body, "report.docx", content_type=DOCX)

    assert transfer["method"] == "PUT"
    assert transfer["upload_url"].startswith("http://testserver/store/put.")
    assert transfer["expires_in"] == 900
    assert space(company_folder) == (0, len(body))
    put = send_whole(transfer, body)
    assert put.status_code == 200
    assert put["ETag"].startswith('"')
    answer = complete(api, transfer)

    assert answer.status_code == 200
    shown = answer.json()
    assert set(shown) == {
        "id",
        "filename",
        "size_bytes",
        "content_type",
        "sha256",
        "folder",
        "subfolder",
        "uploaded_by",
        "visibility",
        "tags",
        "uploaded_at",
        "expires_at",
        "download_count",
        "can_delete",
    }
    assert shown["id"] == transfer["file_id"]
    assert (shown["filename"], shown["size_bytes"], shown["content_type"]) == ("report.docx", len(body), DOCX)
    assert shown["uploaded_by"]["name"]
    assert shown["can_delete"] is True
    assert space(company_folder) == (len(body), 0)
    assert not Upload.objects.exists()
    link = api_as("colleague").get(f"/api/client/download/{shown['id']}").json()["download-link"]
    assert content(api_as("colleague").get(link)) == body


def test_into_a_subfolder(api, company_folder):
    subfolder = SubfolderFactory(folder=company_folder, slug="reports")
    transfer = begun(api, company_folder, TEXT, subfolder_id=str(subfolder.pk))
    send_whole(transfer, TEXT)

    assert complete(api, transfer).json()["subfolder"] == {
        "id": str(subfolder.pk),
        "slug": "reports",
        "name": subfolder.name,
    }
    assert File.objects.get().object_key.startswith("files/baobab-files/reports/")


def test_a_subfolder_of_another_folder_is_not_there(api, company_folder):
    foreign = SubfolderFactory()

    assert refusal(promise(api, company_folder, TEXT, subfolder_id=str(foreign.pk))) == (404, "not_found")
    assert space(company_folder) == (0, 0)


def test_complete_says_the_same_each_time(api, company_folder):
    transfer = begun(api, company_folder, TEXT)
    send_whole(transfer, TEXT)

    first, second, third = (complete(api, transfer) for _ in range(3))

    assert first.status_code == second.status_code == third.status_code == 200
    assert first.json() == second.json() == third.json()
    assert space(company_folder) == (len(TEXT), 0)
    assert Event.objects.filter(action="upload").count() == 1


def test_nothing_sent_cannot_be_completed_and_can_be_mended(api, company_folder):
    transfer = begun(api, company_folder, TEXT)

    assert refusal(complete(api, transfer)) == (409, "not_uploaded")
    assert space(company_folder) == (0, len(TEXT))
    send_whole(transfer, TEXT)

    assert complete(api, transfer).status_code == 200


@pytest.mark.local
def test_fewer_bytes_than_declared_can_be_mended(api, company_folder):
    transfer = begun(api, company_folder, TEXT)
    send_whole(transfer, TEXT[:-1])

    assert refusal(complete(api, transfer)) == (409, "wrong_size")
    assert not File.objects.exists()
    assert objects() == []
    assert space(company_folder) == (0, len(TEXT))
    send_whole(transfer, TEXT)

    assert complete(api, transfer).status_code == 200
    assert space(company_folder) == (len(TEXT), 0)


@pytest.mark.local
def test_more_bytes_than_declared_are_refused_at_the_door(api, company_folder):
    transfer = begun(api, company_folder, TEXT)

    assert refusal(send_whole(transfer, TEXT + b"!")) == (413, "too_large")
    assert refusal(complete(api, transfer)) == (409, "not_uploaded")


@pytest.mark.local
def test_another_content_type_than_signed_is_refused(api, company_folder):
    transfer = begun(api, company_folder, TEXT, content_type="text/plain")

    assert refusal(send(transfer["upload_url"], TEXT, "text/html")) == (403, "signature_invalid")


def test_bytes_sent_again_replace_the_first(api, company_folder):
    transfer = begun(api, company_folder, TEXT)
    send_whole(transfer, TEXT.upper())
    send_whole(transfer, TEXT)

    complete(api, transfer)

    file = File.objects.get()
    assert b"".join(get_store().read_range(file.object_key, 0, file.size_bytes)) == TEXT


@pytest.mark.local
def test_a_complete_file_takes_no_more_bytes(api, company_folder):
    transfer = begun(api, company_folder, TEXT)
    send_whole(transfer, TEXT)
    complete(api, transfer)

    assert refusal(send_whole(transfer, TEXT.upper())) == (409, "upload_completed")

    file = File.objects.get()
    assert b"".join(get_store().read_range(file.object_key, 0, file.size_bytes)) == TEXT


# --- In parts ---------------------------------------------------------------------------------------


@pytest.mark.local
def test_a_large_file_goes_in_by_parts(api, company_folder, in_parts, api_as):
    transfer = begun(api, company_folder, TEXT)

    assert (transfer["method"], transfer["part_size"], transfer["expires_in"]) == ("MULTIPART", 1000, 3600)
    assert [part["part_number"] for part in transfer["parts"]] == [1, 2, 3, 4, 5, 6]
    assert transfer["upload_id"]
    answer = complete(api, transfer, parts=send_parts(transfer, TEXT))

    assert answer.status_code == 200, answer.json()
    assert answer.json()["size_bytes"] == len(TEXT)
    assert space(company_folder) == (len(TEXT), 0)
    link = api_as("colleague").get(f"/api/client/download/{transfer['file_id']}").json()["download-link"]
    assert content(api_as("colleague").get(link)) == TEXT


def test_the_threshold_itself_is_one_put(api, company_folder, in_parts):
    assert begun(api, company_folder, TEXT[:1000])["method"] == "PUT"
    assert begun(api, company_folder, TEXT[:1001])["method"] == "MULTIPART"


@pytest.mark.parametrize(
    ("size", "count", "part_size"),
    [
        (100 * portal.MIB + 1, 3, 50 * portal.MIB),
        (50_000 * portal.MIB, 1000, 50 * portal.MIB),
        (50_000 * portal.MIB + 1, 981, 51 * portal.MIB),
        (5 * 1024 * portal.GIB, 1000, 5243 * portal.MIB),
    ],
)
def test_a_file_has_a_thousand_parts_at_most(size, count, part_size, people):
    upload = Upload(size_bytes=size, part_size=uploads._part_size(size))

    assert upload.part_size == part_size
    assert upload.part_count == count <= 1000
    assert sum(upload.part_bytes(number) for number in (1, count)) <= 2 * part_size
    assert (count - 1) * part_size + upload.part_bytes(count) == size


@pytest.mark.local
def test_parts_may_come_in_any_order_and_again(api, company_folder, in_parts):
    transfer = begun(api, company_folder, TEXT)
    urls = {part["part_number"]: part["upload_url"] for part in transfer["parts"]}
    etags = {}
    for number in (6, 2, 4, 1, 3, 5, 2):
        etags[number] = send(urls[number], TEXT[(number - 1) * 1000 : number * 1000])["ETag"]

    parts = [{"part_number": number, "etag": etags[number]} for number in sorted(etags)]

    assert complete(api, transfer, parts=parts).status_code == 200
    file = File.objects.get()
    assert b"".join(get_store().read_range(file.object_key, 0, file.size_bytes)) == TEXT


def without_the_last(parts):
    return parts[:-1]


def without_any(parts):
    return []


def backwards(parts):
    return parts[::-1]


def one_twice(parts):
    return [parts[0], *parts]


def wrong_etag(parts):
    return [{**parts[0], "etag": '"0000"'}, *parts[1:]]


def swapped_etags(parts):
    return [{**parts[0], "etag": parts[1]["etag"]}, {**parts[1], "etag": parts[0]["etag"]}, *parts[2:]]


def one_too_many(parts):
    return [*parts, {"part_number": 7, "etag": '"0000"'}]


@pytest.mark.local
@pytest.mark.parametrize(
    ("named", "code"),
    [
        (without_the_last, "missing_part"),
        (without_any, "missing_part"),
        (backwards, "parts_out_of_order"),
        (one_twice, "parts_out_of_order"),
        (wrong_etag, "wrong_etag"),
        (swapped_etags, "wrong_etag"),
        (one_too_many, "missing_part"),
    ],
)
def test_wrong_parts_are_refused_and_can_be_mended(named, code, api, company_folder, in_parts):
    transfer = begun(api, company_folder, TEXT)
    parts = send_parts(transfer, TEXT)

    assert refusal(complete(api, transfer, parts=named(parts))) == (409, code)
    assert space(company_folder) == (0, len(TEXT))
    assert not File.objects.exists()

    assert complete(api, transfer, parts=parts).status_code == 200
    assert space(company_folder) == (len(TEXT), 0)


@pytest.mark.local
def test_a_part_that_never_came_or_came_short_can_be_mended(api, company_folder, in_parts):
    transfer = begun(api, company_folder, TEXT)
    last = transfer["parts"].pop()
    parts = send_parts(transfer, TEXT)

    assert refusal(complete(api, transfer, parts=[*parts, {"part_number": 6, "etag": "x"}])) == (409, "missing_part")
    short = send(last["upload_url"], TEXT[5000:-1])
    if short.status_code == 200:
        answer = complete(api, transfer, parts=[*parts, {"part_number": 6, "etag": short["ETag"]}])
        assert refusal(answer) == (409, "wrong_part_size")
    parts.append({"part_number": 6, "etag": send(last["upload_url"], TEXT[5000:])["ETag"]})

    assert complete(api, transfer, parts=parts).status_code == 200


@pytest.mark.local
def test_parts_have_to_be_named(api, company_folder, in_parts):
    transfer = begun(api, company_folder, TEXT)
    parts = send_parts(transfer, TEXT)

    assert refusal(complete(api, transfer)) == (400, "invalid")
    assert refusal(complete(api, transfer, upload_id="another", parts=parts)) == (409, "wrong_upload_id")
    assert complete(api, transfer, parts=parts).status_code == 200


@pytest.mark.local
def test_parts_of_another_upload_are_no_parts_of_this_one(api, company_folder, in_parts):
    transfer, other = begun(api, company_folder, TEXT), begun(api, company_folder, TEXT)
    parts, foreign = send_parts(transfer, TEXT), send_parts(other, TEXT)

    mixed = [parts[0], foreign[1], *parts[2:]]
    assert refusal(complete(api, transfer, parts=mixed)) == (409, "wrong_etag")
    assert refusal(complete(api, transfer, parts=foreign)) == (409, "wrong_etag")
    answer = complete(api, transfer, upload_id=other["upload_id"], parts=foreign)
    assert refusal(answer) == (409, "wrong_upload_id")
    assert space(company_folder) == (0, 2 * len(TEXT))

    assert complete(api, transfer, parts=parts).status_code == 200
    assert complete(api, other, parts=foreign).status_code == 200


@pytest.mark.local
def test_a_complete_file_takes_no_more_parts(api, company_folder, in_parts):
    transfer = begun(api, company_folder, TEXT)
    complete(api, transfer, parts=send_parts(transfer, TEXT))

    late = send(transfer["parts"][1]["upload_url"], TEXT.upper()[1000:2000])

    assert refusal(late) == (409, "upload_completed")
    file = File.objects.get()
    assert b"".join(get_store().read_range(file.object_key, 0, file.size_bytes)) == TEXT


@pytest.mark.local
def test_a_parts_url_ends_after_an_hour_and_the_upload_goes_on(company_folder, api_as, in_parts, time_machine):
    start = dt.datetime(2031, 5, 1, 12, tzinfo=dt.UTC)
    time_machine.move_to(start, tick=False)
    transfer = begun(api_as("uploader"), company_folder, TEXT)
    time_machine.move_to(start + dt.timedelta(hours=1), tick=False)

    assert refusal(send(transfer["parts"][0]["upload_url"], TEXT[:1000])) == (403, "url_expired")
    status = api_as("uploader").get(f"/api/fileshare/upload/{transfer['file_id']}").json()

    assert complete(api_as("uploader"), transfer, parts=send_parts(status, TEXT)).status_code == 200


@pytest.mark.local
def test_the_checksum_of_a_file_in_parts_is_asked_for_at_once(api, company_folder, in_parts, commits, monkeypatch):
    sent = []
    monkeypatch.setattr("config.queue.app.send_task", lambda task, **options: sent.append(task))
    whole, transfer = begun(api, company_folder, TEXT[:900]), begun(api, company_folder, TEXT)
    send_whole(whole, TEXT[:900])

    with commits():
        complete(api, whole)
    assert sent == []
    with commits():
        complete(api, transfer, parts=send_parts(transfer, TEXT))

    assert sent == ["fileshare.tasks.complete_checksums"]
    assert tasks.complete_checksums() == 1


@pytest.mark.local
@pytest.mark.parametrize("batch", [False, True])
def test_a_store_that_is_down_leaves_nothing_reserved(batch, api, company_folder, in_parts):
    """As when its disk is gone: what would hold the parts is no folder."""
    whole, parts = ({"filename": f"{size}.txt", "size_bytes": size} for size in (900, 1001))
    facts = {"files": [whole, parts]} if batch else parts
    broken = Path(get_store().root, "multipart")
    broken.rmdir()
    broken.touch()

    answer = api.post(INITIATE, {"folder_id": str(company_folder.pk), **facts})

    assert refusal(answer) == (503, "store_unavailable")
    assert int(answer["Retry-After"]) >= 1
    assert space(company_folder) == (0, 0)
    assert not Upload.objects.exists()
    broken.unlink()
    broken.mkdir()
    assert api.post(INITIATE, {"folder_id": str(company_folder.pk), **facts}).status_code == 201


@pytest.mark.parametrize(
    "parts",
    [
        "all",
        [1],
        [{}],
        [{"part_number": 0, "etag": "x"}],
        [{"part_number": 1001, "etag": "x"}],
        [{"part_number": "1", "etag": "x"}],
        [{"part_number": True, "etag": "x"}],
        [{"part_number": 1, "etag": ""}],
        [{"part_number": 1, "etag": "x" * 201}],
        [{"part_number": 1, "etag": "x", "size": 3}],
        {"part_number": 1, "etag": "x"},
    ],
)
def test_malformed_parts_are_refused(parts, api, company_folder, in_parts):
    transfer = begun(api, company_folder, TEXT)

    assert complete(api, transfer, parts=parts).status_code == 400
    assert space(company_folder) == (0, len(TEXT))


# --- Resumed ----------------------------------------------------------------------------------------


@pytest.mark.local
def test_resuming_tells_what_has_come_and_what_has_not(api, company_folder, in_parts):
    transfer = begun(api, company_folder, TEXT)
    sent = send_parts({**transfer, "parts": [transfer["parts"][0], transfer["parts"][3]]}, TEXT)

    status = api.get(f"/api/fileshare/upload/{transfer['file_id']}").json()

    assert status["status"] == "pending"
    assert status["upload_id"] == transfer["upload_id"]
    assert [(part["part_number"], part["size_bytes"]) for part in status["received"]] == [(1, 1000), (4, 1000)]
    assert [part["part_number"] for part in status["parts"]] == [2, 3, 5, 6]
    rest = send_parts(status, TEXT)
    received = [{name: part[name] for name in ("part_number", "etag")} for part in status["received"]]
    parts = sorted([*received, *rest], key=lambda part: part["part_number"])
    assert [part["etag"].strip('"') for part in sent] == [part["etag"].strip('"') for part in received]
    assert complete(api, status, parts=parts).status_code == 200
    assert api.get(f"/api/fileshare/upload/{transfer['file_id']}").json() == {
        "file_id": transfer["file_id"],
        "status": "complete",
    }


def test_resuming_one_put_gives_a_fresh_url(api, company_folder):
    transfer = begun(api, company_folder, TEXT)

    status = api.get(f"/api/fileshare/upload/{transfer['file_id']}").json()

    assert (status["status"], status["method"], status["received"]) == ("pending", "PUT", [])
    send_whole(status, TEXT)
    assert complete(api, transfer).status_code == 200


@pytest.mark.local
def test_an_upload_url_ends_after_fifteen_minutes_and_the_upload_goes_on(people, company_folder, api_as, time_machine):
    start = dt.datetime(2031, 5, 1, 12, tzinfo=dt.UTC)
    time_machine.move_to(start, tick=False)
    transfer = begun(api_as("uploader"), company_folder, TEXT)
    time_machine.move_to(start + dt.timedelta(seconds=900), tick=False)

    assert refusal(send_whole(transfer, TEXT)) == (403, "url_expired")
    status = api_as("uploader").get(f"/api/fileshare/upload/{transfer['file_id']}").json()
    send_whole(status, TEXT)

    assert complete(api_as("uploader"), transfer).status_code == 200


def test_unfinished_uploads_are_listed_for_their_uploader(api, company_folder, in_parts, api_as):
    whole = begun(api, company_folder, TEXT[:500])
    parts = begun(api, company_folder, TEXT)
    done = begun(api, company_folder, TEXT[:400])
    send_whole(done, TEXT[:400])
    complete(api, done)

    rows = api.get("/api/fileshare/uploads").json()["results"]

    assert [(row["file_id"], row["method"]) for row in rows] == [
        (parts["file_id"], "MULTIPART"),
        (whole["file_id"], "PUT"),
    ]
    assert api_as("super").get("/api/fileshare/uploads").json()["results"] == []


# --- Given up ---------------------------------------------------------------------------------------


@pytest.mark.local
def test_an_upload_given_up_leaves_nothing(api, company_folder, in_parts, commits):
    for body in (TEXT[:900], TEXT):
        transfer = begun(api, company_folder, body)
        (send_parts if "parts" in transfer else send_whole)(transfer, body)
        with commits():
            answer = api.post("/api/fileshare/upload/abort", {"file_id": transfer["file_id"]})

        assert answer.status_code == 204
        assert space(company_folder) == (0, 0)
        assert objects() == []
        assert refusal(complete(api, transfer, parts=[])) == (404, "not_found")
        url = transfer.get("upload_url") or transfer["parts"][0]["upload_url"]
        assert refusal(send(url, body[:1000], "text/plain")) == (404, "upload_gone")
        assert refusal(api.get(f"/api/fileshare/upload/{transfer['file_id']}")) == (404, "not_found")
        assert refusal(api.post("/api/fileshare/upload/abort", {"file_id": transfer["file_id"]})) == (404, "not_found")


@pytest.mark.parametrize("who", ["ops", "super", "colleague", "stranger"])
def test_somebody_elses_upload_is_not_there(who, api, company_folder, api_as):
    transfer = begun(api, company_folder, TEXT)
    send_whole(transfer, TEXT)
    other, facts = api_as(who), {"file_id": transfer["file_id"]}

    assert refusal(other.get(f"/api/fileshare/upload/{transfer['file_id']}")) == (404, "not_found")
    assert refusal(other.post("/api/fileshare/upload/complete", facts)) == (404, "not_found")
    assert refusal(other.post("/api/fileshare/upload/abort", facts)) == (404, "not_found")
    assert complete(api, transfer).status_code == 200
    assert refusal(other.post("/api/fileshare/upload/complete", facts)) == (404, "not_found")


def test_whoever_lost_the_right_to_upload_completes_nothing(people, api, company_folder):
    transfer = begun(api, company_folder, TEXT)
    send_whole(transfer, TEXT)
    company_folder.permissions.filter(permission_type="upload").delete()

    assert refusal(complete(api, transfer)) == (403, "permission_denied")
    assert not File.objects.exists()


@pytest.mark.local
def test_uploads_nobody_finished_are_removed(people, company_folder, api_as, in_parts, time_machine, commits):
    start = dt.datetime(2031, 5, 1, 12, tzinfo=dt.UTC)
    time_machine.move_to(start, tick=False)
    api = api_as("uploader")
    whole, parts = begun(api, company_folder, TEXT[:900]), begun(api, company_folder, TEXT)
    send_whole(whole, TEXT[:900])
    send_parts(parts, TEXT)
    time_machine.move_to(start + dt.timedelta(hours=23, minutes=59), tick=False)
    late = begun(api_as("uploader"), company_folder, TEXT[:100])
    with commits():
        assert tasks.remove_abandoned_uploads() == 0

    time_machine.move_to(start + dt.timedelta(hours=24), tick=False)
    assert refusal(send_whole(whole, TEXT[:900]))[0] in (403, 404)
    with commits():
        assert tasks.remove_abandoned_uploads() == 2
        assert tasks.remove_abandoned_uploads() == 0

    assert [str(pk) for pk in Upload.objects.values_list("pk", flat=True)] == [late["file_id"]]
    assert space(company_folder) == (0, 100)
    assert objects() == []
    reasons = Event.objects.filter(action="upload_aborted").values_list("detail", flat=True)
    assert [detail["reason"] for detail in reasons] == ["abandoned", "abandoned"]


# --- Refused content --------------------------------------------------------------------------------


@pytest.mark.local
@pytest.mark.parametrize("parts", [False, True])
@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("picture.png", samples.html()),
        ("report.docx", samples.macro_document()),
        ("paper.pdf", samples.windows_program()),
        ("notes.txt", samples.windows_program() + bytes(1000)),
        ("drawing.svg", samples.svg("<script>alert(1)</script>")),
    ],
)
def test_content_that_is_not_what_it_says_leaves_nothing(parts, name, body, api, company_folder, settings, commits):
    if parts:
        settings.MULTIPART_THRESHOLD_BYTES, settings.PART_SIZE_BYTES = 10, 100
    transfer = begun(api, company_folder, body, name)
    named = {"parts": send_parts(transfer, body)} if parts else {}
    if not parts:
        assert send_whole(transfer, body).status_code == 200

    with commits():
        answer = complete(api, transfer, **named)

    assert answer.status_code == 415
    assert space(company_folder) == (0, 0)
    assert objects() == []
    assert not File.objects.exists()
    assert not Upload.objects.exists()
    event = Event.objects.get(action="upload_refused")
    assert (event.actor_email, event.folder_slug) == ("uploader@example.org", "baobab-files")
    assert (event.detail["filename"], event.detail["code"]) == (name, answer.json()["code"])
    notice = Notification.objects.get(user__email="uploader@example.org")
    assert (notice.type, notice.payload["filename"]) == ("upload_refused", name)
    assert refusal(complete(api, transfer, **named)) == (404, "not_found")
    assert api.get(f"/api/fileshare/upload/{transfer['file_id']}").status_code == 404


def test_a_refused_name_reserves_nothing(api, company_folder):
    for name, facts in (("run.exe", {}), ("page.html", {}), ("a.pdf", {"content_type": "text/html"})):
        answer = promise(api, company_folder, TEXT, name, **facts)
        assert answer.status_code == 415
    assert space(company_folder) == (0, 0)
    assert Event.objects.filter(action="upload_refused").count() == 3
    assert not Upload.objects.exists()


# --- What may be promised ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "size",
    [-1, 0, 1.5, 1.0, "10", "", None, True, False, [], {}, 2**63, 10**30, -(2**63), "1e3", [10], float(2**60)],
)
def test_a_size_is_a_whole_number_of_bytes(size, api, company_folder):
    answer = promise(api, company_folder, b"", size_bytes=size)

    assert refusal(answer) == (400, "invalid")
    assert "size_bytes" in answer.json()["errors"]
    assert space(company_folder) == (0, 0)


@pytest.mark.parametrize("size", [-1, 0, 1.5, "10", True, None, 2**63, 10**30])
def test_in_a_batch_too_a_size_is_a_whole_number_of_bytes(size, api, company_folder):
    batch = [{"filename": "bad.txt", "size_bytes": size}, {"filename": "good.txt", "size_bytes": 7}]

    bad, good = api.post(INITIATE, {"folder_id": str(company_folder.pk), "files": batch}).json()["uploads"]

    assert (bad["code"], list(bad["errors"])) == ("invalid", ["size_bytes"])
    assert space(company_folder) == (0, 7)
    assert [str(upload.pk) for upload in Upload.objects.all()] == [good["file_id"]]


@pytest.mark.parametrize("size", [5 * 1024 * portal.GIB + 1, 2**63 - 1])
def test_a_size_no_file_may_have(size, api, company_folder):
    assert refusal(promise(api, company_folder, b"", size_bytes=size)) == (413, "file_too_large")
    assert space(company_folder) == (0, 0)


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity", "1e999", "9" * 5000])
def test_a_size_that_is_no_json_number(text, api, company_folder):
    body = f'{{"folder_id": "{company_folder.pk}", "filename": "a.txt", "size_bytes": {text}}}'

    assert api.post(INITIATE, body, content_type="application/json").status_code == 400
    assert space(company_folder) == (0, 0)


def test_a_size_beyond_the_limit(api, company_folder, settings):
    settings.MAX_UPLOAD_BYTES = 1000

    assert promise(api, company_folder, TEXT[:1000]).status_code == 201
    assert refusal(promise(api, company_folder, TEXT[:1001])) == (413, "file_too_large")


@pytest.mark.parametrize(
    "facts",
    [
        {},
        {"folder_id": "no id"},
        {"folder_id": None},
        {"folder_id": NOBODYS},
        {"filename": None},
        {"filename": 7},
        {"filename": ["a.txt"]},
        {"filename": ""},
        {"content_type": None},
        {"content_type": "x" * 256},
        {"content_type": "text/\x00plain"},
        {"content_type": "text/\ud800plain"},
        {"subfolder_id": "no id"},
        {"subfolder_id": NOBODYS},
        {"uploaded_by": NOBODYS},
        {"visibility": "public"},
        {"quota_bytes": 10**12},
        {"is_superuser": True},
        {"\ud800": 1},
        {"files": []},
        {"files": [{"filename": "b.txt", "size_bytes": 5}]},
        {"files": "all"},
    ],
)
def test_a_malformed_promise_is_refused_and_reserves_nothing(facts, api, company_folder):
    good = {"folder_id": str(company_folder.pk), "filename": "a.txt", "size_bytes": 10}

    answer = api.post(INITIATE, json.dumps({**good, **facts} if facts else {}), content_type="application/json")

    assert answer.status_code == (404 if NOBODYS in facts.values() and "uploaded_by" not in facts else 400)
    assert set(answer.json()) <= {"detail", "code", "errors"}
    assert space(company_folder) == (0, 0)
    assert not Upload.objects.exists()


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"7", b'"x"', b"null", b"\xff\xfe", b"[" * 100_000, b'{"a":' * 50_000, b"\xef\xbb\xbf{}"]
)
def test_a_body_that_is_no_promise(body, api):
    answer = api.post(INITIATE, body, content_type="application/json")

    assert answer.status_code == 400
    assert set(answer.json()) <= {"detail", "code", "errors"}


def test_a_body_too_large_to_read(api):
    answer = api.post(INITIATE, b'{"filename": "' + b"a" * 2_000_000, content_type="application/json")

    assert refusal(answer) == (413, "body_too_large")


@pytest.mark.parametrize("call", ["complete", "abort"])
@pytest.mark.parametrize(
    "facts", [{}, {"file_id": None}, {"file_id": "no id"}, {"file_id": 7}, {"file_id": []}, {"file_id": NOBODYS}]
)
def test_an_upload_that_is_not_there(call, facts, api):
    answer = api.post(f"/api/fileshare/upload/{call}", facts)

    assert answer.status_code == (404 if facts.get("file_id") == NOBODYS else 400)


def test_the_rate_of_promises_is_limited(api, company_folder, settings):
    settings.RATELIMIT_ENABLE, settings.RATE_LIMITS = True, {**settings.RATE_LIMITS, "initiate": "2/m"}
    batch = {"folder_id": str(company_folder.pk), "files": [{"filename": "a.txt", "size_bytes": 1}] * 50}

    # A batch is one request, however many files it promises.
    assert api.post(INITIATE, batch).status_code == 201
    assert promise(api, company_folder, TEXT).status_code == 201
    answer = promise(api, company_folder, TEXT)

    assert refusal(answer) == (429, "throttled")
    assert int(answer["Retry-After"]) >= 1


# --- Many at once -----------------------------------------------------------------------------------


def test_a_batch_is_answered_in_order_and_each_for_itself(api, company_folder, in_parts):
    files = [
        {"filename": "a.txt", "size_bytes": 10},
        {"filename": "b.exe", "size_bytes": 10},
        {"filename": "c.txt", "size_bytes": 0},
        {"filename": "d.txt", "size_bytes": 5000, "content_type": "text/plain"},
        {"size_bytes": 10},
        "e.txt",
        {"filename": "f.txt", "size_bytes": 10**15},
        {"filename": "g.txt", "size_bytes": 10, "visibility": "public"},
        {"filename": "h.txt", "size_bytes": 20},
    ]

    answer = api.post(INITIATE, {"folder_id": str(company_folder.pk), "files": files})

    assert answer.status_code == 201
    told = [entry.get("method") or entry["code"] for entry in answer.json()["uploads"]]
    assert told[:4] == ["PUT", "extension_blocked", "invalid", "MULTIPART"]
    assert told[4:6] == ["invalid", "invalid"]
    assert told[6] in ("quota_exceeded", "file_too_large")
    assert told[7:] == ["invalid", "PUT"]
    for entry in answer.json()["uploads"]:
        assert "file_id" in entry or set(entry) <= {"detail", "code", "errors"}
    assert space(company_folder) == (0, 10 + 5000 + 20)
    assert Upload.objects.count() == 3
    assert Event.objects.filter(action="upload_refused").count() == 1
    first = answer.json()["uploads"][0]
    send_whole(first, TEXT[:10])
    assert complete(api, first).json()["filename"] == "a.txt"


def test_a_batch_that_fills_the_folder_is_refused_from_there_on(api, company_folder):
    type(company_folder).objects.filter(pk=company_folder.pk).update(quota_bytes=25)
    files = [{"filename": f"{number}.txt", "size_bytes": 10} for number in range(4)]

    answer = api.post(INITIATE, {"folder_id": str(company_folder.pk), "files": files}).json()["uploads"]

    assert [entry.get("code", "taken") for entry in answer] == ["taken", "taken", "quota_exceeded", "quota_exceeded"]
    assert space(company_folder) == (0, 20)


@pytest.mark.parametrize(("count", "status"), [(1, 201), (100, 201), (101, 400)])
def test_a_batch_has_a_hundred_files_at_most(count, status, api, company_folder):
    files = [{"filename": f"{number}.txt", "size_bytes": 1} for number in range(count)]

    answer = api.post(INITIATE, {"folder_id": str(company_folder.pk), "files": files})

    assert answer.status_code == status
    assert space(company_folder) == (0, count if status == 201 else 0)


def test_a_batch_into_a_folder_that_takes_none_is_refused_as_a_whole(api_as, company_folder):
    facts = {"folder_id": str(company_folder.pk), "files": [{"filename": "a.txt", "size_bytes": 1}]}

    assert api_as("colleague").post(INITIATE, facts).status_code == 403
    assert api_as("stranger").post(INITIATE, facts).status_code == 404


# --- Space ------------------------------------------------------------------------------------------


def test_a_full_folder_takes_nothing_more_until_there_is_room(people, api, company_folder, commits):
    type(company_folder).objects.filter(pk=company_folder.pk).update(quota_bytes=len(TEXT) + 10)
    transfer = begun(api, company_folder, TEXT)

    assert refusal(promise(api, company_folder, TEXT[:11])) == (413, "quota_exceeded")
    assert promise(api, company_folder, TEXT[:10]).status_code == 201
    send_whole(transfer, TEXT)
    complete(api, transfer)
    assert space(company_folder) == (len(TEXT), 10)
    assert refusal(promise(api, company_folder, b"!")) == (413, "quota_exceeded")

    assert api.delete(f"/api/files/{transfer['file_id']}").status_code == 204
    assert space(company_folder) == (len(TEXT), 10), "what can be restored still counts"
    with commits():
        files.purge(user=people["uploader"], file_id=transfer["file_id"])

    assert space(company_folder) == (0, 10)
    assert promise(api, company_folder, TEXT).status_code == 201


@REAL_TRANSACTIONS
def test_of_twenty_racing_promises_as_many_succeed_as_there_is_room(people, company_folder, api_as):
    type(company_folder).objects.filter(pk=company_folder.pk).update(quota_bytes=5 * len(TEXT) + 7)
    apis = [api_as("uploader") for _ in range(20)]

    answers = at_once(20, lambda number: promise(apis[number], company_folder, TEXT).status_code)

    assert sorted(answers) == [201] * 5 + [413] * 15
    assert space(company_folder) == (0, 5 * len(TEXT))
    assert Upload.objects.count() == 5


@REAL_TRANSACTIONS
def test_racing_batches_never_overfill_a_folder(people, company_folder, api_as):
    type(company_folder).objects.filter(pk=company_folder.pk).update(quota_bytes=1000)
    apis = [api_as("uploader") for _ in range(6)]
    facts = {"folder_id": str(company_folder.pk), "files": [{"filename": "a.txt", "size_bytes": 30}] * 10}

    answers = at_once(6, lambda number: apis[number].post(INITIATE, facts))

    assert [answer.status_code for answer in answers] == [201] * 6
    taken = sum("file_id" in entry for answer in answers for entry in answer.json()["uploads"])
    assert taken == 33
    assert space(company_folder) == (0, 990)


@REAL_TRANSACTIONS
def test_of_twenty_racing_forms_as_many_succeed_as_there_is_room(people, company_folder, api_as):
    type(company_folder).objects.filter(pk=company_folder.pk).update(quota_bytes=5 * len(TEXT) + 7)
    apis = [api_as("uploader") for _ in range(20)]

    def send_form(number):
        form = {"file": SimpleUploadedFile("notes.txt", TEXT, "text/plain"), "folder_id": str(company_folder.pk)}
        return apis[number].post("/api/files/upload", form, format="multipart").status_code

    answers = at_once(20, send_form)

    assert sorted(answers) == [201] * 5 + [413] * 15
    assert space(company_folder) == (5 * len(TEXT), 0)
    assert File.objects.count() == len(objects()) == 5
    assert not Upload.objects.exists()


@pytest.mark.local
@REAL_TRANSACTIONS
def test_asked_for_at_once_the_parts_of_an_upload_belong_to_one(people, company_folder, api_as, in_parts):
    transfer = begun(api_as("uploader"), company_folder, TEXT)
    # As if the first request had been killed before it knew.
    Upload.objects.update(store_upload_id="")
    get_store().abort_multipart(Upload.objects.get().object_key, transfer["upload_id"])
    apis = [api_as("uploader") for _ in range(4)]

    answers = at_once(4, lambda number: apis[number].get(f"/api/fileshare/upload/{transfer['file_id']}").json())

    assert {answer["upload_id"] for answer in answers} == {Upload.objects.get().store_upload_id}
    assert len(list(Path(get_store().root, "multipart").iterdir())) == 1


@pytest.mark.local
@REAL_TRANSACTIONS
@pytest.mark.parametrize("parts", [False, True])
def test_completed_twice_at_once_it_is_one_file(parts, people, company_folder, api_as, settings):
    if parts:
        settings.MULTIPART_THRESHOLD_BYTES = settings.PART_SIZE_BYTES = 1000
    transfer = begun(api_as("uploader"), company_folder, TEXT)
    named = {"parts": send_parts(transfer, TEXT)} if parts else {}
    if not parts:
        send_whole(transfer, TEXT)
    apis = [api_as("uploader") for _ in range(4)]

    answers = at_once(4, lambda number: complete(apis[number], transfer, **named))

    assert [answer.status_code for answer in answers] == [200] * 4
    assert len({answer.content for answer in answers}) == 1
    assert File.objects.count() == 1
    assert Event.objects.filter(action="upload").count() == 1
    assert space(company_folder) == (len(TEXT), 0)


@REAL_TRANSACTIONS
def test_refused_twice_at_once_its_space_is_given_back_once(people, company_folder, api_as):
    kept = begun(api_as("uploader"), company_folder, TEXT)
    transfer = begun(api_as("uploader"), company_folder, samples.html(), "picture.png")
    send_whole(transfer, samples.html())
    apis = [api_as("uploader") for _ in range(4)]

    answers = at_once(4, lambda number: complete(apis[number], transfer).status_code)

    assert sorted(answers) in ([404, 404, 404, 415],)
    assert Event.objects.filter(action="upload_refused").count() == 1
    assert space(company_folder) == (0, len(TEXT))
    assert objects() == []
    assert Upload.objects.get().pk == uuid.UUID(kept["file_id"])


@REAL_TRANSACTIONS
def test_given_up_many_times_at_once_its_space_is_given_back_once(people, company_folder, api_as):
    begun(api_as("uploader"), company_folder, TEXT)
    transfer = begun(api_as("uploader"), company_folder, TEXT)
    apis = [api_as("uploader") for _ in range(6)]
    facts = {"file_id": transfer["file_id"]}

    answers = at_once(6, lambda number: apis[number].post("/api/fileshare/upload/abort", facts).status_code)

    assert sorted(answers) == [204] + [404] * 5
    assert space(company_folder) == (0, len(TEXT))


@REAL_TRANSACTIONS
def test_completed_and_given_up_at_once_the_books_are_right(people, company_folder, api_as):
    for _ in range(5):
        transfer = begun(api_as("uploader"), company_folder, TEXT)
        send_whole(transfer, TEXT)
        apis = [api_as("uploader"), api_as("uploader")]

        def finish_or_leave(number, transfer=transfer, apis=apis):
            if number:
                return apis[1].post("/api/fileshare/upload/abort", {"file_id": transfer["file_id"]}).status_code
            return complete(apis[0], transfer).status_code

        finished, left = at_once(2, finish_or_leave)
        assert (finished, left) in {(200, 404), (404, 204), (409, 204)}

    assert space(company_folder) == (len(TEXT) * File.objects.count(), 0)
    assert len(objects()) == File.objects.count()
    assert not Upload.objects.exists()


@REAL_TRANSACTIONS
def test_abandoned_uploads_are_removed_once_by_two_at_once(people, company_folder, api_as):
    for _ in range(6):
        begun(api_as("uploader"), company_folder, TEXT)
    kept = begun(api_as("uploader"), company_folder, TEXT)
    Upload.objects.exclude(pk=kept["file_id"]).update(expires_at=dt.datetime(2020, 1, 1, tzinfo=dt.UTC))

    counts = at_once(3, lambda number: tasks.remove_abandoned_uploads())

    assert sum(counts) == 6
    assert space(company_folder) == (0, len(TEXT))


# --- What else comes with a file ----------------------------------------------------------------------


def test_a_killed_completion_is_taken_over(api, company_folder):
    transfer = begun(api, company_folder, TEXT)
    send_whole(transfer, TEXT)
    long_ago = dt.datetime.now(dt.UTC) - completion.CLAIM_LEASE - dt.timedelta(minutes=1)
    Upload.objects.update(status="completing", claimed_at=long_ago)

    assert complete(api, transfer).status_code == 200


@pytest.mark.local
def test_a_completion_under_way_is_waited_for_in_patience(api, company_folder, monkeypatch):
    transfer = begun(api, company_folder, TEXT)
    send_whole(transfer, TEXT)
    Upload.objects.update(status="completing", claimed_at=dt.datetime.now(dt.UTC))
    monkeypatch.setattr(completion, "PATIENCE_SECONDS", 0.2)

    assert refusal(complete(api, transfer)) == (409, "upload_completing")
    assert refusal(send_whole(transfer, TEXT)) == (409, "upload_completed")


def test_a_user_puts_files_into_their_own_folder(people, api_as):
    folder = folders.personal_folder(people["client"])
    transfer = begun(api_as("client"), folder, TEXT)
    send_whole(transfer, TEXT)

    shown = complete(api_as("client"), transfer).json()

    assert shown["folder"]["slug"] == f"u-{people['client'].pk}"
    assert (shown["visibility"], shown["expires_at"]) == ("private", None)


@pytest.mark.local
def test_a_signed_put_needs_no_session_and_no_csrf_token(api, company_folder):
    transfer = begun(api, company_folder, TEXT)
    strict = Client(enforce_csrf_checks=True)

    answer = strict.put(path_of(transfer["upload_url"]), TEXT, content_type=transfer["headers"]["Content-Type"])

    assert answer.status_code == 200


def test_a_folder_with_an_upload_on_its_way_is_not_empty(people, api_as):
    folder = FolderFactory()
    begun(api_as("super"), folder, TEXT)

    assert refusal(api_as("super").delete(f"/api/fileshare/folders/{folder.pk}")) == (409, "not_empty")
