"""What an initiate of direct uploads accepts: sizes and names, many files at once, and the space they reserve."""

import datetime as dt
import json
import uuid
from pathlib import Path

import pytest
from django.conf import settings as portal
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from audit.models import Event
from config.errors import Refused
from fileshare import files, folders, tasks
from fileshare.incoming import completion
from fileshare.models import File, Upload
from fileshare.storage import get_store
from tests.factories import FolderFactory
from tests.fakes import documents as samples
from tests.fileshare.helpers import (
    REAL_TRANSACTIONS,
    TEXT,
    at_once,
    begun,
    complete,
    objects,
    path_of,
    promise,
    refusal,
    send_parts,
    send_whole,
    space,
)

INITIATE = "/api/fileshare/upload/initiate"
MIB = 1024 * 1024
NOBODYS = "00000000-0000-4000-8000-000000000000"


@pytest.fixture
def api(api_as):
    return api_as("uploader")


# --- What may be promised ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "size",
    [-1, 1.5, 1.0, "10", "", None, True, False, [], {}, 2**63, 10**30, -(2**63), "1e3", [10], float(2**60)],
)
def test_a_size_is_a_whole_number_of_bytes(size, api, company_folder):
    answer = promise(api, company_folder, b"", size_bytes=size)

    assert refusal(answer) == (400, "invalid")
    assert "size_bytes" in answer.json()["errors"]
    assert space(company_folder) == (0, 0)


@pytest.mark.parametrize("size", [-1, 1.5, "10", True, None, 2**63, 10**30])
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
        {"content_type": "x" * 256},
        {"content_type": "text/\x00plain"},
        {"content_type": "text/\ud800plain"},
        {"subfolder_id": "no id"},
        {"subfolder_id": NOBODYS},
        {"uploaded_by": NOBODYS},
        {"tags": "draft"},
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
    settings.RATELIMIT_ENABLE, settings.RATE_LIMITS = True, {**settings.RATE_LIMITS, "initiate": "2/d"}
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
        {"filename": "c.txt", "size_bytes": -1},
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
    refused = Event.objects.filter(action="upload_refused")
    assert {event.detail["code"] for event in refused} == {"extension_blocked", told[6]}
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

    for _turn in range(2):
        assert refusal(promise(api, company_folder, TEXT[:11])) == (413, "quota_exceeded")
    assert Event.objects.get(action="upload_refused").detail == {"code": "quota_exceeded", "filename": "report.docx"}
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
    # As if the first request had been killed before it stored the id.
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


def test_what_is_being_put_together_is_not_abandoned_however_late_it_is(api, company_folder):
    begun(api, company_folder, TEXT)
    now = dt.datetime.now(dt.UTC)
    Upload.objects.update(expires_at=now - dt.timedelta(minutes=1), status="completing", claimed_at=now)

    assert tasks.remove_abandoned_uploads() == 0
    assert space(company_folder) == (0, len(TEXT))

    Upload.objects.update(claimed_at=now - completion.CLAIM_LEASE - dt.timedelta(seconds=1))
    assert tasks.remove_abandoned_uploads() == 1, "whoever put it together has died"


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

    answer = complete(api, transfer)
    assert (*refusal(answer), answer["Retry-After"]) == (409, "upload_completing", "2")
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


# --- Small parts for lines that break ---------------------------------------------------------------


@pytest.mark.parametrize(("wish", "part_mib", "count"), [(8, 8, 2), (5, 5, 3), (6, 6, 2)])
def test_parts_may_be_wished_smaller(wish, part_mib, count, api, company_folder):
    facts = {"folder_id": str(company_folder.pk), "filename": "a.bin", "size_bytes": 12 * MIB}

    answer = api.post(INITIATE, facts | {"part_size": wish * MIB})
    items = [{"filename": name, "size_bytes": 12 * MIB} for name in ("b.bin", "c.bin")]
    many = api.post(INITIATE, {"folder_id": facts["folder_id"], "part_size": wish * MIB, "files": items})

    assert answer.status_code == 201
    for upload in (answer.json(), *many.json()["uploads"]):
        assert (upload["method"], upload["part_size"], len(upload["parts"])) == ("MULTIPART", part_mib * MIB, count)
        told = {part.get("begun_bytes") for part in upload["parts"]}
        assert told == ({None} if get_store().is_remote else {0})
    assert api.post(INITIATE, facts).json()["method"] == "PUT", "without the wish all is as before"


@pytest.mark.parametrize("wish", [1, 1024, 5 * 1024 * 1024 - 1])
def test_no_part_is_smaller_than_a_bucket_takes(wish, api, company_folder):
    facts = {"folder_id": str(company_folder.pk), "filename": "a.bin", "size_bytes": 12 * MIB, "part_size": wish}

    assert api.post(INITIATE, facts).json()["part_size"] == 5 * MIB


@pytest.mark.parametrize("wish", [0, -1, "8", 1.5, 2**63, True])
def test_a_wish_that_is_no_size_is_refused(wish, api, company_folder):
    facts = {"folder_id": str(company_folder.pk), "filename": "a.bin", "size_bytes": 10, "part_size": wish}

    assert refusal(api.post(INITIATE, facts)) == (400, "invalid")


@pytest.mark.local
def test_what_has_begun_of_a_part_is_told_when_asked(api, company_folder):
    store = get_store()
    facts = {"folder_id": str(company_folder.pk), "filename": "a.bin", "size_bytes": 12 * MIB, "part_size": 8 * MIB}
    upload = api.post(INITIATE, facts).json()
    row = Upload.objects.get(pk=upload["file_id"])

    class CutOff:
        blocks = [b"x" * 1000]

        def read(self, size):
            if self.blocks:
                return self.blocks.pop()
            raise Refused(400, "incomplete_body", "cut")

    with pytest.raises(Refused):
        store.receive_part(row.object_key, row.store_upload_id, 2, CutOff(), size_limit=4 * MIB)

    told = api.get(f"/api/fileshare/upload/{row.pk}").json()
    assert {part["part_number"]: part["begun_bytes"] for part in told["parts"]} == {1: 0, 2: 1000}
    assert told["received"] == []
