"""Direct uploads: sent, completed, resumed, aborted."""

import datetime as dt
import hashlib
from pathlib import Path

import pytest
from django.conf import settings as portal

from accounts.models import Notification
from audit.models import Event
from fileshare import tasks
from fileshare.incoming import completion, uploads
from fileshare.models import File, Upload
from fileshare.storage import get_store
from tests.factories import DOCX, SubfolderFactory
from tests.fakes import documents as samples
from tests.fileshare.helpers import (
    TEXT,
    begun,
    complete,
    content,
    objects,
    promise,
    refusal,
    send,
    send_parts,
    send_whole,
    space,
)

pytestmark = pytest.mark.both

INITIATE = "/api/fileshare/upload/initiate"


@pytest.fixture
def api(api_as):
    return api_as("uploader")


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

    assert refusal(complete(api, transfer)) == (409, "missing_part")
    assert refusal(complete(api, transfer, parts=[])) == (409, "missing_part")
    assert refusal(complete(api, transfer, parts=None)) == (409, "missing_part")
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
def test_a_small_file_in_parts_is_answered_with_its_checksum(api, company_folder, in_parts):
    transfer = begun(api, company_folder, TEXT)

    answer = complete(api, transfer, parts=send_parts(transfer, TEXT)).json()

    assert answer["sha256"] == File.objects.get().sha256 == hashlib.sha256(TEXT).hexdigest()
    assert tasks.complete_checksums() == 0


@pytest.mark.local
def test_the_checksum_of_a_file_in_parts_is_asked_for_at_once(api, company_folder, in_parts, commits, monkeypatch):
    monkeypatch.setattr(completion, "DIGEST_AT_ONCE_BYTES", 1000)
    sent = []
    monkeypatch.setattr("config.outside.queue.app.send_task", lambda task, **options: sent.append(task))
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
    """As when its disk is gone: a file stands where the store expects its folder for parts."""
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
        [{"part_number": "1", "etag": "x"}],
        [{"part_number": True, "etag": "x"}],
        [{"part_number": 1, "etag": None}],
        [{"part_number": 1, "etag": "x" * 201}],
        [{"part_number": 1, "etag": "x", "size": 3}],
        {"part_number": 1, "etag": "x"},
    ],
)
def test_malformed_parts_are_refused(parts, api, company_folder, in_parts):
    transfer = begun(api, company_folder, TEXT)

    assert complete(api, transfer, parts=parts).status_code == 400
    assert space(company_folder) == (0, len(TEXT))


@pytest.mark.parametrize("part", [(0, "x"), (-1, "x"), (1001, "x"), (10**30, "x"), (1, "")])
def test_parts_that_cannot_be_leave_the_upload_to_be_mended(part, api, company_folder, in_parts):
    transfer = begun(api, company_folder, TEXT)
    number, etag = part

    answer = complete(api, transfer, parts=[{"part_number": number, "etag": etag}])

    assert answer.status_code == 409, answer.json()
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
    received = status["received"]
    parts = sorted([*received, *rest], key=lambda part: part["part_number"])
    assert [part["etag"].strip('"') for part in sent] == [part["etag"].strip('"') for part in received]
    assert complete(api, status, parts=parts).status_code == 200
    assert api.get(f"/api/fileshare/upload/{transfer['file_id']}").json() == {
        "file_id": transfer["file_id"],
        "status": "complete",
        "received": [],
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
