"""Used and reserved space: a recalculation makes them the sums of the rows again, also when requests race."""

import io
import random
from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.db.models import Sum
from django.utils import timezone

from audit.models import Event
from fileshare import files, tasks
from fileshare.incoming import uploads
from fileshare.models import File, Folder, Upload
from fileshare.space import quotas
from fileshare.storage import get_store
from tests.factories import FolderFactory, store_file
from tests.fileshare.helpers import REAL_TRANSACTIONS, at_once, promise, space

pytestmark = [pytest.mark.django_db, pytest.mark.both]


def events():
    return Event.objects.filter(action="quota_repaired").order_by("created_at")


def true_sums(folder):
    return tuple(
        rows.filter(folder=folder).aggregate(total=Sum("size_bytes"))["total"] or 0
        for rows in (File.objects, Upload.objects)
    )


def test_right_sums_stay_as_they_are(report, company_folder, api_as):
    promise(api_as("uploader"), company_folder, b"x" * 500, "notes.txt")
    before = space(company_folder)

    done = quotas.recalculate()

    assert (done.objects, done.folders) == (1, Folder.objects.count())
    assert done.repaired == []
    assert space(company_folder) == before == (report.size_bytes, 500)
    assert not events().exists()


@pytest.mark.parametrize(("used", "reserved"), [(0, 0), (10**12, 3), (7, 10**12)])
def test_sums_that_drifted_are_set_right_and_told(used, reserved, report, company_folder, api_as, caplog):
    promise(api_as("uploader"), company_folder, b"x" * 500, "notes.txt")
    Folder.objects.filter(pk=company_folder.pk).update(used_bytes=used, reserved_bytes=reserved)

    assert tasks.recalculate_quotas() == 1

    assert space(company_folder) == (report.size_bytes, 500)
    event = events().get()
    assert (event.target_id, event.folder_slug, event.actor) == (str(company_folder.pk), "baobab-files", None)
    assert event.detail["before"] == {"used_bytes": used, "reserved_bytes": reserved}
    assert event.detail["after"] == {"used_bytes": report.size_bytes, "reserved_bytes": 500}
    assert "baobab-files" in caplog.text
    assert tasks.recalculate_quotas() == 0


def test_each_folder_is_repaired_for_itself(report, company_folder, people):
    right, empty = FolderFactory(), FolderFactory(used_bytes=12, reserved_bytes=34)
    store_file(user=people["super"], folder=right)
    Folder.objects.filter(pk=company_folder.pk).update(used_bytes=0)
    kept = space(right)

    repaired = quotas.recalculate().repaired

    assert {event.target_id for event in repaired} == {str(company_folder.pk), str(empty.pk)}
    assert (space(right), space(empty), space(company_folder)) == (kept, (0, 0), (report.size_bytes, 0))


def test_what_lies_in_the_trash_is_counted_until_it_is_purged(report, company_folder, people, commits):
    files.delete(user=people["uploader"], file_id=report.pk)
    assert quotas.recalculate().repaired == []
    assert space(company_folder) == (report.size_bytes, 0)

    with commits():
        files.purge(user=people["uploader"], file_id=report.pk)

    assert space(company_folder) == (0, 0)
    assert quotas.recalculate().repaired == []
    assert space(company_folder) == (0, 0)


def test_the_space_of_what_expires_or_is_abandoned_is_free_again(people, company_folder, api_as, commits):
    long_ago = timezone.now() - timedelta(days=1)
    promise(api_as("uploader"), company_folder, b"x" * 500, "notes.txt")
    expired = store_file(user=people["uploader"], folder=company_folder)
    kept = store_file(user=people["uploader"], folder=company_folder)
    File.objects.filter(pk=expired.pk).update(expires_at=long_ago)
    Upload.objects.update(expires_at=long_ago)
    assert space(company_folder) == (expired.size_bytes + kept.size_bytes, 500)

    with commits():
        tasks.remove_expired_files()
        tasks.remove_abandoned_uploads()

    assert space(company_folder) == (kept.size_bytes, 0) == true_sums(company_folder)


@pytest.mark.local
@pytest.mark.parametrize("more", [-3, 1000])
def test_an_object_of_another_length_is_told_and_its_file_stays_as_it_was_uploaded(
    more, report, company_folder, caplog
):
    body = b"x" * (report.size_bytes + more)
    get_store().write(report.object_key, io.BytesIO(body), size_limit=len(body))

    done = quotas.recalculate()

    assert (done.damaged, done.repaired) == ([report], [])
    uploaded = (report.size_bytes, report.sha256, report.crc32)
    report.refresh_from_db()
    assert (report.size_bytes, report.sha256, report.crc32) == uploaded, "so that verify_store tells, and a backup"
    assert space(company_folder) == (report.size_bytes, 0)
    assert [record.levelname for record in caplog.records if str(report.pk) in record.getMessage()] == ["ERROR"]
    with pytest.raises(CommandError, match="1 objects are damaged"):
        call_command("recalculate_quotas")


def test_an_object_that_lost_all_its_bytes_is_an_error_and_changes_nothing(report, company_folder, caplog):
    get_store().write(report.object_key, io.BytesIO(b""), size_limit=0)

    assert quotas.recalculate().repaired == []

    assert space(company_folder) == (report.size_bytes, 0)
    assert [record.levelname for record in caplog.records if str(report.pk) in record.getMessage()] == ["ERROR"]


def test_objects_without_a_row_and_rows_without_an_object_are_left_to_the_reconciliation(report, company_folder):
    get_store().delete(report.object_key)
    get_store().write("files/baobab-files/nobodys/a.txt", io.BytesIO(b"words"), size_limit=5)

    done = quotas.recalculate()

    assert (done.objects, done.repaired) == (1, [])
    assert space(company_folder) == (report.size_bytes, 0)


def test_the_command_tells_what_it_repaired(report, company_folder):
    Folder.objects.filter(pk=company_folder.pk).update(used_bytes=0)
    out, err = io.StringIO(), io.StringIO()

    call_command("recalculate_quotas", stdout=out, stderr=err)

    told = out.getvalue()
    assert f"folder {company_folder.pk} (Baobab): used_bytes 0 → {report.size_bytes}, reserved_bytes 0 → 0" in told
    assert told.endswith(f"Objects: 1; folders: {Folder.objects.count()}; repaired: 1.\n")
    assert err.getvalue() == "Comparing: 1 objects\n"


@REAL_TRANSACTIONS
@pytest.mark.parametrize("drift", [0, 5000])
def test_uploads_and_deletions_meanwhile_are_counted_right(drift, people, company_folder):
    """Repairs race with uploads and deletions: at the end the sums are exactly those of the rows."""
    user = people["uploader"]
    Folder.objects.filter(pk=company_folder.pk).update(used_bytes=drift, reserved_bytes=drift)
    place = uploads.Place(Folder.objects.get(pk=company_folder.pk), None)

    def work(number):
        chance = random.Random(number)
        for turn in range(12):
            size = chance.randrange(1, 400)
            if number < 2:
                repaired.extend(quotas.recalculate().repaired)
            elif number < 4:
                facts = {"filename": "a.txt", "size_bytes": size, "content_type": ""}
                upload = uploads.initiate(user=user, place=place, **facts)
                if turn % 3:
                    uploads.abort(user=user, file_id=upload.pk)
            else:
                file = store_file(user=user, folder=place.folder, filename="b.txt", content=b"x" * size)
                if turn % 3:
                    files.delete(user=user, file_id=file.pk)
                    files.purge(user=user, file_id=file.pk)

    repaired = []
    at_once(6, work)

    assert len(repaired) == (1 if drift else 0), "one repair of the drift, and none of what was right"
    used, reserved = space(company_folder)
    assert (used, reserved) == true_sums(company_folder)
    assert used > 0
    assert reserved > 0
    assert quotas.recalculate().repaired == []
