"""Uploads, clean-up, recalculation and reconciliation with a bucket as the store."""

import datetime as dt
import hashlib
import io

import httpx
import pytest
import time_machine
from django.core.management import call_command

from fileshare import tasks
from fileshare.incoming import completion
from fileshare.models import File, Upload
from fileshare.space import quotas
from fileshare.storage import get_store
from fileshare.upkeep import reconcile
from tests.factories import store_file
from tests.fileshare.helpers import complete, objects, promise, space
from tests.servers import new_bucket, use_bucket

pytestmark = [pytest.mark.django_db, pytest.mark.s3]
TEXT = b"twenty bytes of text"


@pytest.fixture(autouse=True)
def bucket(s3_server, settings):
    """Use a new bucket; files of more than 5 MiB are uploaded in parts."""
    bucket = new_bucket(s3_server)
    use_bucket(settings, bucket.endpoint_url, bucket.name)
    settings.MULTIPART_THRESHOLD_BYTES = settings.PART_SIZE_BYTES = 5 * settings.MIB
    return bucket


@pytest.fixture
def api(api_as):
    return api_as("uploader")


def sent(transfer, body):
    """PUT the body, whole or in parts as the transfer says; returns the facts for complete."""
    if transfer["method"] == "PUT":
        httpx.put(transfer["upload_url"], content=body, headers=transfer["headers"]).raise_for_status()
        return {}
    parts = []
    for part in transfer["parts"]:
        start = (part["part_number"] - 1) * transfer["part_size"]
        answer = httpx.put(part["upload_url"], content=body[start : start + transfer["part_size"]], timeout=60)
        parts.append({"part_number": part["part_number"], "etag": answer.raise_for_status().headers["ETag"]})
    return {"parts": parts}


@pytest.mark.parametrize("size", [1000, 6 * 2**20])
@pytest.mark.parametrize("at_once", [True, False])
def test_a_file_arrives_whole_and_its_checksums_with_it_or_after(
    at_once, size, api, company_folder, commits, monkeypatch
):
    monkeypatch.setattr(completion, "DIGEST_AT_ONCE_BYTES", size if at_once else size - 1)
    asked = []
    monkeypatch.setattr("config.outside.queue.app.send_task", lambda task, **options: asked.append(task))
    body = (TEXT * (size // len(TEXT) + 1))[:size]
    transfer = promise(api, company_folder, body, "notes.txt").json()

    named = sent(transfer, body)
    with commits():
        answer = complete(api, transfer, **named)

    assert answer.status_code == 200, answer.json()
    assert asked == ["fileshare.tasks.complete_checksums"]
    assert tasks.complete_checksums() == (0 if at_once else 1)
    file = File.objects.get()
    assert file.sha256 == hashlib.sha256(body).hexdigest()
    assert answer.json()["sha256"] == (file.sha256 if at_once else "")
    assert b"".join(get_store().read_range(file.object_key, 0, file.size_bytes)) == body
    assert space(company_folder) == (size, 0)


def test_abandoned_uploads_leave_neither_parts_nor_space(api, company_folder, commits):
    body = TEXT * 300_000
    parts, whole = (
        promise(api, company_folder, body, "a.txt").json(),
        promise(api, company_folder, TEXT, "b.txt").json(),
    )
    sent({**parts, "parts": parts["parts"][:1]}, body)
    sent(whole, TEXT)
    key = Upload.objects.get(pk=parts["file_id"]).object_key
    store = get_store()
    assert len(store.list_parts(key, parts["upload_id"])) == 1
    Upload.objects.update(expires_at=dt.datetime(2020, 1, 1, tzinfo=dt.UTC))

    with commits():
        assert tasks.remove_abandoned_uploads() == 2

    assert space(company_folder) == (0, 0)
    left = store.client.list_multipart_uploads(Bucket=store.bucket).get("Uploads", [])
    assert left == []
    assert store.client.list_objects_v2(Bucket=store.bucket).get("Contents", []) == []


def test_what_was_sent_and_never_completed_is_completed(api, company_folder, people):
    transfer = promise(api, company_folder, TEXT, "notes.txt").json()
    sent(transfer, TEXT)
    assert tasks.complete_received_uploads() == 0
    Upload.objects.update(created_at=dt.datetime.now(dt.UTC) - dt.timedelta(minutes=16))

    assert tasks.complete_received_uploads() == 1

    assert str(File.objects.get().pk) == transfer["file_id"]
    assert space(company_folder) == (len(TEXT), 0)


def test_orphans_go_missing_ones_are_told_and_leftovers_are_swept(api, people, company_folder, settings):
    kept = store_file(user=people["uploader"], folder=company_folder)
    lost = store_file(user=people["uploader"], folder=company_folder)
    get_store().delete(lost.object_key)
    get_store().write("files/gone/1/a.txt", io.BytesIO(TEXT), size_limit=len(TEXT))
    sent(promise(api, company_folder, TEXT, "notes.txt").json(), TEXT)
    left = Upload.objects.get().object_key
    Upload.objects.all().delete()
    assert get_store().head(f"staging/{left}")
    assert reconcile.reconcile().removed == 0
    assert objects("files/gone/") != []
    # The service has its own clock and refuses signatures of another day, so the test shortens the grace instead.
    settings.ORPHAN_GRACE, settings.UPLOAD_LIFETIME = dt.timedelta(0), dt.timedelta(0)

    out = io.StringIO()
    with pytest.raises(SystemExit):
        call_command("reconcile", stdout=out, stderr=io.StringIO())

    assert objects() == [kept.object_key]
    assert get_store().head(f"staging/{left}") is None
    assert "leftovers: 1." in out.getvalue()
    assert str(lost.pk) in out.getvalue()


def test_an_object_of_another_length_is_told(people, company_folder):
    file = store_file(user=people["uploader"], folder=company_folder)
    get_store().write(file.object_key, io.BytesIO(TEXT), size_limit=len(TEXT))

    done = quotas.recalculate()

    assert (done.damaged, done.repaired) == ([file], [])
    assert space(company_folder) == (file.size_bytes, 0)


def test_bytes_sent_after_their_upload_has_ended_are_removed(api, company_folder, settings):
    late, waiting = (promise(api, company_folder, TEXT, "notes.txt").json() for _ in range(2))
    assert api.post("/api/fileshare/upload/abort", {"file_id": late["file_id"]}).status_code == 204
    sent(late, TEXT)
    sent(waiting, TEXT)
    assert reconcile.discard_unwanted() == 0, "within a minute the row may be on its way"

    with time_machine.travel(dt.datetime.now(dt.UTC) + dt.timedelta(minutes=2), tick=False):
        assert reconcile.discard_unwanted() == 1

    assert [key.split("/")[2] for key, _modified in get_store().staged()] == [waiting["file_id"]]
