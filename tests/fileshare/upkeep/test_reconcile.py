"""Reconciliation: uploads that were never completed, objects without a row, rows without an object."""

import datetime as dt
import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from accounts.models import Notification
from audit.models import Event
from fileshare import files, tasks
from fileshare.incoming import completion, uploads
from fileshare.models import File, Upload
from fileshare.space import inventory, quotas
from fileshare.storage import Part, StoreUnavailable, get_store
from fileshare.storage.local import LocalStore
from fileshare.upkeep import reconcile
from tests.factories import store_file
from tests.fakes import documents as samples
from tests.fileshare.helpers import (
    REAL_TRANSACTIONS,
    at_once,
    complete,
    objects,
    promise,
    send_parts,
    send_whole,
    space,
)
from tests.fileshare.upkeep import crash

pytestmark = [pytest.mark.django_db, pytest.mark.local, pytest.mark.both]
PROJECT = Path(__file__).resolve().parents[3]
TEXT = b"twenty bytes of text"


@pytest.fixture
def api(api_as):
    return api_as("uploader")


def sent(api, folder, body=TEXT, filename="notes.txt", *, ago=dt.timedelta(minutes=15, seconds=1), whole=True):
    """Begin an upload some time `ago` and send its bytes; returns its id."""
    transfer = promise(api, folder, body, filename).json()
    assert send_whole(transfer, body if whole else body[:-1]).status_code == 200
    Upload.objects.filter(pk=transfer["file_id"]).update(created_at=dt.datetime.now(dt.UTC) - ago)
    return transfer["file_id"]


def put(key, body=TEXT, *, hours=25):
    """Write an object of that age; returns its key."""
    get_store().write(key, io.BytesIO(body), size_limit=len(body))
    age(key, hours)
    return key


def age(key, hours):
    path = Path(get_store().root, "objects", key)
    then = path.stat().st_mtime - hours * 3600
    os.utime(path, (then, then))


def killed_in(*arguments, settings):
    """Run tests.fileshare.upkeep.crash on this test's database and store; returns the ended process."""
    facts = connection.settings_dict
    place = f"{facts['USER']}:{facts['PASSWORD']}@{facts['HOST']}:{facts['PORT']}" if facts["HOST"] else ""
    scheme = "sqlite" if connection.vendor == "sqlite" else "postgres"
    environment = {
        **os.environ,
        "DATABASE_URL": f"{scheme}://{place}/{facts['NAME']}",
        "DATA_DIR": str(settings.DATA_DIR),
    }
    command = [sys.executable, "-m", "tests.fileshare.upkeep.crash", *map(str, arguments)]
    return subprocess.run(
        command, cwd=PROJECT, env=environment, check=True, timeout=300, capture_output=True, text=True
    )


def ids(rows):
    return {str(pk) for pk in rows.values_list("pk", flat=True)}


# --- Sent and never completed -------------------------------------------------------------------------


def test_what_was_sent_and_never_completed_is_completed(api, company_folder):
    file_id = sent(api, company_folder)

    assert tasks.complete_received_uploads() == 1

    file = File.objects.get()
    assert (str(file.pk), file.filename, file.uploaded_by.email) == (file_id, "notes.txt", "uploader@example.org")
    assert space(company_folder) == (len(TEXT), 0)
    assert not Upload.objects.exists()
    event = Event.objects.get(action="upload")
    assert (event.actor_email, event.target_id) == ("uploader@example.org", file_id)
    assert tasks.complete_received_uploads() == 0


def test_only_finished_puts_are_completed_whose_url_has_run_out(api, company_folder, in_parts):
    sent(api, company_folder, ago=dt.timedelta(minutes=14, seconds=50))
    sent(api, company_folder, whole=False)
    promise(api, company_folder, TEXT, "never-sent.txt")
    send_parts(promise(api, company_folder, TEXT * 100, "parts.txt").json(), TEXT * 100)
    Upload.objects.filter(filename__in=["never-sent.txt", "parts.txt"]).update(
        created_at=dt.datetime.now(dt.UTC) - dt.timedelta(hours=1)
    )

    assert tasks.complete_received_uploads() == 0

    assert Upload.objects.count() == 4
    assert not File.objects.exists()
    assert space(company_folder) == (0, 103 * len(TEXT))


def test_a_refused_one_is_dropped_told_and_costs_the_others_nothing(api, company_folder, commits):
    refused = sent(api, company_folder, samples.html(), "picture.png")
    fine = {sent(api, company_folder, filename=f"{number}.txt") for number in range(3)}

    with commits():
        assert tasks.complete_received_uploads() == 3

    assert ids(File.objects) == fine
    assert not Upload.objects.exists()
    assert space(company_folder) == (3 * len(TEXT), 0)
    assert not any(refused in key for key in objects())
    assert Event.objects.get(action="upload_refused").actor_email == "uploader@example.org"
    assert Notification.objects.get(type="upload_refused").user.email == "uploader@example.org"


@pytest.mark.parametrize("lost", ["grant", "account"])
def test_whoever_lost_the_right_to_upload_gets_nothing_completed(lost, people, api, company_folder):
    sent(api, company_folder)
    if lost == "grant":
        company_folder.permissions.filter(permission_type="upload").delete()
    else:
        type(people["uploader"]).objects.filter(pk=people["uploader"].pk).update(is_active=False)

    assert tasks.complete_received_uploads() == 0

    assert not File.objects.exists()
    assert space(company_folder) == (0, len(TEXT))


def test_a_fault_with_one_costs_the_others_nothing(api, company_folder, caplog):
    broken = [sent(api, company_folder, filename=f"{number}.txt") for number in range(2)]
    for file_id in broken:
        Upload.objects.filter(pk=file_id).update(object_key=f"files/../{file_id}")
    fine = {sent(api, company_folder) for _ in range(2)}

    assert tasks.complete_received_uploads() == 2

    assert ids(File.objects) == fine
    assert ids(Upload.objects) == set(broken)
    assert all(file_id in caplog.text for file_id in broken)


def test_a_store_that_fails_time_after_time_is_not_asked_on_and_on(api, company_folder, monkeypatch):
    for _ in range(reconcile.PATIENCE + 2):
        sent(api, company_folder)
    asked = []

    def fails(store, key):
        asked.append(key)
        raise StoreUnavailable

    with monkeypatch.context() as patch:
        patch.setattr(LocalStore, "received", fails)
        with pytest.raises(StoreUnavailable):
            tasks.complete_received_uploads()

    assert len(asked) == reconcile.PATIENCE
    assert tasks.complete_received_uploads() == reconcile.PATIENCE + 2


def test_a_completion_that_died_is_taken_over_and_a_living_one_is_not(api, company_folder):
    dead, living = sent(api, company_folder), sent(api, company_folder)
    now = dt.datetime.now(dt.UTC)
    Upload.objects.filter(pk=dead).update(
        status="completing", claimed_at=now - completion.CLAIM_LEASE - dt.timedelta(seconds=1)
    )
    Upload.objects.filter(pk=living).update(status="completing", claimed_at=now)

    assert tasks.complete_received_uploads() == 1

    assert (ids(File.objects), ids(Upload.objects)) == ({dead}, {living})


def test_one_who_finishes_after_another_took_over_gets_the_same_file_and_harms_nothing(
    api, company_folder, people, commits
):
    file_id = sent(api, company_folder)
    late = Upload.objects.select_related("folder", "uploaded_by").get(pk=file_id)
    assert tasks.complete_received_uploads() == 1

    with commits():
        file = completion._publish(late, get_store().head(late.object_key))
        uploads.drop(late)

    assert str(file.pk) == file_id
    assert objects() == [file.object_key]
    assert space(company_folder) == (len(TEXT), 0)


def test_parts_put_together_by_a_request_that_died_become_a_file(api, company_folder, settings):
    settings.MULTIPART_THRESHOLD_BYTES = settings.PART_SIZE_BYTES = 15
    transfer = promise(api, company_folder, TEXT, "notes.txt").json()
    parts = send_parts(transfer, TEXT)
    upload = Upload.objects.get()
    named = [Part(part["part_number"], part["etag"], 0) for part in parts]
    get_store().complete_multipart(upload.object_key, upload.store_upload_id, named, size_bytes=20, part_size=15)
    Upload.objects.update(
        status="completing",
        claimed_at=dt.datetime.now(dt.UTC) - completion.CLAIM_LEASE - dt.timedelta(seconds=1),
        created_at=dt.datetime.now(dt.UTC) - dt.timedelta(hours=1),
    )

    status = api.get(f"/api/fileshare/upload/{transfer['file_id']}").json()
    assert (status["parts"], status["received"]) == ([], []), "nothing is missing, there is nothing to name"

    assert tasks.complete_received_uploads() == 1
    assert str(File.objects.get().pk) == transfer["file_id"]
    assert space(company_folder) == (len(TEXT), 0)
    assert complete(api, transfer, parts=[]).status_code == 200


@REAL_TRANSACTIONS
def test_many_workers_at_once_complete_each_upload_once(people, company_folder, api_as):
    waiting = {sent(api_as("uploader"), company_folder) for _ in range(6)}
    sent(api_as("uploader"), company_folder, samples.html(), "picture.png")

    at_once(4, lambda number: reconcile.complete_received())

    assert ids(File.objects) == waiting
    assert not Upload.objects.exists()
    assert Event.objects.filter(action="upload").count() == 6
    assert Event.objects.filter(action="upload_refused").count() == 1
    assert space(company_folder) == (6 * len(TEXT), 0)
    assert len(objects()) == 6


# --- Objects without a row ----------------------------------------------------------------------------


def test_objects_without_a_row_are_removed_once_they_are_old(report, people, api, company_folder):
    trashed = store_file(user=people["uploader"], folder=company_folder)
    files.delete(user=people["uploader"], file_id=trashed.pk)
    upload = Upload.objects.get(pk=sent(api, company_folder))
    get_store().complete_put(upload.object_key)
    kept = [report.object_key, trashed.object_key, upload.object_key]
    for key in kept:
        age(key, 1000)
    put("files/baobab-files/nobodys/old.txt")
    put("files/gone/nobodys/old.txt")
    kept.append(put("files/baobab-files/nobodys/young.txt", hours=23))
    kept.append(put("backups/nobodys/old.txt", hours=1000))

    found = reconcile.reconcile()

    assert objects() == sorted(kept)
    assert (found.objects, found.orphans, found.removed, found.removed_bytes) == (6, 2, 2, 2 * len(TEXT))
    event = Event.objects.get(action="store_reconciled")
    assert (event.detail["removed"], event.detail["missing"], event.detail["objects"]) == (2, 0, 6)
    assert reconcile.reconcile().removed == 0
    assert Event.objects.filter(action="store_reconciled").count() == 1


def test_the_time_of_grace_is_a_setting(settings, report):
    put("files/nobodys/old.txt", hours=3)
    assert reconcile.reconcile().removed == 0

    settings.ORPHAN_GRACE = dt.timedelta(hours=2)

    assert reconcile.reconcile().removed == 1


def test_what_killed_uploads_left_in_the_store_is_swept(api, company_folder, time_machine):
    promised = promise(api, company_folder, TEXT, "notes.txt").json()
    send_whole(promised, TEXT)
    Upload.objects.all().delete()
    assert reconcile.reconcile().leftovers == 0

    time_machine.move_to(dt.datetime.now(dt.UTC) + dt.timedelta(hours=49))

    assert reconcile.reconcile().leftovers == 1
    assert reconcile.reconcile().leftovers == 0


def test_what_runs_every_few_minutes_lists_nothing_in_the_store(api, company_folder, monkeypatch, commits):
    sent(api, company_folder)
    Upload.objects.filter(pk=sent(api, company_folder)).update(expires_at=dt.datetime(2020, 1, 1, tzinfo=dt.UTC))
    for name in ("sweep", "list"):
        monkeypatch.setattr(LocalStore, name, lambda *facts, **options: pytest.fail("every few minutes a listing"))

    with commits():
        assert tasks.remove_abandoned_uploads() == 1
        assert tasks.complete_received_uploads() == 1


def test_a_store_of_another_database_is_left_alone(report, monkeypatch, caplog):
    monkeypatch.setattr(reconcile, "SUSPICIOUS_ORPHANS", 3)
    foreign = [put(f"files/foreign/{number}/a.txt") for number in range(4)]

    found = reconcile.reconcile()

    assert (found.held_back, found.orphans, found.removed) == (True, 4, 0)
    assert set(foreign) < set(objects())
    assert "4 of 5 objects" in caplog.text
    out = io.StringIO()
    with pytest.raises(SystemExit) as ended:
        call_command("reconcile", stdout=out, stderr=io.StringIO())
    assert ended.value.code == 1
    assert "--force" in out.getvalue()

    call_command("reconcile", "--force", stdout=out, stderr=io.StringIO())

    assert objects() == [report.object_key]


def test_a_run_removes_so_many_and_leaves_the_rest_to_the_next(report, monkeypatch):
    monkeypatch.setattr(reconcile, "MOST_ORPHANS", 3)
    monkeypatch.setattr(inventory, "BATCH", 2)
    for number in range(5):
        put(f"files/gone/{number}/a.txt")

    assert [reconcile.reconcile().removed for _ in range(3)] == [3, 2, 0]
    assert objects() == [report.object_key]


def test_an_object_that_got_a_row_during_the_walk_stays(report, monkeypatch):
    """For example when a backup is restored meanwhile."""
    age(report.object_key, 25)
    row = File.objects.get(pk=report.pk)
    File.objects.all().delete()

    def restored(*facts):
        row.save(force_insert=True)

    monkeypatch.setattr(reconcile, "_report_missing", restored)

    assert reconcile.reconcile().removed == 0
    assert objects() == [report.object_key]


# --- Rows without an object ---------------------------------------------------------------------------


def test_rows_without_an_object_are_reported_and_stay(report, people, company_folder, caplog, monkeypatch):
    monkeypatch.setattr(inventory, "BATCH", 2)
    whole = [store_file(user=people["uploader"], folder=company_folder) for _ in range(5)]
    trashed = store_file(user=people["uploader"], folder=company_folder)
    files.delete(user=people["uploader"], file_id=trashed.pk)
    for lost in (report, trashed):
        get_store().delete(lost.object_key)

    out = io.StringIO()
    with pytest.raises(SystemExit) as ended:
        call_command("reconcile", stdout=out, stderr=io.StringIO())

    assert ended.value.code == 1
    assert "Files without an object: 2." in out.getvalue()
    for lost in (report, trashed):
        assert f"  {lost.pk}  baobab-files  {lost.filename}  {lost.object_key}" in out.getvalue()
        assert [record.levelname for record in caplog.records if str(lost.pk) in record.getMessage()] == ["ERROR"]
    assert not any(str(file.pk) in out.getvalue() for file in whole)
    assert File.objects.count() == 7
    assert Event.objects.get(action="store_reconciled").detail["missing"] == 2


def test_rows_made_or_gone_during_the_walk_are_not_missing(report, people, company_folder, monkeypatch):
    get_store().delete(report.object_key)
    real_head = LocalStore.head

    def deleted_meanwhile(store, key):
        File.objects.filter(object_key=key).delete()
        return real_head(store, key)

    later = store_file(user=people["uploader"], folder=company_folder)
    get_store().delete(later.object_key)
    File.objects.filter(pk=later.pk).update(uploaded_at=dt.datetime.now(dt.UTC) + dt.timedelta(hours=1))
    monkeypatch.setattr(LocalStore, "head", deleted_meanwhile)

    assert reconcile.reconcile().missing == []


def test_very_many_missing_ones_are_counted_and_the_first_are_listed(report, people, company_folder, monkeypatch):
    monkeypatch.setattr(reconcile, "MOST_MISSING", 2)
    for _ in range(3):
        store_file(user=people["uploader"], folder=company_folder)
    for file in File.objects.all():
        get_store().delete(file.object_key)

    out = io.StringIO()
    with pytest.raises(SystemExit):
        call_command("reconcile", stdout=out, stderr=io.StringIO())

    assert out.getvalue().endswith("  and 2 more, in the log\n")
    assert "Files without an object: 4." in out.getvalue()


# --- The command, and the whole -------------------------------------------------------------------------


def test_all_is_well_is_said_in_a_few_lines_and_ends_with_zero(report):
    out, err = io.StringIO(), io.StringIO()

    call_command("reconcile", stdout=out, stderr=err)

    assert out.getvalue().splitlines() == [
        "Sent uploads completed: 0.",
        "Objects: 1; without a row: 0.",
        "Removed: 0 (0 bytes); leftovers: 0.",
        "Files without an object: 0.",
    ]
    assert err.getvalue() == "Comparing: 1 objects\n"
    assert not Event.objects.filter(action="store_reconciled").exists()


def test_a_dry_run_tells_and_does_nothing(report, api, company_folder):
    file_id = sent(api, company_folder)
    orphan = put("files/nobodys/old.txt")
    lost = File.objects.get(pk=report.pk)
    get_store().delete(lost.object_key)
    before = Event.objects.count()

    out = io.StringIO()
    with pytest.raises(SystemExit):
        call_command("reconcile", "--dry-run", stdout=out, stderr=io.StringIO())

    assert "Sent uploads to complete: 1." in out.getvalue()
    assert "Objects: 1; without a row: 1." in out.getvalue()
    assert str(lost.pk) in out.getvalue()
    assert objects() == [orphan]
    assert ids(Upload.objects) == {file_id}
    assert Event.objects.count() == before


def test_an_option_it_does_not_know_is_refused():
    with pytest.raises(CommandError):
        call_command("reconcile", "--everything")


@REAL_TRANSACTIONS
def test_runs_at_once_remove_and_report_the_same(people, company_folder, api_as):
    kept = store_file(user=people["uploader"], folder=company_folder)
    lost = store_file(user=people["uploader"], folder=company_folder)
    get_store().delete(lost.object_key)
    for number in range(10):
        put(f"files/gone/{number}/a.txt")

    found = at_once(3, lambda number: reconcile.reconcile())

    assert objects() == [kept.object_key]
    assert [[file.pk for file in each.missing] for each in found] == [[lost.pk]] * 3
    assert max(each.removed for each in found) > 0


@REAL_TRANSACTIONS
def test_killed_anywhere_it_ends_the_same_when_it_runs_again(people, company_folder, api_as, settings):
    api = api_as("uploader")
    kept = store_file(user=people["uploader"], folder=company_folder)
    waiting = {sent(api, company_folder) for _ in range(3)}
    sent(api, company_folder, samples.html(), "picture.png")
    for number in range(3):
        put(f"files/gone/{number}/a.txt")
    lost = store_file(user=people["uploader"], folder=company_folder)
    get_store().delete(lost.object_key)

    ended = killed_in("reconcile", settings=settings)

    assert int(ended.stdout) > 10, "nothing was killed"
    assert ids(File.objects) == waiting | {str(kept.pk), str(lost.pk)}
    assert not Upload.objects.exists()
    assert space(company_folder) == (kept.size_bytes + lost.size_bytes + 3 * len(TEXT), 0)
    # A kill between the delete of a refused upload's row and of its bytes leaves an orphan, which the next day removes.
    settings.ORPHAN_GRACE = dt.timedelta(0)
    reconcile.reconcile()
    assert set(objects()) == set(File.objects.exclude(pk=lost.pk).values_list("object_key", flat=True))
    assert Event.objects.filter(action="upload").count() == 5
    assert Event.objects.filter(action="upload_refused").count() == 1
    assert str(lost.pk) in ended.stderr


@REAL_TRANSACTIONS
@pytest.mark.parametrize("how", ["put", "parts"])
def test_an_upload_killed_anywhere_is_a_whole_file_or_nothing_and_its_space_is_right(
    how, people, company_folder, settings
):
    ended = killed_in(how, company_folder.pk, people["uploader"].pk, settings=settings)
    killed, left = int(ended.stdout), Upload.objects.count()
    assert killed > 5, "nothing was killed"
    assert 0 < left <= killed
    assert space(company_folder) == (len(crash.BODY) * File.objects.count(), len(crash.BODY) * left)

    # A day later.
    past = dt.datetime.now(dt.UTC) - dt.timedelta(hours=25)
    Upload.objects.update(created_at=past, expires_at=past)
    Upload.objects.exclude(claimed_at=None).update(claimed_at=past)
    finished = tasks.complete_received_uploads()
    assert tasks.remove_abandoned_uploads() == left - finished
    settings.ORPHAN_GRACE = settings.UPLOAD_LIFETIME = dt.timedelta(0)
    found = reconcile.reconcile()

    assert finished > 0
    assert found.missing == []
    assert quotas.recalculate().repaired == []
    assert space(company_folder) == (len(crash.BODY) * File.objects.count(), 0)
    assert objects() == sorted(File.objects.values_list("object_key", flat=True))
    for key in objects():
        assert b"".join(get_store().read_range(key, 0, len(crash.BODY))) == crash.BODY
    for name in ("staged", "multipart"):
        assert list(Path(get_store().root, name).iterdir()) == []
