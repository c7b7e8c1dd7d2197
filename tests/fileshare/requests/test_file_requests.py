"""File requests: what senders may send, what is counted, who may change what, and who gets mail."""

import hashlib
import json
import re
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.auth.hashers import check_password
from django.db import OperationalError, connection, connections
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import Notification, OutgoingMail
from accounts.notices import mail
from audit.models import Event
from fileshare import files, folders, tasks
from fileshare.incoming import completion, uploads
from fileshare.models import (
    File,
    FileRequest,
    Folder,
    FolderPermission,
    PermissionType,
    ReceivedFile,
    RequestSender,
    RequestState,
    TypePolicy,
    Upload,
)
from fileshare.requests import addresses, file_requests, invitations, receipts, senders
from fileshare.space import request_room
from fileshare.storage import get_store
from fileshare.upkeep import reconcile
from tests.factories import FolderFactory, SubfolderFactory, grant
from tests.fakes import documents as samples
from tests.fileshare.helpers import REAL_TRANSACTIONS, at_once, refusal, send_parts, send_whole, space
from tests.fileshare.requests.request_helpers import Outsider, ask_for_files, counts, path_of_request

pytestmark = pytest.mark.django_db
NOBODYS = "00000000-0000-4000-8000-000000000000"
API = "/api/file-requests"


def a_day_ahead():
    return (timezone.now() + timedelta(days=1)).isoformat()


def asked(**facts):
    return {"title": "Statements", "deadline": a_day_ahead(), "max_files": 3, "max_bytes": 1000, **facts}


@pytest.fixture
def row(people):
    """A request of the client for files into their personal folder."""
    return ask_for_files(people["client"])


@pytest.fixture
def outsider(row):
    """A sender who has given a name and an address."""
    outsider = Outsider(row)
    outsider.start(name="Amina Otieno", email="Amina@Example.org")
    return outsider


# --- What is sent ---------------------------------------------------------------------------------


def test_a_stranger_sends_a_file_into_the_owners_folder(people, row, outsider):
    body = samples.docx("words")

    answer = outsider.deliver(body, "report.docx")

    assert answer.status_code == 200
    assert set(answer.json()) == {"id", "filename", "size_bytes", "sha256", "received_at"}
    file = File.objects.get()
    assert (file.folder, file.uploaded_by) == (folders.personal_folder(people["client"]), people["client"])
    assert b"".join(get_store().read_range(file.object_key, 0, file.size_bytes)) == body
    assert answer.json()["id"] == str(file.pk)
    assert counts(row) == (1, len(body), 0, 0)
    assert space(file.folder) == (len(body), 0)


def test_the_same_name_twice_is_two_files(row, outsider):
    outsider.deliver(b"first", "a.txt")
    outsider.deliver(b"second", "a.txt")

    assert sorted(File.objects.values_list("filename", "size_bytes")) == [("a.txt", 5), ("a.txt", 6)]


def test_complete_says_the_same_each_time_and_after_the_file_is_gone(people, outsider, commits):
    first = outsider.deliver()
    again = {"file_id": first.json()["id"]}
    assert outsider.post("complete", again).json() | {"sha256": ""} == first.json() | {"sha256": ""}
    receipts.keep_checksums()
    with commits():
        files.delete(user=people["client"], file_id=again["file_id"])
        files.purge(user=people["client"], file_id=again["file_id"])

    answer = outsider.post("complete", again)

    assert (answer.status_code, answer.json()["filename"]) == (200, "notes.txt")
    assert outsider.status(again["file_id"]).json()["status"] == "complete"
    assert outsider.receipt().status_code == 200
    assert ReceivedFile.objects.get().file is None


@pytest.mark.local
def test_a_large_file_goes_in_parts_and_is_resumed(row, outsider, in_parts, monkeypatch):
    monkeypatch.setattr(completion, "DIGEST_AT_ONCE_BYTES", 1000)
    body = b"0123456789" * 250
    transfer = outsider.promise(body, "large.txt").json()
    assert transfer["method"] == "MULTIPART"
    send_parts({**transfer, "parts": transfer["parts"][:1]}, body)

    state = outsider.status(transfer["file_id"]).json()
    assert [part["part_number"] for part in state["received"]] == [1]
    assert [part["part_number"] for part in state["parts"]] == [2, 3]
    parts = [{name: part[name] for name in ("part_number", "etag")} for part in state["received"]]
    parts += send_parts({**transfer, "parts": state["parts"]}, body)
    answer = outsider.post(
        "complete", {"file_id": transfer["file_id"], "upload_id": transfer["upload_id"], "parts": parts}
    )

    assert answer.status_code == 200, answer.json()
    assert answer.json()["sha256"] == ""
    assert b"being computed" in outsider.receipt().content
    tasks.complete_checksums()
    assert hashlib.sha256(body).hexdigest() in outsider.receipt().content.decode()


def test_many_files_are_promised_in_one_call(row, outsider):
    good = {"filename": "a.txt", "size_bytes": 5, "content_type": "text/plain"}
    promised = [good, {**good, "filename": "a.exe"}, {"filename": "b"}, {**good, "size_bytes": 2_000_000}, good]

    answer = outsider.post("initiate", {"files": promised})

    assert answer.status_code == 201
    codes = [one.get("code") for one in answer.json()["uploads"]]
    assert codes == [None, "extension_blocked", "invalid", "no_room", None]
    assert counts(row) == (0, 0, 2, 10)
    assert space(row.folder) == (0, 10), "what was refused for the request's limit takes no space of the folder"


def test_a_file_too_many_is_refused_and_the_others_are_taken(people):
    row = ask_for_files(people["client"], max_files=2)
    outsider = Outsider(row)
    outsider.start()
    good = {"filename": "a.txt", "size_bytes": 5, "content_type": "text/plain"}

    answer = outsider.post("initiate", {"files": [good] * 3}).json()["uploads"]

    assert [one.get("code") for one in answer] == [None, None, "request_full"]
    assert refusal(outsider.promise(b"x")) == (410, "request_full")


def test_an_upload_given_up_refused_or_abandoned_gives_its_place_back(people, commits):
    row = ask_for_files(people["client"], max_files=1, max_bytes=100)
    outsider = Outsider(row)
    outsider.start()

    file_id = outsider.promise(b"x" * 100).json()["file_id"]
    assert counts(row) == (0, 0, 1, 100)
    assert refusal(outsider.promise(b"x")) == (410, "request_full")
    assert outsider.post("abort", {"file_id": file_id}).status_code == 204
    assert counts(row) == (0, 0, 0, 0)

    fake = samples.html()[:100]
    transfer = outsider.promise(fake, "picture.png").json()
    send_whole(transfer, fake)
    with commits():
        assert outsider.post("complete", {"file_id": transfer["file_id"]}).status_code == 415
    assert counts(row) == (0, 0, 0, 0)
    assert not File.objects.exists()

    outsider.promise(b"x" * 100)
    Upload.objects.update(expires_at=timezone.now() - timedelta(hours=1))
    with commits():
        assert uploads.remove_abandoned() == 1
    assert counts(row) == (0, 0, 0, 0)
    assert space(row.folder) == (0, 0)
    assert [key for key, *_ in get_store().list()] == []


def test_a_put_that_was_never_completed_is_completed_by_the_reconcile_task(people, row, outsider):
    transfer = outsider.promise(b"words").json()
    send_whole(transfer, b"words")
    Upload.objects.update(created_at=timezone.now() - timedelta(hours=1))

    assert reconcile.complete_received() == 1

    assert ReceivedFile.objects.get().sender == outsider.row
    assert counts(row) == (1, 5, 0, 0)
    assert outsider.post("complete", {"file_id": transfer["file_id"]}).status_code == 200


def test_the_reconcile_task_asks_the_owners_right_too(people, company_folder):
    row = ask_for_files(people["uploader"], folder_id=company_folder.pk)
    outsider = Outsider(row)
    outsider.start()
    send_whole(outsider.promise(b"words").json(), b"words")
    Upload.objects.update(created_at=timezone.now() - timedelta(hours=1))
    FolderPermission.objects.filter(user=people["uploader"], permission_type=PermissionType.UPLOAD).delete()

    assert reconcile.complete_received() == 0

    assert not File.objects.exists()


# --- What a sender may not ------------------------------------------------------------------------


def test_a_sender_has_no_hand_on_uploads_of_others(people, row, outsider, api_as):
    other = Outsider(row)
    other.start(name="Other")
    of_other = other.promise(b"secret").json()["file_id"]
    place = uploads.Place(folders.personal_folder(people["client"]))
    of_owner = uploads.initiate(
        user=people["client"], place=place, filename="own.txt", size_bytes=5, content_type=""
    ).pk
    done = other.deliver(b"more", "more.txt").json()["id"]

    for file_id in (of_other, of_owner, done, NOBODYS):
        assert refusal(outsider.status(file_id)) == (404, "not_found")
        for call in ("complete", "abort"):
            assert refusal(outsider.post(call, {"file_id": str(file_id)})) == (404, "not_found")
    assert Upload.objects.count() == 2
    assert b"more.txt" not in outsider.receipt().content
    assert b"more.txt" not in outsider.open().content


def test_a_sender_of_one_request_is_nobody_at_another(people, row, outsider):
    elsewhere = ask_for_files(people["client"], title="Another")
    outsider.path = path_of_request(elsewhere)

    assert refusal(outsider.promise(b"words")) == (403, "sender_unknown")
    assert outsider.receipt().status_code == 403
    assert not Upload.objects.exists()


def test_a_sender_of_another_request_reaches_no_upload_of_this_one(people, row, outsider):
    file_id = outsider.promise(b"words").json()["file_id"]
    other = Outsider(ask_for_files(people["client"]))
    other.start()

    assert refusal(other.status(file_id)) == (404, "not_found")
    assert refusal(other.post("abort", {"file_id": file_id})) == (404, "not_found")


def test_the_owner_completes_and_aborts_nothing_of_a_senders(people, outsider, api_as):
    file_id = outsider.promise(b"words").json()["file_id"]
    api = api_as("client")

    assert api.get("/api/fileshare/uploads").json()["results"] == []
    assert refusal(api.get(f"/api/fileshare/upload/{file_id}")) == (404, "not_found")
    assert refusal(api.post("/api/fileshare/upload/complete", {"file_id": file_id})) == (404, "not_found")
    assert refusal(api.post("/api/fileshare/upload/abort", {"file_id": file_id})) == (404, "not_found")


@pytest.mark.parametrize("field", ["folder_id", "subfolder_id", "visibility", "tags", "type_policy"])
def test_a_sender_chooses_no_place_and_nothing_else(field, outsider):
    facts = {"filename": "a.txt", "size_bytes": 5, "content_type": "", field: NOBODYS}

    assert refusal(outsider.post("initiate", facts)) == (400, "invalid")
    assert not Upload.objects.exists()


def test_no_folder_is_named_to_a_sender(people, company_folder, outsider):
    subfolder = SubfolderFactory(folder=company_folder, name="Merger plans", slug="merger-plans")
    Folder.objects.filter(pk=company_folder.pk).update(name="Hush hush")
    row = ask_for_files(people["uploader"], folder_id=company_folder.pk, subfolder_id=subfolder.pk)
    outsider = Outsider(row)
    outsider.start()

    transfer = outsider.promise(b"words").json()
    key = Upload.objects.get().object_key
    seen = [
        outsider.open().content.decode(),
        json.dumps(transfer),
        key,
        outsider.status(transfer["file_id"]).content.decode(),
    ]
    send_whole(transfer, b"words")
    seen.append(outsider.post("complete", {"file_id": transfer["file_id"]}).content.decode())
    seen += [outsider.receipt().content.decode(), outsider.open().content.decode()]

    assert re.fullmatch(r"files/received/[0-9a-f-]{36}/notes.txt", key)
    for text in seen:
        for word in ("baobab-files", "Hush", "merger", "Merger"):
            assert word not in text
    assert File.objects.get().subfolder == subfolder


def test_over_quota_is_said_without_numbers(people, row, outsider):
    Folder.objects.filter(pk=row.folder_id).update(quota_bytes=12_345, used_bytes=12_340)

    answer = outsider.promise(b"words and more")

    assert refusal(answer) == (413, "no_room")
    assert not re.search(r"\d", answer.json()["detail"])
    assert counts(row) == (0, 0, 0, 0)
    page = outsider.send(("a.txt", b"words and more"))
    assert page.status_code == 413
    assert "There is no room for this file." in page.content.decode()
    assert "12,345" not in page.content.decode()


@pytest.mark.parametrize(
    ("policy", "of_request", "name", "body", "status"),
    [
        (TypePolicy.GENERAL, None, "run.exe", b"MZ", 415),
        (TypePolicy.GENERAL, None, "a.txt", b"words", 201),
        (TypePolicy.GENERAL, TypePolicy.OFFICE, "a.txt", b"words", 415),
        (TypePolicy.GENERAL, TypePolicy.OFFICE, "a.docx", b"words", 201),
        (TypePolicy.OFFICE, None, "a.txt", b"words", 415),
    ],
)
def test_the_type_policy_is_the_folders_or_narrower(policy, of_request, name, body, status, people):
    folder = FolderFactory(type_policy=policy)
    grant(folder, PermissionType.UPLOAD, user=people["client"])
    row = ask_for_files(people["client"], folder_id=folder.pk, type_policy=of_request)
    outsider = Outsider(row)
    outsider.start()

    answer = outsider.promise(body, name)

    assert answer.status_code == status
    if status == 415:
        assert counts(row) == (0, 0, 0, 0)
        assert not Upload.objects.exists()
        assert not Notification.objects.filter(type="upload_refused").exists()
        assert Event.objects.get(action="upload_refused").detail["request"] == str(row.pk)


def test_a_folder_that_takes_less_than_before_narrows_its_requests(people):
    folder = FolderFactory()
    grant(folder, PermissionType.UPLOAD, user=people["client"])
    row = ask_for_files(people["client"], folder_id=folder.pk)
    Folder.objects.filter(pk=folder.pk).update(type_policy=TypePolicy.OFFICE)
    outsider = Outsider(row)
    outsider.start()

    assert refusal(outsider.promise(b"words", "a.txt")) == (415, "extension_not_allowed")


def test_content_that_is_not_what_an_office_request_takes_leaves_nothing(people, commits):
    row = ask_for_files(people["client"], type_policy=TypePolicy.OFFICE)
    outsider = Outsider(row)
    outsider.start()
    transfer = outsider.promise(b"no document at all", "a.docx").json()
    send_whole(transfer, b"no document at all")

    with commits():
        answer = outsider.post("complete", {"file_id": transfer["file_id"]})

    assert answer.status_code == 415
    assert counts(row) == (0, 0, 0, 0)
    assert [key for key, *_ in get_store().list()] == []
    assert not ReceivedFile.objects.exists()


# --- When it is over ------------------------------------------------------------------------------


def close_it(row, people):
    file_requests.close(user=people["client"], request_id=row.pk)


def let_it_pass(row, people):
    FileRequest.objects.filter(pk=row.pk).update(deadline=timezone.now() - timedelta(seconds=1))


def fill_it(row, people):
    FileRequest.objects.filter(pk=row.pk).update(received_files=5)


def switch_the_owner_off(row, people):
    people["client"].is_active = False
    people["client"].save()


ENDS = [
    (close_it, "request_closed"),
    (let_it_pass, "request_past"),
    (fill_it, "request_full"),
    (switch_the_owner_off, "request_closed"),
]


@pytest.mark.parametrize(("end", "code"), ENDS, ids=["closed", "past", "full", "owner off"])
def test_what_is_over_takes_nothing_more(end, code, row, people, outsider):
    end(row, people)
    newcomer = Outsider(row)

    assert newcomer.open().status_code == 410
    assert newcomer.start(name="Too late").status_code == 410
    assert refusal(outsider.promise(b"words")) == (410, code)
    assert refusal(outsider.post("initiate", {"files": [{"filename": "a", "size_bytes": 1}]})) == (410, code)
    assert outsider.send(("a.txt", b"words")).status_code == 410
    assert outsider.open().status_code == 410
    assert not File.objects.exists()
    assert RequestSender.objects.count() == 1


@pytest.mark.parametrize(("end", "code"), ENDS, ids=["closed", "past", "full", "owner off"])
def test_whoever_sent_something_sees_it_when_all_is_over(end, code, row, people, outsider):
    outsider.deliver()
    end(row, people)

    assert outsider.open().status_code == 200
    assert b"notes.txt" in outsider.open().content
    assert b'data-module="upload"' not in outsider.open().content
    assert outsider.receipt().status_code == 200


def test_the_request_ends_with_its_owners_right(people, company_folder):
    row = ask_for_files(people["uploader"], folder_id=company_folder.pk)
    outsider = Outsider(row)
    outsider.start()
    transfer = outsider.promise(b"words").json()
    send_whole(transfer, b"words")
    FolderPermission.objects.filter(user=people["uploader"], permission_type=PermissionType.UPLOAD).delete()

    assert refusal(outsider.promise(b"more")) == (410, "request_closed")
    assert refusal(outsider.status(transfer["file_id"])) == (410, "request_closed")
    assert refusal(outsider.post("complete", {"file_id": transfer["file_id"]})) == (410, "request_closed")
    assert Outsider(row).open().status_code == 410
    assert not File.objects.exists()
    assert outsider.post("abort", {"file_id": transfer["file_id"]}).status_code == 204


def test_what_was_begun_in_time_may_be_finished_after_the_deadline(row, people, outsider):
    transfer = outsider.promise(b"words").json()
    send_whole(transfer, b"words")
    let_it_pass(row, people)

    assert outsider.status(transfer["file_id"]).status_code == 200
    assert outsider.post("complete", {"file_id": transfer["file_id"]}).status_code == 200


def test_closing_gives_up_what_is_on_its_way(row, people, outsider, commits):
    transfer = outsider.promise(b"words").json()
    send_whole(transfer, b"words")
    with commits():
        close_it(row, people)

    assert refusal(outsider.post("complete", {"file_id": transfer["file_id"]})) == (410, "request_closed")
    assert not Upload.objects.exists()
    assert counts(row) == (0, 0, 0, 0)
    assert space(row.folder) == (0, 0)
    assert [key for key, *_ in get_store().list()] == []


@pytest.mark.parametrize("end", ["close", "renew_address"])
def test_what_is_on_its_way_comes_no_further_though_nobody_lived_to_give_it_up(end, row, people, outsider, settings):
    """The process dies right after the commit, so the callbacks after the commit never run."""
    transfer = outsider.promise(b"words").json()
    send_whole(transfer, b"words")
    getattr(file_requests, end)(user=people["client"], request_id=row.pk)
    Upload.objects.update(created_at=timezone.now() - timedelta(hours=2))

    assert reconcile.complete_received() == 0
    # A bucket accepts a PUT until its signature expires, but no file is made of it.
    assert send_whole(transfer, b"words").status_code in ((200,) if settings.STORAGE == "s3" else (403, 404, 409))
    assert reconcile.complete_received() == 0
    assert not File.objects.exists()
    assert uploads.remove_abandoned() == 1
    assert counts(row) == (0, 0, 0, 0)


def test_whoever_looked_before_it_closed_completes_nothing_after(row, outsider):
    """The upload's row does not say that it is over: another transaction had locked it when the request closed."""
    transfer = outsider.promise(b"words").json()
    send_whole(transfer, b"words")
    looked = outsider.row
    assert looked.request.closed_at is None
    FileRequest.objects.update(closed_at=timezone.now())

    with pytest.raises(uploads.UploadGone):
        senders.complete(sender=looked, file_id=transfer["file_id"])

    assert not File.objects.exists()


def test_a_form_that_comes_while_its_request_closes_is_refused(row, people, outsider, monkeypatch):
    begun = completion.initiate

    def and_then_closed(**facts):
        upload = begun(**facts)
        Upload.objects.filter(pk=upload.pk).delete()
        return upload

    monkeypatch.setattr(completion, "initiate", and_then_closed)

    assert outsider.send(("a.txt", b"words")).status_code < 500
    assert not File.objects.exists()


def test_a_receipt_that_cannot_be_written_costs_the_others_nothing(row, monkeypatch):
    for number in range(2):
        sender = Outsider(row)
        sender.start(name="Amina", email=f"amina{number}@example.org")
        sender.deliver()
    RequestSender.objects.update(receipt_due_at=timezone.now() - receipts.PATIENCE)
    post = mail.post

    def fails_for_the_first(letter, *, to, **context):
        if to == "amina0@example.org":
            raise OperationalError("deadlock detected")
        return post(letter, to=to, **context)

    monkeypatch.setattr(receipts.mail, "post", fails_for_the_first)

    assert receipts.mail_receipts() == 1
    monkeypatch.undo()
    assert receipts.mail_receipts() == 1, "the first one's turn comes again"


@pytest.mark.parametrize(
    "emails",
    ["\n".join(f"a{number}@example.org" for number in range(60)), "a@example.org, b@example.org, nobody", " , "],
    ids=["too many", "one that is none", "none"],
)
def test_letters_that_are_not_written_are_not_counted(emails, row, people, client, settings):
    settings.RATELIMIT_ENABLE, settings.RATE_LIMITS = True, {**settings.RATE_LIMITS, "letters": "2/d"}
    client.force_login(people["client"])

    assert client.post(f"/requests/{row.pk}/invite", {"emails": emails}).status_code == 400
    # The same mailbox twice is one letter.
    twice = {"emails": "c@example.org, C@example.org, d@example.org"}
    assert client.post(f"/requests/{row.pk}/invite", twice).status_code == 302
    assert client.post(f"/requests/{row.pk}/invite", {"emails": "e@example.org"}).status_code == 429


def test_letters_to_strangers_are_counted_by_their_recipients(row, people, client, settings):
    settings.RATELIMIT_ENABLE, settings.RATE_LIMITS = True, {**settings.RATE_LIMITS, "letters": "60/d"}
    client.force_login(people["client"])
    fifty = "\n".join(f"a{number}@example.org" for number in range(50))

    statuses = [client.post(f"/requests/{row.pk}/invite", {"emails": fifty}).status_code for _time in range(2)]

    assert statuses == [302, 429]
    assert OutgoingMail.objects.filter(letter="request_invitation").count() == 50


def test_a_letter_of_invitation_leads_to_the_portal_alone(people, outbox):
    row = ask_for_files(people["client"], note="See https://evil.example")
    invitations.invite(user=people["client"], request_id=row.pk, emails=["a@example.org"])

    (letter,) = outbox()

    assert "evil.example" not in letter.body + letter.alternatives[0][0]
    with pytest.raises(file_requests.Invalid):
        ask_for_files(people["client"], title="www.evil.example")


def test_a_folder_that_is_deleted_ends_its_requests_and_keeps_the_receipts(people):
    folder = FolderFactory()
    subfolder = SubfolderFactory(folder=folder)
    grant(folder, PermissionType.UPLOAD, user=people["client"])
    in_folder = ask_for_files(people["client"], folder_id=folder.pk)
    below = ask_for_files(people["client"], folder_id=folder.pk, subfolder_id=subfolder.pk)
    outsider = Outsider(below)
    outsider.start(name="Amina")

    folders.delete_subfolder(user=people["super"], subfolder_id=subfolder.pk)
    assert Outsider(below).open().status_code == 410, "and it does not fall back to the folder itself"
    assert refusal(outsider.promise(b"words")) == (410, "request_closed")
    assert Outsider(in_folder).open().status_code == 200
    folders.delete_folder(user=people["super"], folder_id=folder.pk)

    assert Outsider(in_folder).open().status_code == 410
    assert FileRequest.objects.count() == 2
    assert outsider.receipt().status_code == 200


def test_another_address_kills_the_old_one(row, people, outsider, commits):
    old = path_of_request(row)
    outsider.promise(b"words")
    with commits():
        row = file_requests.renew_address(user=people["client"], request_id=row.pk)

    assert path_of_request(row) != old
    assert outsider.open().status_code == 404
    assert outsider.promise(b"words").status_code == 404
    assert Outsider(row).open().status_code == 200
    assert not Upload.objects.exists()


def test_an_address_made_under_a_former_key_is_still_shown(row, settings):
    address = addresses.address(row)
    settings.SECRET_KEY_FALLBACKS, settings.SECRET_KEY = (
        [settings.SECRET_KEY],
        "another key, of fifty letters and more than that",
    )
    assert addresses.address(row) == address

    settings.SECRET_KEY_FALLBACKS = []
    assert addresses.address(row) == ""
    assert addresses.by_token(address.rsplit("/", 1)[1]) == row


# --- Races ----------------------------------------------------------------------------------------


@REAL_TRANSACTIONS
@pytest.mark.parametrize(("limits", "size", "most"), [({"max_files": 3}, 10, 3), ({"max_bytes": 35}, 10, 3)])
def test_racing_senders_never_exceed_the_limits(limits, size, most, people):
    row = ask_for_files(people["client"], **{"max_files": 1000, "max_bytes": 10**9, **limits})
    eight = [senders.start(addresses.by_token(path_of_request(row).rsplit("/", 1)[1]))[0] for _ in range(8)]

    def send(number):
        try:
            upload = senders.initiate(
                sender=eight[number], filename="a.txt", size_bytes=size, content_type="text/plain"
            )
        except (request_room.RequestOver, request_room.NoRoom):
            return 0
        if number % 3 == 0:
            senders.abort(sender=eight[number], file_id=upload.pk)
            return 0
        transfer = uploads.begin([upload])[0]
        send_whole(
            {
                "upload_url": transfer.url if transfer.url.startswith("http") else f"http://testserver{transfer.url}",
                "headers": transfer.headers,
            },
            b"x" * size,
        )
        senders.complete(sender=eight[number], file_id=upload.pk)
        return 1

    came = sum(at_once(8, send)) + sum(send(number) for number in range(1, 8, 3) for _ in range(3))

    assert came == most
    assert counts(row) == (most, most * size, 0, 0)
    assert File.objects.count() == ReceivedFile.objects.count() == most
    assert space(row.folder) == (most * size, 0)


@REAL_TRANSACTIONS
def test_two_completions_at_once_are_one_file_and_one_receipt(people):
    row = ask_for_files(people["client"])
    outsider = Outsider(row)
    outsider.start(name="Amina")
    transfer = outsider.promise(b"words").json()
    send_whole(transfer, b"words")
    sender = senders.sender_of(row, None) or RequestSender.objects.get()

    done = at_once(
        4,
        lambda _n: (
            senders.complete(
                sender=RequestSender.objects.select_related("request").get(pk=sender.pk), file_id=transfer["file_id"]
            ).pk
        ),
    )

    assert len(set(done)) == 1
    assert counts(row) == (1, 5, 0, 0)
    assert Notification.objects.filter(type="request_answered").get().payload["count"] == 1


@REAL_TRANSACTIONS
def test_requests_and_closing_at_once_leave_nothing_reserved(people):
    row = ask_for_files(people["client"])
    sender, _secret = senders.start(row)

    def act(number):
        if number == 0:
            file_requests.close(user=people["client"], request_id=row.pk)
            return
        try:
            upload = senders.initiate(sender=sender, filename="a.txt", size_bytes=5, content_type="")
            senders.abort(sender=sender, file_id=upload.pk)
        except (request_room.RequestOver, completion.Http404, file_requests.Http404):
            pass

    at_once(5, act)

    assert Upload.objects.count() == 0
    assert counts(row) == (0, 0, 0, 0)
    assert space(row.folder) == (0, 0)


@pytest.mark.postgres  # SQLite has one writer at a time
@REAL_TRANSACTIONS
@pytest.mark.parametrize("end", ["close", "renew_address"])
def test_a_request_ends_while_a_file_comes_in_by_it_and_neither_waits_for_the_other(end, people, monkeypatch):
    row = ask_for_files(people["client"])
    outsider = Outsider(row)
    outsider.start(name="Amina")
    transfer = outsider.promise(b"words").json()
    send_whole(transfer, b"words")
    settle = request_room.settle

    def end_it():
        try:
            getattr(file_requests, end)(user=people["client"], request_id=row.pk)
        finally:
            connections.close_all()

    def and_meanwhile_it_ends(upload, file):
        # The upload and its folder are locked here, the request is not.
        ending.append(pool.submit(end_it))
        patience = time.monotonic() + 5
        while time.monotonic() < patience:
            now = FileRequest.objects.get(pk=row.pk)
            if now.closed_at or now.generation > row.generation:
                break
            time.sleep(0.02)
        settle(upload, file)

    monkeypatch.setattr(request_room, "settle", and_meanwhile_it_ends)
    ending = []
    with ThreadPoolExecutor(1) as pool:
        assert outsider.post("complete", {"file_id": transfer["file_id"]}).status_code == 200
        ending[0].result()

    now = FileRequest.objects.get(pk=row.pk)
    assert now.closed_at or now.generation > row.generation
    assert counts(row) == (1, 5, 0, 0)
    assert not Upload.objects.exists()


@REAL_TRANSACTIONS
def test_a_password_is_hashed_before_anybody_has_to_wait_for_it(people, monkeypatch):
    make_password, hashed = file_requests.make_password, []

    def outside(password):
        hashed.append(connection.in_atomic_block)
        return make_password(password)

    monkeypatch.setattr(file_requests, "make_password", outside)

    row = ask_for_files(people["client"], password="open sesame")
    file_requests.change(user=people["client"], request_id=row.pk, password="another word")

    assert hashed == [False, False]
    row.refresh_from_db()
    assert check_password("another word", row.password)


def test_a_strangers_password_is_not_even_hashed(row, people, monkeypatch):
    monkeypatch.setattr(file_requests, "make_password", lambda password: pytest.fail("hashed"))

    with pytest.raises(file_requests.Http404):
        file_requests.change(user=people["stranger"], request_id=row.pk, password="open sesame")


@pytest.mark.parametrize("how", ["closed", "past"])
def test_what_opens_again_counts_among_the_open_ones(how, row, people, monkeypatch):
    monkeypatch.setattr(file_requests, "MAX_OPEN", 1)
    owner, later = people["client"], timezone.now() + timedelta(days=2)
    opens = {"closed": False} if how == "closed" else {"deadline": later}
    ended = {"closed_at": timezone.now()} if how == "closed" else {"deadline": timezone.now() - timedelta(days=1)}
    FileRequest.objects.filter(pk=row.pk).update(**ended)
    other = ask_for_files(owner)

    for who in ("client", "super"):
        with pytest.raises(file_requests.Conflict) as refused:
            file_requests.change(user=people[who], request_id=row.pk, **opens)
        assert refused.value.code == "too_many_open"
    # The limit does not stop changes of an open request, or of a closed one that stays closed.
    file_requests.change(user=owner, request_id=other.pk, title="Another", deadline=later)
    file_requests.change(user=owner, request_id=row.pk, title="Another")
    file_requests.close(user=owner, request_id=other.pk)
    file_requests.change(user=owner, request_id=row.pk, **opens)

    assert FileRequest.objects.open().get() == row


@REAL_TRANSACTIONS
def test_the_last_open_request_is_opened_once(people, monkeypatch):
    monkeypatch.setattr(file_requests, "MAX_OPEN", 1)
    rows = []
    for _number in range(4):
        rows.append(ask_for_files(people["client"]))
        file_requests.close(user=people["client"], request_id=rows[-1].pk)

    def reopen(number):
        try:
            return bool(file_requests.change(user=people["client"], request_id=rows[number].pk, closed=False))
        except file_requests.Conflict:
            return False

    assert sum(at_once(4, reopen)) == 1


@REAL_TRANSACTIONS
def test_the_last_open_request_is_made_once(people, monkeypatch):
    monkeypatch.setattr(file_requests, "MAX_OPEN", 1)

    def make(_number):
        try:
            return bool(ask_for_files(people["client"]))
        except file_requests.Conflict:
            return False

    folders.personal_folder(people["client"])
    assert sum(at_once(4, make)) == 1


# --- Telling --------------------------------------------------------------------------------------


def test_the_owner_is_told_once_for_files_of_one_sender(row, people, outsider):
    outsider.deliver(b"one", "a.txt")
    outsider.deliver(b"two", "b.txt")

    notice = Notification.objects.get(user=people["client"], type="request_answered")
    assert notice.payload == {
        "request_id": str(row.pk),
        "title": "Statements of March",
        "sender": "Amina Otieno",
        "count": 2,
    }


def test_the_log_has_who_sent_what_and_no_secret(row, people, outsider, caplog):
    outsider.deliver()
    file_requests.change(user=people["client"], request_id=row.pk, password="seven green boats")
    Outsider(row).start(password="wrong password")

    event = Event.objects.get(action="upload")
    assert (event.actor, event.actor_email) == (None, "")
    assert event.detail == {
        "request": str(row.pk),
        "sender_name": "Amina Otieno",
        "sender_email": "amina@example.org",
    }
    assert Event.objects.get(action="request_refused").detail == {"code": "wrong_password"}
    token = path_of_request(row).rsplit("/", 1)[1]
    secret = outsider.client.cookies["sender"].value.split(":")[0].split(".")[1]
    told = json.dumps(list(Event.objects.values("detail", "target_name", "target_id")), default=str) + caplog.text
    stored = json.dumps(list(FileRequest.objects.values()) + list(RequestSender.objects.values()), default=str)
    for hidden in (token, secret, "seven green boats", "wrong password"):
        assert hidden not in told
        assert hidden not in stored
    assert not any(token in json.dumps(mail.context) for mail in OutgoingMail.objects.all())


def test_the_receipt_is_mailed_once_after_the_last_file(row, outsider, outbox):
    outsider.deliver(b"one", "a.txt")
    assert tasks.mail_receipts() == 0
    outsider.deliver(b"two", "b.txt")
    RequestSender.objects.update(receipt_due_at=timezone.now())
    tasks.complete_checksums()  # a bucket gives no checksums before

    assert (tasks.mail_receipts(), tasks.mail_receipts()) == (1, 0)

    (letter,) = [letter for letter in outbox() if letter.to == ["amina@example.org"]]
    for text in (letter.body, letter.alternatives[0].content):
        for body, name in ((b"one", "a.txt"), (b"two", "b.txt")):
            assert hashlib.sha256(body).hexdigest() in text
            assert name in text


def test_the_receipt_waits_for_checksums_and_uploads_but_not_for_ever(row, outsider):
    outsider.deliver(b"one", "a.txt")
    File.objects.update(sha256="")
    ReceivedFile.objects.update(sha256="")
    RequestSender.objects.update(receipt_due_at=timezone.now())
    assert tasks.mail_receipts() == 0
    tasks.complete_checksums()
    outsider.promise(b"more")
    assert tasks.mail_receipts() == 0
    assert ReceivedFile.objects.get().sha256 == hashlib.sha256(b"one").hexdigest()

    RequestSender.objects.update(receipt_due_at=timezone.now() - receipts.PATIENCE)

    assert tasks.mail_receipts() == 1


def test_a_receipt_leads_its_reader_nowhere_whatever_the_file_is_called(row, outsider, outbox):
    outsider.deliver(b"one", "Account locked, see www.evil.example.txt")
    outsider.deliver(b"two", "b.txt")
    RequestSender.objects.update(receipt_due_at=timezone.now() - receipts.PATIENCE)

    assert tasks.mail_receipts() == 1

    (letter,) = [letter for letter in outbox() if letter.to == ["amina@example.org"]]
    for text in (letter.body, letter.alternatives[0].content):
        assert "evil.example" not in text
        assert "b.txt" in text
        assert "File" in text
    assert "www.evil.example.txt" in outsider.receipt().content.decode()


def test_nobody_has_a_mailbox_flooded_with_receipts(people, settings):
    settings.RATELIMIT_ENABLE, settings.RATE_LIMITS = True, {**settings.RATE_LIMITS, "unasked_letters": "2/d"}
    for _turn in range(3):
        for email in ("victim@example.org", "other@example.org")[: 1 + (_turn == 2)]:
            stranger = Outsider(ask_for_files(people["client"]))
            stranger.start(email=email)
            stranger.deliver()
        RequestSender.objects.filter(receipt_due_at__isnull=False).update(
            receipt_due_at=timezone.now() - receipts.PATIENCE
        )
        tasks.mail_receipts()

    letters = OutgoingMail.objects.filter(letter="request_receipt")
    assert letters.filter(to="victim@example.org").count() == 2
    assert letters.filter(to="other@example.org").count() == 1
    assert tasks.mail_receipts() == 0


def test_nobody_is_mailed_who_gave_no_address(row):
    outsider = Outsider(row)
    outsider.start(name="Amina")
    outsider.deliver()
    RequestSender.objects.update(receipt_due_at=None)

    assert tasks.mail_receipts() == 0
    assert not OutgoingMail.objects.filter(letter="request_receipt").exists()


def test_an_invitation_bears_the_address_and_the_database_does_not(row, people, outbox):
    assert invitations.invite(user=people["client"], request_id=row.pk, emails=["A@example.org", "a@example.org "]) == 1

    token = path_of_request(row).rsplit("/", 1)[1]
    assert token not in json.dumps(OutgoingMail.objects.get().context)
    (letter,) = outbox()
    assert (letter.to, token in letter.body) == (["a@example.org"], True)
    assert "Statements of March" in letter.subject


def test_an_invitation_to_a_request_that_is_closed_meanwhile_is_dropped(row, people, outbox):
    invitations.invite(user=people["client"], request_id=row.pk, emails=["a@example.org"])
    close_it(row, people)

    assert outbox() == []


@pytest.mark.parametrize(
    "emails", [[], ["nobody"], ["a@example.org\r\nBcc: b@example.org"], [f"a{n}@example.org" for n in range(51)]]
)
def test_invitations_to_nobody_or_everybody_are_refused(emails, row, people):
    with pytest.raises(file_requests.Invalid):
        invitations.invite(user=people["client"], request_id=row.pk, emails=emails)
    assert not OutgoingMail.objects.exists()


# --- The API of owners ----------------------------------------------------------------------------


def test_a_request_is_made_read_changed_and_closed_by_script(people, api_as):
    api = api_as("client")
    made = api.post(API, asked(note="Please sign them.", password="pässwörd 🔑", asks_name=True))

    assert made.status_code == 201, made.json()
    shown = made.json()
    assert set(shown) == {
        "id", "url", "title", "note", "state", "folder", "subfolder", "deadline", "max_files", "max_bytes",
        "received_files", "received_bytes", "type_policy", "has_password", "asks_name", "asks_email",
        "created_at", "closed_at",
    }  # fmt: skip
    assert (shown["state"], shown["has_password"], shown["folder"]["name"]) == ("open", True, "My files")
    assert re.fullmatch(r"http://[^/]+/request/[A-Za-z0-9_-]{43}", shown["url"])
    one = f"{API}/{shown['id']}"
    assert api.get(one).json() == shown
    assert api.get(API).json()["results"] == [shown]
    changed = api.patch(one, {"title": "Others", "max_files": 9, "password": ""}).json()
    assert (changed["title"], changed["max_files"], changed["has_password"]) == ("Others", 9, False)
    assert api.delete(one).status_code == 204
    assert api.get(one).json()["state"] == "closed"
    assert api.delete(one).status_code == 204
    assert api.patch(one, {"closed": False}).json()["state"] == "open"
    actions = Event.objects.filter(target_id=shown["id"]).order_by("created_at").values_list("action", flat=True)
    assert list(actions) == ["request_created", "request_changed", "request_closed", "request_changed"]


def test_what_came_is_listed_for_the_owner_alone(row, people, outsider, api_as):
    outsider.deliver(b"one", "a.txt")

    shown = api_as("client").get(f"{API}/{row.pk}/files").json()["results"]

    assert [(one["filename"], one["sender"]) for one in shown] == [
        ("a.txt", {"name": "Amina Otieno", "email": "amina@example.org"})
    ]
    assert shown[0]["file_id"] == str(File.objects.get().pk)
    assert api_as("super").get(f"{API}/{row.pk}/files").status_code == 200
    for who in ("stranger", "ops"):
        assert refusal(api_as(who).get(f"{API}/{row.pk}/files")) == (404, "not_found")
        assert refusal(api_as(who).patch(f"{API}/{row.pk}", {"title": "Mine"})) == (404, "not_found")
        assert refusal(api_as(who).delete(f"{API}/{row.pk}")) == (404, "not_found")
        assert api_as(who).get(API).json()["results"] == []


@pytest.mark.parametrize(
    ("facts", "field"),
    [
        ({"deadline": "2020-01-01T00:00:00Z"}, "deadline"),
        ({"deadline": "2126-01-01T00:00:00Z"}, "deadline"),
        ({"deadline": "0001-01-01T00:00:00+14:00"}, "deadline"),
        ({"deadline": "9999-12-31T23:59:59-14:00"}, "deadline"),
        ({"deadline": "soon"}, "deadline"),
        ({"title": " "}, "title"),
        ({"title": "x" * 201}, "title"),
        ({"title": "a\nb\u202ec"}, "title"),
        ({"note": "x" * 2001}, "note"),
        ({"note": "a\u202eb"}, "note"),
        ({"max_files": 0}, "max_files"),
        ({"max_files": 1001}, "max_files"),
        ({"max_files": True}, "max_files"),
        ({"max_bytes": 0}, "max_bytes"),
        ({"max_bytes": 2**63}, "max_bytes"),
        ({"type_policy": "all"}, "type_policy"),
        ({"password": "x" * 257}, "password"),
        ({"owner": NOBODYS}, "owner"),
        ({"token_hash": "x"}, "token_hash"),
    ],
)
def test_what_makes_no_sense_is_refused_by_field(facts, field, api_as):
    answer = api_as("client").post(API, asked(**facts))

    assert refusal(answer) == (400, "invalid")
    assert list(answer.json()["errors"]) == [field]
    assert not FileRequest.objects.exists()


def test_a_deadline_is_refused_when_it_is_changed_too(row, api_as):
    for wrong in ("2020-01-01T00:00:00Z", "2126-01-01T00:00:00Z"):
        answer = api_as("client").patch(f"{API}/{row.pk}", {"deadline": wrong})
        assert list(answer.json()["errors"]) == ["deadline"]
    assert FileRequest.objects.get().deadline == row.deadline


def test_a_request_goes_only_where_its_maker_may_upload(people, api_as, company_folder):
    facts = asked(folder_id=str(company_folder.pk))
    foreign = SubfolderFactory()

    assert api_as("uploader").post(API, facts).status_code == 201
    assert refusal(api_as("colleague").post(API, facts)) == (403, "permission_denied")
    assert refusal(api_as("stranger").post(API, facts)) == (404, "not_found")
    assert refusal(api_as("uploader").post(API, facts | {"subfolder_id": str(foreign.pk)})) == (404, "not_found")
    assert FileRequest.objects.count() == 1


def test_a_request_is_never_wider_than_its_folder(people, api_as):
    folder = FolderFactory(type_policy=TypePolicy.OFFICE)
    grant(folder, PermissionType.UPLOAD, user=people["client"])

    answer = api_as("client").post(API, asked(folder_id=str(folder.pk), type_policy="general"))

    assert list(answer.json()["errors"]) == ["type_policy"]
    assert api_as("client").post(API, asked(folder_id=str(folder.pk))).json()["type_policy"] == "office"


def test_a_request_is_not_opened_again_where_its_owner_may_not_upload(people, company_folder, api_as):
    row = ask_for_files(people["uploader"], folder_id=company_folder.pk)
    file_requests.close(user=people["uploader"], request_id=row.pk)
    FolderPermission.objects.filter(user=people["uploader"], permission_type=PermissionType.UPLOAD).delete()

    assert refusal(api_as("uploader").patch(f"{API}/{row.pk}", {"closed": False})) == (409, "no_upload_right")


def test_there_is_an_end_to_open_requests(people, api_as, monkeypatch):
    monkeypatch.setattr(file_requests, "MAX_OPEN", 2)
    first, second = (ask_for_files(people["client"]) for _ in range(2))

    assert refusal(api_as("client").post(API, asked())) == (409, "too_many_open")
    file_requests.close(user=people["client"], request_id=first.pk)
    FileRequest.objects.filter(pk=second.pk).update(deadline=datetime(2020, 1, 1, tzinfo=UTC))
    assert api_as("client").post(API, asked()).status_code == 201


@pytest.mark.parametrize("address", [API, f"{API}/{{pk}}/files"])
def test_a_list_asks_as_many_queries_for_twelve_rows_as_for_two(address, people, api_as):
    row = ask_for_files(people["client"], max_files=100)
    path = address.format(pk=row.pk)
    api = api_as("client")

    def cost(count):
        for number in range(count):
            outsider = Outsider(row)
            outsider.start(name=f"Sender {number}")
            outsider.deliver(b"x", f"{number}.txt")
            ask_for_files(people["client"])
        api.get(path)
        with CaptureQueriesContext(connection) as queries:
            assert len(api.get(path).json()["results"]) >= count
        return len(queries)

    assert cost(2) == cost(10) <= 8


def test_a_sender_is_limited_in_what_they_begin(row, outsider, settings):
    settings.RATELIMIT_ENABLE = True
    settings.RATE_LIMITS = {**settings.RATE_LIMITS, "initiate": "2/d"}

    assert [outsider.promise(b"x").status_code for _ in range(3)] == [201, 201, 429]


def test_the_states_of_rows_are_those_of_the_lists(people):
    now = timezone.now()
    facts = [
        {"folder": folder, "in_subfolder": in_subfolder, "closed_at": closed_at, "deadline": deadline, **received}
        for folder in (folders.personal_folder(people["client"]), None)
        for in_subfolder in (False, True)
        for closed_at in (None, now)
        for deadline in (now + timedelta(days=1), now - timedelta(days=1))
        for received in ({}, {"received_files": 3}, {"received_bytes": 1000})
    ]
    FileRequest.objects.bulk_create(
        FileRequest(
            owner=people["client"], token_hash=str(number), title="x", max_files=3, max_bytes=1000,
            type_policy="general", **row,
        )
        for number, row in enumerate(facts)
    )  # fmt: skip

    for state in RequestState:
        meant = {row.pk for row in FileRequest.objects.all() if row.state == state}
        assert set(FileRequest.objects.in_state(state).values_list("pk", flat=True)) == meant
        assert meant


def test_the_right_of_many_owners_is_that_of_each(people, company_folder, documents, inbox, role):
    special, role_only = FolderFactory(slug="special"), FolderFactory(slug="by-role")
    grant(special, "upload", user=people["stranger"])
    grant(special, "download", user=people["colleague"])
    grant(role_only, "upload", role=role("client"))
    for name in ("client", "off"):
        folders.personal_folder(people[name])
    every = list(Folder.objects.all())
    FileRequest.objects.bulk_create(
        FileRequest(
            owner=owner, folder=folder, token_hash=f"{owner.pk}{folder.pk}"[:64], title="x", max_files=3,
            max_bytes=1000, type_policy="general", deadline=timezone.now() + timedelta(days=1),
        )
        for owner in people.values() for folder in every
    )  # fmt: skip

    rows = FileRequest.objects.select_related("owner")
    meant = {row.pk: row.folder in Folder.objects.uploadable_by(row.owner) for row in rows}

    assert {row.pk: row.owner_may_upload for row in rows.with_right()} == meant
    assert {row.pk: row.owner_may_upload for row in rows} == meant
    assert set(meant.values()) == {True, False}
    for state in ("open", "closed"):
        assert {row.pk for row in rows.in_state(state)} == {row.pk for row in rows if row.state == state}


def test_everybody_is_told_the_same_state_of_a_request_whose_owner_lost_the_right(people, api_as, page_as):
    folder = FolderFactory(slug="letters")
    given = grant(folder, PermissionType.UPLOAD, user=people["client"])
    row = ask_for_files(people["client"], folder_id=folder.pk)

    def told():
        api, pages = api_as("client"), page_as("client")
        yield "api", api.get(f"{API}/{row.pk}").json()["state"]
        yield "api list", api.get(API).json()["results"][0]["state"]
        for name, page in [
            ("list", pages.get("/requests/")),
            ("page", pages.get(f"/requests/{row.pk}/")),
            ("admin", page_as("super").get("/admin/fileshare/filerequest/")),
        ]:
            (word,) = set(re.findall(r'class="(?:badge|state)[^"]*">(Open|Closed)<', page.content.decode()))
            yield name, word.lower()
        yield "sender", "open" if Outsider(row).open().status_code == 200 else "closed"

    assert set(dict(told()).values()) == {"open"}
    given.delete()
    assert dict(told()) == dict.fromkeys(["api", "api list", "list", "page", "admin", "sender"], "closed")
