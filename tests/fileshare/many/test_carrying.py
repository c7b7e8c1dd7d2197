"""The bytes of moved files come to keys under their new folders; killed anywhere, a file keeps its bytes."""

import datetime as dt
import io
import os
import uuid

import pytest
from django.core.management import call_command
from django.utils import timezone

from fileshare import files, tasks
from fileshare.backups import objects as backup_objects
from fileshare.many import carrying, moving
from fileshare.models import File, FolderPermission
from fileshare.outgoing import archives
from fileshare.sharing import shares
from fileshare.space import quotas
from fileshare.storage import ObjectMissing, StoreUnavailable, get_store
from fileshare.storage.local import LocalStore
from fileshare.upkeep import lifecycle, reconcile
from tests.factories import store_file
from tests.fileshare.helpers import content, objects
from tests.servers import new_bucket, use_bucket

pytestmark = pytest.mark.django_db
DAY = dt.timedelta(days=1)


@pytest.fixture(params=["local", pytest.param("s3", marks=pytest.mark.s3)])
def store(request, settings):
    """The store of the test: a folder or a bucket."""
    if request.param == "local":
        settings.STORAGE, settings.S3_ENDPOINT_URL = "local", ""
    else:
        bucket = new_bucket(request.getfixturevalue("s3_server"))
        use_bucket(settings, bucket.endpoint_url, bucket.name)
    return get_store()


@pytest.fixture
def moved(store, people, company_folder, target):
    """A file that was moved from the company folder to the target; its bytes are where they were."""
    file = store_file(user=people["uploader"], folder=company_folder, filename="Résumé 2.txt", content=b"a" * 100)
    moving.move(user=people["uploader"], file_ids=[file.pk], folder_id=target.pk)
    return File.objects.get(pk=file.pk)


def bytes_of(file):
    return b"".join(get_store().read_range(file.object_key, 0, file.size_bytes))


def age(key, hours):
    """Make an object of the local store old."""
    path = get_store()._path(get_store()._objects, key)
    then = timezone.now().timestamp() - hours * 3600
    os.utime(path, (then, then))


def test_the_bytes_follow_to_a_key_of_the_new_folder(moved, commits):
    old = moved.object_key
    assert bytes_of(moved) == b"a" * 100

    with commits():
        assert tasks.carry_moved_files() == 1

    now = File.objects.get(pk=moved.pk)
    assert now.object_key == moved.next_key
    assert now.object_key.startswith(f"files/savanna-files/{moved.pk}/")
    assert now.object_key.endswith("-Resume-2.txt")
    assert now.next_key is None
    assert bytes_of(now) == b"a" * 100
    assert old not in objects("files/")
    assert objects("files/") == [now.object_key]
    assert tasks.carry_moved_files() == 0


def test_a_move_asks_for_the_task(people, company_folder, target, commits, monkeypatch):
    asked = []
    monkeypatch.setattr("config.outside.queue.app.send_task", lambda task, **options: asked.append(task))
    file = store_file(user=people["uploader"], folder=company_folder, filename="a.txt", content=b"a")
    with commits():
        moving.move(user=people["uploader"], file_ids=[file.pk], folder_id=target.pk)

    assert "fileshare.tasks.carry_moved_files" in asked


def test_a_file_can_be_downloaded_before_and_after(moved, api_as, commits):
    api = api_as("uploader")

    def download():
        return content(api.get(api.get(f"/api/client/download/{moved.pk}").json()["download-link"]))

    before = download()
    with commits():
        carrying.carry_all()
    assert download() == before == b"a" * 100


@pytest.mark.local
def test_an_old_url_gives_the_same_bytes(people, company_folder, target, api_as, commits):
    file = store_file(user=people["uploader"], folder=company_folder, filename="a.txt", content=b"a" * 100)
    api = api_as("uploader")
    url = api.post(f"/api/fileshare/download/{file.pk}").json()["download_url"]
    moving.move(user=people["uploader"], file_ids=[file.pk], folder_id=target.pk)
    assert content(api.get(url.removeprefix("http://localhost:8000"))) == b"a" * 100
    with commits():
        carrying.carry_all()

    assert content(api.get(url.removeprefix("http://localhost:8000"))) == b"a" * 100
    FolderPermission.objects.filter(folder=target, permission_type="download").delete()
    assert api.get(url.removeprefix("http://localhost:8000")).status_code == 404


@pytest.mark.local
def test_a_download_by_a_link_goes_on(client, people, company_folder, target, commits):
    """Its one use is spent, so the recipient cannot begin anew."""
    uploader = people["uploader"]
    file = store_file(user=uploader, folder=company_folder, filename="a.txt", content=b"a" * 100)
    link = shares.create(user=uploader, file_id=file.pk, permission="download", expires_in=DAY, max_downloads=1)[0]
    url = client.post(f"/share/{link.token}/download")["Location"]
    assert content(client.get(url, headers={"Range": "bytes=0-9"})) == b"a" * 10
    moving.move(user=uploader, file_ids=[file.pk], folder_id=target.pk)
    with commits():
        carrying.carry_all()

    rest = client.get(url, headers={"Range": "bytes=10-"})

    assert (rest.status_code, content(rest)) == (206, b"a" * 90)


def test_a_zip_that_is_being_sent_goes_on(store, people, company_folder, target, commits):
    files_of = [
        store_file(user=people["uploader"], folder=company_folder, filename=f"{n}.txt", content=b"a") for n in range(20)
    ]
    stream = archives.make(user=people["uploader"], file_ids=[file.pk for file in files_of])
    whole = b"".join(stream.read(0, stream.size_bytes))
    sent = archives.again(user=people["uploader"], archive_id=stream.archive.pk).read(0, stream.size_bytes)
    begun = next(sent)
    moving.move(user=people["uploader"], file_ids=[file.pk for file in files_of], folder_id=target.pk)
    with commits():
        assert carrying.carry_all() == 20

    assert begun + b"".join(sent) == whole


def test_a_zip_with_lost_bytes_ends(store, people, company_folder):
    file = store_file(user=people["uploader"], folder=company_folder, filename="a.txt", content=b"a")
    stream = archives.make(user=people["uploader"], file_ids=[file.pk])
    get_store().delete(file.object_key)

    with pytest.raises(ObjectMissing):
        list(stream.read(0, stream.size_bytes))


# --- Killed ---------------------------------------------------------------------------------------------


def test_killed_behind_the_copy_the_next_run_goes_on(moved, monkeypatch, commits):
    monkeypatch.setattr(carrying, "_switch", lambda file: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        carrying.carry_all()
    monkeypatch.undo()
    assert set(objects("files/")) == {moved.object_key, moved.next_key}
    assert bytes_of(File.objects.get(pk=moved.pk)) == b"a" * 100

    with commits():
        assert carrying.carry_all() == 1
    assert objects("files/") == [moved.next_key]


def test_killed_behind_the_copy_the_old_object_may_go(moved, commits):
    """As by the bucket's rule for the old folder, or by whoever deletes its objects."""
    get_store().copy(moved.object_key, moved.next_key, moves=True)
    get_store().delete(moved.object_key)

    with commits():
        assert carrying.carry_all() == 1

    now = File.objects.get(pk=moved.pk)
    assert (now.object_key, now.next_key) == (moved.next_key, None)
    assert bytes_of(now) == b"a" * 100


def test_an_object_of_another_length_is_not_carried(moved, commits):
    get_store().write(moved.next_key, io.BytesIO(b"a" * 99), size_limit=99)
    get_store().delete(moved.object_key)

    with commits():
        assert carrying.carry_all() == 0

    assert list(File.objects.to_carry()) == [moved]


@pytest.mark.parametrize("store", ["local"], indirect=True)
def test_a_copy_on_its_way_is_no_orphan_however_old(moved, monkeypatch):
    age(moved.object_key, hours=100)
    get_store().copy(moved.object_key, moved.next_key, moves=True)
    monkeypatch.setattr(reconcile.inventory, "BATCH", 1)  # the two keys are looked up apart

    found = reconcile.reconcile()

    assert (found.orphans, found.removed, found.adopted, found.missing_count) == (0, 0, 0, 0)
    assert set(objects("files/")) == {moved.object_key, moved.next_key}


@pytest.mark.parametrize("store", ["local"], indirect=True)
def test_what_was_carried_during_the_walk_is_neither_removed_nor_missing(moved, monkeypatch, commits):
    age(moved.object_key, hours=100)
    listed = reconcile.inventory.stored

    def slowly():
        entries = list(listed())
        with commits():
            carrying.carry_all()
        age(moved.next_key, hours=100)
        yield from entries

    monkeypatch.setattr(reconcile.inventory, "stored", slowly)

    found = reconcile.reconcile()

    assert (found.missing_count, found.removed) == (0, 0)
    assert bytes_of(File.objects.get(pk=moved.pk)) == b"a" * 100


@pytest.mark.parametrize("store", ["local"], indirect=True)
def test_what_is_carried_as_its_object_is_looked_for_is_not_missing(moved, monkeypatch, commits):
    head = get_store().head

    def late(self, key):
        monkeypatch.undo()
        with commits():
            carrying.carry_all()
        return head(key)

    monkeypatch.setattr(reconcile.inventory, "stored", lambda: iter(()))
    monkeypatch.setattr(type(get_store()), "head", late)
    File.objects.filter(pk=moved.pk).update(uploaded_at=timezone.now() - DAY)

    assert reconcile.reconcile().missing_count == 0
    assert File.objects.get(pk=moved.pk).next_key is None


def test_killed_before_the_old_object_went_it_is_an_orphan(moved, commits, settings):
    old = moved.object_key
    carrying.carry_all()  # its transaction never commits here, so what waits for the commit is not done
    assert set(objects("files/")) == {old, moved.next_key}

    settings.ORPHAN_GRACE = -DAY
    found = reconcile.reconcile()

    assert (found.removed, found.missing_count) == (1, 0)
    assert objects("files/") == [moved.next_key]


def test_moved_again_meanwhile_the_first_copy_goes(moved, people, company_folder, commits, monkeypatch):
    copied, first = get_store().copy, moved.next_key

    def overtaken(source, key, **options):
        moving.move(user=people["uploader"], file_ids=[moved.pk], folder_id=company_folder.pk)
        monkeypatch.undo()
        return copied(source, key, **options)

    monkeypatch.setattr(type(get_store()), "copy", lambda self, *names, **options: overtaken(*names, **options))
    with commits():
        assert carrying.carry_all() == 0

    file = File.objects.get(pk=moved.pk)
    assert first not in objects("files/")
    assert file.next_key not in (None, first)
    with commits():
        assert carrying.carry_all() == 1
    assert objects("files/") == [file.next_key]


def test_a_slow_worker_does_not_take_away_what_a_fast_one_carried(moved, commits, monkeypatch):
    slow = File.objects.get(pk=moved.pk)
    copied = get_store().copy

    def overtaken(source, key, **options):
        monkeypatch.undo()
        info = copied(source, key, **options)
        with commits():
            assert carrying.carry_all() == 1
        return info

    monkeypatch.setattr(type(get_store()), "copy", lambda self, *names, **options: overtaken(*names, **options))

    assert carrying._carry(slow) is False
    assert bytes_of(File.objects.get(pk=moved.pk)) == b"a" * 100


def test_a_file_that_is_purged_on_the_way_leaves_nothing(moved, people, commits, monkeypatch):
    copied = get_store().copy

    def overtaken(source, key, **options):
        monkeypatch.undo()
        info = copied(source, key, **options)
        with commits():
            files.delete(user=people["uploader"], file_id=moved.pk)
            files.purge(user=people["uploader"], file_id=moved.pk)
        return info

    monkeypatch.setattr(type(get_store()), "copy", lambda self, *names, **options: overtaken(*names, **options))
    with commits():
        assert carrying.carry_all() == 0
    assert objects("files/") == []


def test_a_store_that_fails_for_one_file_carries_the_others(people, company_folder, target, monkeypatch, commits):
    files_of = [
        store_file(user=people["uploader"], folder=company_folder, filename=f"{n}.txt", content=b"a") for n in range(5)
    ]
    moving.move(user=people["uploader"], file_ids=[file.pk for file in files_of], folder_id=target.pk)
    bad, copied = min(files_of, key=lambda file: file.pk), get_store().copy

    def failing(self, source, key, **options):
        if source == bad.object_key:
            raise StoreUnavailable
        return copied(source, key, **options)

    monkeypatch.setattr(type(get_store()), "copy", failing)
    with commits():
        assert carrying.carry_all() == 4
    assert list(File.objects.to_carry()) == [bad]
    monkeypatch.undo()
    with commits():
        assert carrying.carry_all() == 1


def test_a_store_that_is_away_is_not_asked_on_and_on(people, company_folder, target, monkeypatch):
    files_of = [
        store_file(user=people["uploader"], folder=company_folder, filename=f"{n}.txt", content=b"a") for n in range(5)
    ]
    moving.move(user=people["uploader"], file_ids=[file.pk for file in files_of], folder_id=target.pk)
    asked = []

    def away(self, source, key, **options):
        asked.append(source)
        raise StoreUnavailable

    monkeypatch.setattr(type(get_store()), "copy", away)
    with pytest.raises(StoreUnavailable):
        carrying.carry_all()
    assert len(asked) == carrying.PATIENCE
    assert File.objects.to_carry().count() == 5


# --- Clean-up, bucket rules, backups ----------------------------------------------------------------------


def test_the_buckets_rules_spare_it_under_the_old_key_and_the_new(moved, company_folder, commits):
    """It is kept for ever now; its old folder keeps for 30 days."""
    assert "files/baobab-files/" not in lifecycle.safety_net()

    with commits():
        carrying.carry_all()

    net = lifecycle.safety_net()
    assert "files/baobab-files/" in net
    assert "files/savanna-files/" not in net


def test_sizes_are_right_at_every_step(moved, commits):
    assert quotas.recalculate().repaired == []
    get_store().copy(moved.object_key, moved.next_key, moves=True)
    assert (quotas.recalculate().repaired, quotas.recalculate().damaged) == ([], [])
    with commits():
        carrying.carry_all()
    done = quotas.recalculate()
    assert (done.repaired, done.damaged) == ([], [])


def test_a_backup_under_way_gets_the_bytes_from_the_new_key(people, company_folder, target, commits, tmp_path):
    file = store_file(user=people["uploader"], folder=company_folder, filename="a.txt", content=b"a" * 100)
    entry = backup_objects.Entry(file.object_key, file.size_bytes, file.sha256, file.crc32)
    moving.move(user=people["uploader"], file_ids=[file.pk], folder_id=target.pk)
    with commits():
        carrying.carry_all()
    shelf = LocalStore(tmp_path / "shelf", fsync=False)

    copied, _is_new = backup_objects.copy_out(entry, shelf)

    assert not copied.missing
    assert b"".join(shelf.read_range(entry.key, 0, 100)) == b"a" * 100


def test_a_restored_database_finds_the_bytes_under_the_new_key(moved, commits, capsys, settings):
    """The rows of a backup from before the move know the old key."""
    old = moved.object_key
    with commits():
        carrying.carry_all()
    File.objects.filter(pk=moved.pk).update(object_key=old, next_key=None)

    settings.ORPHAN_GRACE = -DAY
    call_command("reconcile")

    file = File.objects.get(pk=moved.pk)
    assert file.object_key == moved.next_key
    assert bytes_of(file) == b"a" * 100
    assert "under another key, which they name now: 1" in capsys.readouterr().out


def test_an_object_of_another_length_is_not_taken_for_a_files(moved, commits):
    old = moved.object_key
    with commits():
        carrying.carry_all()
    File.objects.filter(pk=moved.pk).update(object_key=old, size_bytes=101)

    found = reconcile.reconcile()

    assert (found.adopted, found.missing_count) == (0, 1)


def test_a_file_whose_own_object_is_there_takes_no_other(report):
    stray = report.object_key.replace("report.docx", "other.docx")
    get_store().write(stray, io.BytesIO(b"x" * report.size_bytes), size_limit=report.size_bytes)

    found = reconcile.reconcile()

    assert found.adopted == 0
    assert File.objects.get(pk=report.pk).object_key == report.object_key


def test_a_dry_run_changes_no_row(moved, commits):
    old = moved.object_key
    with commits():
        carrying.carry_all()
    File.objects.filter(pk=moved.pk).update(object_key=old)

    assert reconcile.reconcile(dry_run=True).adopted == 0
    assert File.objects.get(pk=moved.pk).object_key == old


def test_keys_of_other_forms_have_no_file(report):
    get_store().write(f"files/odd/{uuid.uuid4()}", io.BytesIO(b"x"), size_limit=1)

    assert reconcile.reconcile().adopted == 0
