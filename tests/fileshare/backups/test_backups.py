"""Backups are made under load, and restored whole or not at all; and the check of the store against the rows."""

import gzip
import io
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import pytest
from django.contrib.auth.models import Permission
from django.contrib.contenttypes.models import ContentType
from django.core.files.storage import default_storage
from django.core.management import CommandError, call_command
from django.db import connection, connections
from django.db.migrations.recorder import MigrationRecorder
from django.utils import timezone
from PIL import Image
from rest_framework.test import APIClient

from accounts.models import Company, Role, Session, User
from accounts.people import avatars
from audit import triggers
from audit.models import Event
from config.progress import Progress
from fileshare import files, tasks
from fileshare.backups import BackupBusy, BackupRefused, dump, making, objects, restoring, shelf
from fileshare.contributions import schedule
from fileshare.models import File, Folder, PermissionType, Upload
from fileshare.storage import get_store
from tests.environments import settings_of
from tests.factories import PASSWORD, CompanyFactory, UserFactory, grant, store_file
from tests.fileshare.helpers import REAL_TRANSACTIONS, content
from tests.migrated import migrate
from tests.servers import use_bucket

PROJECT = Path(__file__).resolve().parents[3]
pytestmark = [REAL_TRANSACTIONS, pytest.mark.local, pytest.mark.both]


@pytest.fixture
def folder(tmp_path):
    """The folder for backups and copies of objects."""
    (tmp_path / "backups").mkdir()
    return str(tmp_path / "backups")


@pytest.fixture
def in_a_bucket(settings, s3_bucket):
    """Keep files and pictures in S3."""
    use_bucket(settings, s3_bucket.endpoint_url, s3_bucket.name)
    empty_store()
    yield
    empty_store()


@pytest.fixture(params=["local", pytest.param("s3", marks=pytest.mark.s3)])
def either_store(request):
    """Run the test on disk and in S3."""
    if request.param == "s3":
        request.getfixturevalue("in_a_bucket")


@pytest.fixture
def stamps(monkeypatch):
    """The stamps of the next backups, in order, instead of the time."""
    names = [f"202601{day:02}T013000Z" for day in range(1, 10)]
    left = iter(names)
    monkeypatch.setattr(shelf.Shelf, "new_stamp", lambda place: next(left))
    return names


def back_up(to, **options):
    return making.make(to=to, stream=io.StringIO(), **options)


def put_back(place, which=shelf.LATEST, **options):
    return restoring.restore(place=shelf.open_shelf(place), which=which, stream=io.StringIO(), **options)


def empty_store():
    store = get_store()
    for key in [key for key, *_facts in store.list("")]:
        store.delete(key)


def wipe():
    """Delete all rows but those of a new portal, all objects and all pictures."""
    for name in User.objects.exclude(avatar="").values_list("avatar", flat=True):
        default_storage.delete(name)
    call_command("flush", interactive=False, verbosity=0)
    empty_store()


def stored(file):
    with get_store().open(file.object_key) as stream:
        return stream.read()


def dumped():
    """The database as the lines of a dump, without the header, which contains the time."""
    out = io.BytesIO()
    with dump.snapshot() as using, Progress(io.StringIO(), "Database") as progress:
        dump.write(out, using=using, progress=progress)
    return gzip.decompress(out.getvalue()).splitlines()[1:]


def lines_of(folder, name):
    """The lines of a part of the only backup in the folder."""
    (path,) = Path(folder, "objects", "backups").glob(f"*/{name}")
    return gzip.decompress(path.read_bytes()).splitlines()


def spoil(path):
    """Change a byte in the middle of the file; its size and times stay."""
    before, times = bytearray(path.read_bytes()), path.stat()
    before[len(before) // 2] ^= 1
    path.write_bytes(before)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


@contextmanager
def refused(words):
    """Expect BackupRefused with a message that the pattern `words` matches."""
    with pytest.raises(BackupRefused) as told:
        yield
    assert re.search(words, told.value.message)


def command(name, *args):
    out = io.StringIO()
    call_command(name, *args, stdout=out, stderr=io.StringIO())
    return out.getvalue()


def in_a_process(module, *args, **environment):
    """Run a module of the project, by default with this test's database and store."""
    parts = urlsplit(os.environ.get("DATABASE_URL", "sqlite:///"))
    name = connection.settings_dict["NAME"]
    environment = {
        **os.environ,
        "DATABASE_URL": urlunsplit(parts._replace(path=f"/{name}")) if parts.netloc else f"sqlite:///{name}",
        "DATA_DIR": str(get_store().root.removesuffix("/store")),
        **environment,
    }
    return subprocess.run(
        [sys.executable, "-m", module, *args], cwd=PROJECT, env=environment, capture_output=True, text=True, timeout=120
    )


def a_portal(people, folder):
    """Make rows of every kind; returns {file id: its bytes}."""
    uploader = people["uploader"]
    grant(folder, PermissionType.DOWNLOAD, role=Role.objects.get(name="ops"))
    Role.objects.get(name="ops").permissions.add(Permission.objects.get(codename="view_folder"))
    first, second = (store_file(user=uploader, folder=folder, tag_names=["q3", "käse"]) for _ in range(2))
    # Like an upload in parts that the checksum task has not read yet.
    File.objects.filter(pk=second.pk).update(sha256="", crc32=None)
    trashed = store_file(user=uploader, folder=folder)
    files.delete(user=uploader, file_id=trashed.pk)
    picture = io.BytesIO()
    Image.new("RGB", (300, 300), "teal").save(picture, "PNG")
    picture.seek(0)
    avatars.set_avatar(user=people["client"], image=picture)
    with triggers.lifted():
        Event.objects.update(address="2001:db8::7", detail={"größe": [1, 2.5, None, {"a": "\u2028"}]})
    return {file.pk: stored(file) for file in (first, second, trashed)}


class Writers:
    """Threads that upload, tag, delete and purge files until the block ends."""

    def __init__(self, user, folder, count=3):
        self.acknowledged = {}
        self._faults = []
        self._user, self._folder = user, folder
        self._stop, self._busy = threading.Event(), threading.Barrier(count + 1)
        self._threads = [threading.Thread(target=self._run) for _ in range(count)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        self._busy.wait(60)
        return self

    def __exit__(self, *exception):
        self._stop.set()
        for thread in self._threads:
            thread.join(60)
        assert not self._faults

    def _run(self):
        try:
            kept = store_file(user=self._user, folder=self._folder)
            self.acknowledged[kept.pk] = stored(kept)
            self._busy.wait(60)
            while not self._stop.is_set():
                file = store_file(user=self._user, folder=self._folder)
                files.add_tags(user=self._user, file_id=file.pk, names=["busy", f"n{file.pk.hex[:4]}"])
                files.delete(user=self._user, file_id=file.pk)
                files.purge(user=self._user, file_id=file.pk)
        except Exception as fault:  # noqa: BLE001 - asserted in the test's thread
            self._faults.append(fault)
        finally:
            connections.close_all()


def test_the_drill(either_store, people, company_folder, folder):
    """Back up during writes, lose everything, restore: the acknowledged files are there, and users go on."""
    files_before = a_portal(people, company_folder)
    api = APIClient()
    refresh = api.post("/api/auth/login", {"email": "uploader@example.org", "password": PASSWORD}).json()["refresh"]
    picture = User.objects.get(email="client@example.org").avatar.name
    with default_storage.open(picture) as file:
        pixels = file.read()
    with Writers(people["uploader"], company_folder) as writers:
        acknowledged = {**files_before, **writers.acknowledged}
        made = back_up(folder)
    assert made.faults == []

    wipe()
    assert not File.objects.exists()
    assert list(get_store().list("files/")) == []
    done = put_back(folder)

    connection.check_constraints()
    assert {file.pk: stored(file) for file in File.objects.filter(pk__in=acknowledged)} == acknowledged
    # The restore names exactly the files whose objects are missing.
    told = {key for key, _fault in done.wrong}
    assert {file.object_key for file in File.objects.all() if get_store().head(file.object_key) is None} == told
    # The backup shows all tables at one moment, so the sums agree with the rows.
    caught = Folder.objects.get(slug="baobab-files")
    assert caught.used_bytes == sum(caught.files.values_list("size_bytes", flat=True))
    assert caught.reserved_bytes == sum(Upload.objects.filter(folder=caught).values_list("size_bytes", flat=True))
    with default_storage.open(picture) as file:
        assert file.read() == pixels

    assert api.post("/api/auth/refresh", {"refresh": refresh}).status_code == 200
    login = api.post("/api/auth/login", {"email": "uploader@example.org", "password": PASSWORD})
    api.credentials(HTTP_AUTHORIZATION=f"Bearer {login.json()['access']}")
    kept = next(iter(files_before))
    assert [tag["name"] for tag in api.get(f"/api/files/{kept}").json()["tags"]] == ["käse", "q3"]
    assert api.get("/api/fileshare/folders").status_code == 200
    link = api.get(f"/api/client/download/{kept}")
    assert link.status_code == 200
    if get_store().__class__.__name__ == "LocalStore":
        assert content(api.get(link.json()["download-link"])) == files_before[kept]


def test_the_same_rows_give_the_same_dump_to_the_bit(people, company_folder, folder):
    a_portal(people, company_folder)
    Session.objects.create(key_hash="a", session_data="b", expire_date=timezone.now())
    before = dumped()
    assert len(before) > 60
    back_up(folder)
    wipe()
    Session.objects.create(key_hash="a", session_data="b", expire_date=timezone.now())

    put_back(folder)

    assert dumped() == before
    assert not Session.objects.exists(), "who was logged in logs in again"


def test_ids_go_on_after_the_restored_ones(people, folder):
    back_up(folder)
    wipe()
    put_back(folder)

    role = Role.objects.create(name="auditors")
    role.permissions.add(Permission.objects.first())
    people["client"].groups.add(role)

    assert role.pk == max(Role.objects.values_list("pk", flat=True))
    assert set(ContentType.objects.get_for_model(File).permission_set.values_list("codename", flat=True)) >= {
        "view_file"
    }


def test_a_backup_of_one_database_fits_the_other(people, company_folder, folder, tmp_path):
    """Restore into a separate SQLite, whatever database this run has; a dump of it is the same again."""
    a_portal(people, company_folder)
    back_up(folder)
    before = lines_of(folder, shelf.DATABASE)[1:]
    elsewhere = {"DATABASE_URL": f"sqlite:///{tmp_path}/other.sqlite3", "DATA_DIR": str(tmp_path / "other")}
    (tmp_path / "again").mkdir()

    migrate(os.environ | elsewhere)
    for args in (
        ["restore", folder, "--yes"],
        ["verify_store"],
        ["backup", f"--to={tmp_path / 'again'}"],
    ):
        done = in_a_process("manage", *args, **elsewhere)
        assert done.returncode == 0, done.stderr

    assert lines_of(tmp_path / "again", shelf.DATABASE)[1:] == before


@pytest.mark.postgres
def test_a_backup_made_on_sqlite_is_restored_on_postgresql(folder, tmp_path):
    elsewhere = {"DATABASE_URL": f"sqlite:///{tmp_path}/other.sqlite3", "DATA_DIR": str(tmp_path / "other")}
    migrate(os.environ | elsewhere)
    for args in (["seed_demo"], ["backup", f"--to={folder}"]):
        done = in_a_process("manage", *args, **elsewhere)
        assert done.returncode == 0, done.stderr

    done = put_back(folder)

    assert done.wrong == []
    assert dumped() == lines_of(folder, shelf.DATABASE)[1:]
    api = APIClient()
    answer = api.post("/api/auth/login", {"email": "super@demo.example", "password": "try-the-portal"})
    assert answer.status_code == 200
    with connection.cursor() as cursor:
        cursor.execute("SELECT reltuples FROM pg_class WHERE oid = 'fileshare_file'::regclass")
        assert cursor.fetchone() == (File.objects.count(),)  # the restore refreshed the statistics


def test_a_snapshot_sees_one_moment_and_holds_nobody_up(people):
    with dump.snapshot() as using:
        # These commit at once: the snapshot holds no lock that a writer would wait for.
        CompanyFactory(name="Later")
        people["client"].delete()

        assert not Company.objects.using(using).filter(name="Later").exists()
        assert User.objects.using(using).filter(email="client@example.org").exists()
        with pytest.raises(Exception, match="read-?only"):
            User.objects.using(using).update(name="Nobody")
    assert Company.objects.filter(name="Later").exists()


def test_a_portal_with_users_is_replaced_on_request_only(people, folder):
    back_up(folder)
    UserFactory(email="later@example.org")

    with refused("--replace"):
        put_back(folder)
    assert User.objects.filter(email="later@example.org").exists()

    put_back(folder, replace=True)
    assert not User.objects.filter(email="later@example.org").exists()
    assert User.objects.count() == len(people)


def test_a_backup_of_other_tables_is_refused_and_the_difference_named(people, folder):
    back_up(folder)
    before = dumped()
    MigrationRecorder.Migration.objects.create(app="fileshare", name="9999_later", applied=timezone.now())
    try:
        with refused("fileshare is at 0.* in the backup and at 9999_later here"):
            put_back(folder, replace=True)
        assert dumped() == before
    finally:
        MigrationRecorder.Migration.objects.filter(name="9999_later").delete()


@pytest.mark.parametrize("name", [shelf.DATABASE, shelf.MANIFEST])
def test_a_damaged_backup_is_refused_before_anything_changes(name, people, folder):
    back_up(folder)
    before = dumped()
    (path,) = Path(folder, "objects", "backups").glob(f"*/{name}")
    spoil(path)

    with refused("damaged"):
        put_back(folder, replace=True)
    path.unlink()
    with refused("lost"):
        put_back(folder, replace=True)

    assert dumped() == before


def test_rows_that_name_rows_which_are_not_there_are_not_loaded(people, folder):
    """A dump that was edited, with its checksum, is also restored whole or not at all."""
    back_up(folder)
    before = dumped()
    lines = lines_of(folder, shelf.DATABASE)
    start_of_users = next(n for n, line in enumerate(lines) if b'"model":"accounts.user"' in line)
    del lines[start_of_users + 1]
    counts = json.loads(lines[-1])
    counts["rows"]["accounts.user"] -= 1
    with pytest.raises(Exception, match=r"(?i)foreign key"):
        put_edited(folder, [*lines[:-1], json.dumps(counts).encode()])
    with refused("not whole"):
        put_edited(folder, lines[:-1])

    assert dumped() == before


def put_edited(folder, lines):
    (part,) = Path(folder, "objects", "backups").glob(f"*/{shelf.DATABASE}")
    summary = part.with_name(shelf.SUMMARY)
    part.write_bytes(gzip.compress(b"\n".join(lines) + b"\n"))
    facts = json.loads(summary.read_text())
    facts["database"]["sha256"] = sha256(part.read_bytes()).hexdigest()
    summary.write_text(json.dumps(facts))
    put_back(folder, replace=True)


def test_a_backup_without_its_summary_is_never_chosen(people, folder, stamps):
    back_up(folder)
    UserFactory(email="later@example.org")
    back_up(folder)
    Path(folder, "objects", "backups", stamps[1], shelf.SUMMARY).unlink()

    assert shelf.open_shelf(folder).find(shelf.LATEST)[0] == stamps[0]
    with refused(f"{stamps[1]}.*there are: {stamps[0]}"):
        put_back(folder, stamps[1])
    put_back(folder, replace=True)
    assert not User.objects.filter(email="later@example.org").exists()


def test_what_is_no_backup_is_refused(people, folder, settings):
    for place, words in ((folder, "no complete backup"), ("", "no complete backup"), (f"{folder}/none", "no folder")):
        with refused(words):
            put_back(place)
    with refused("no folder"):
        back_up(f"{folder}/none")
    assert get_store().root == str(settings.DATA_DIR / "store")
    with refused("object store"):
        back_up(settings.DATA_DIR / "store")


@pytest.mark.parametrize(
    "line", [b'{"key": "backups/x"}', b'{"key": "../etc/passwd"}', b'{"key": 1}', b"[]", b"{", b'{"no": 1}']
)
def test_a_manifest_names_files_and_pictures_only(line):
    with refused("no file of the portal's"):
        list(objects.read_manifest(io.BytesIO(gzip.compress(line + b"\n"))))


def test_the_newest_stay_and_copies_that_none_of_them_names_go(people, company_folder, folder, stamps):
    gone, kept = (store_file(user=people["uploader"], folder=company_folder) for _ in range(2))
    back_up(folder)
    files.delete(user=people["uploader"], file_id=gone.pk)
    files.purge(user=people["uploader"], file_id=gone.pk)
    later = back_up(folder)
    files.delete(user=people["uploader"], file_id=kept.pk)
    files.purge(user=people["uploader"], file_id=kept.pk)
    assert later.summary["copied"] == 0
    copies = shelf.open_shelf(folder).store
    assert copies.head(gone.object_key)

    made = back_up(folder, keep=2)

    assert made.pruned == [stamps[0]]
    assert list(shelf.open_shelf(folder).stamps()[0]) == stamps[1:3]
    assert copies.head(gone.object_key) is None
    assert copies.head(kept.object_key), "the second backup still names it"


def test_a_backup_that_was_cut_short_goes_after_a_day(people, folder, stamps):
    for _ in range(2):
        back_up(folder)
    for stamp in stamps[:2]:
        Path(folder, "objects", "backups", stamp, shelf.SUMMARY).unlink()
    for path in Path(folder, "objects", "backups", stamps[0]).iterdir():
        os.utime(path, (time.time() - 90_000,) * 2)

    made = back_up(folder, keep=1)

    assert made.pruned == [stamps[0]]
    assert shelf.open_shelf(folder).stamps()[1].keys() == {stamps[1]}


def test_copies_are_not_thrown_away_by_a_list_that_is_damaged(people, report, folder, stamps):
    back_up(folder)
    path = Path(folder, "objects", "backups", stamps[0], shelf.MANIFEST)
    spoil(path)

    with refused("damaged"):
        back_up(folder)

    assert shelf.open_shelf(folder).store.head(report.object_key)
    assert shelf.open_shelf(folder).find(shelf.LATEST)[0] == stamps[1]


def test_a_backup_into_the_store_leaves_the_bytes_where_they_are(either_store, people, report, folder):
    made = back_up("")
    before = stored(report)
    call_command("flush", interactive=False, verbosity=0)

    done = put_back("", made.stamp)

    assert (done.copied, done.wrong) == (0, [])
    assert stored(File.objects.get()) == before
    assert {key.split("/")[0] for key, *_facts in get_store().list("")} == {"backups", "files"}


def test_a_file_deleted_while_objects_are_copied_is_noted(people, company_folder, folder, monkeypatch):
    gone, kept = (store_file(user=people["uploader"], folder=company_folder) for _ in range(2))
    list_rows = objects.list_rows

    def delete_afterwards(*args, **kwargs):
        found = list_rows(*args, **kwargs)
        files.delete(user=people["uploader"], file_id=gone.pk)
        files.purge(user=people["uploader"], file_id=gone.pk)
        return found

    monkeypatch.setattr(objects, "list_rows", delete_afterwards)
    made = back_up(folder)

    assert (made.faults, made.summary["missing"]) == ([], 1)
    missing = {entry["key"]: entry["missing"] for entry in map(json.loads, lines_of(folder, shelf.MANIFEST))}
    assert missing == {gone.object_key: True, kept.object_key: False}
    wipe()
    done = put_back(folder)
    assert [key for key, _fault in done.wrong] == [gone.object_key]


def test_bytes_that_are_not_what_was_uploaded_are_neither_copied_nor_put_back(people, company_folder, folder, stamps):
    bad, lost, fine = (store_file(user=people["uploader"], folder=company_folder) for _ in range(3))
    spoil(Path(get_store().root, "objects", bad.object_key))
    get_store().delete(lost.object_key)

    with pytest.raises(CommandError) as told:
        command("backup", f"--to={folder}")

    assert bad.object_key in str(told.value)
    assert lost.object_key in str(told.value)
    copies = shelf.open_shelf(folder).store
    assert [key for key, *_facts in copies.list("files/")] == [fine.object_key]
    spoil(Path(copies.root, "objects", fine.object_key))
    wipe()
    done = put_back(folder)
    assert {key for key, _fault in done.wrong} == {bad.object_key, lost.object_key, fine.object_key}
    assert list(get_store().list("files/")) == []


def test_objects_alone_can_be_put_back(people, report, folder):
    back_up(folder)
    before = stored(report)
    empty_store()
    UserFactory(email="later@example.org")

    assert "1 objects put back" in command("restore", folder, "--yes", "--objects-only")
    assert "0 objects put back" in command("restore", folder, "--yes", "--objects-only")

    assert stored(report) == before
    assert User.objects.filter(email="later@example.org").exists()


def test_nothing_is_restored_without_a_yes(people, folder):
    back_up(folder)
    UserFactory(email="later@example.org")

    with pytest.raises(CommandError, match="--yes"):
        command("restore", "latest", f"--from={folder}", "--replace")

    assert User.objects.filter(email="later@example.org").exists()


def test_a_wrong_number_to_keep_is_refused(people, folder):
    with pytest.raises(CommandError, match="1 or more"):
        command("backup", f"--to={folder}", "--keep=0")
    with pytest.raises(CommandError, match="no folder"):
        command("backup", f"--to={folder}/none")


@pytest.mark.parametrize("args", [[], ["--quick"]])
def test_verify_store_names_what_is_missing_short_or_altered(args, people, company_folder):
    fine, missing, short, altered = (store_file(user=people["uploader"], folder=company_folder) for _ in range(4))
    assert "as the database says" in command("verify_store", *args)
    root = Path(get_store().root, "objects")
    get_store().delete(missing.object_key)
    (root / short.object_key).write_bytes(b"short")
    spoil(root / altered.object_key)
    out = io.StringIO()

    with pytest.raises(CommandError) as told:
        call_command("verify_store", *args, stdout=out, stderr=io.StringIO())

    assert told.value.returncode == 1
    found = dict(line.split(": ", 1) for line in out.getvalue().splitlines())
    assert found.pop(missing.object_key) == "its bytes are missing"
    assert found.pop(short.object_key) == f"it has 5 bytes instead of {short.size_bytes}"
    if not args:
        assert found.pop(altered.object_key) == "its bytes are not those that were uploaded"
    assert found == {}, "and nothing else"
    assert stored(fine)


def test_one_at_a_time(people, folder, settings, monkeypatch):
    monkeypatch.setattr(shelf, "LOCK_PATIENCE_SECONDS", 0)
    settings.BACKUP_TO = folder
    with shelf.one_at_a_time():
        for act in (lambda: back_up(folder), lambda: put_back(folder)):
            with pytest.raises(BackupBusy):
                act()
        tasks.back_up()
    assert shelf.open_shelf(folder).stamps() == ({}, {})

    tasks.back_up()
    assert len(shelf.open_shelf(folder).stamps()[0]) == 1


POINTS = {
    "rows": "fileshare.backups.dump:write 1",
    "first object": "fileshare.backups.objects:copy_out 1",
    "second object": "fileshare.backups.objects:copy_out 2",
    "dump": "fileshare.backups.shelf:Shelf.put 1",
    "manifest": "fileshare.backups.shelf:Shelf.put 2",
    "summary": "fileshare.backups.shelf:Shelf.put 3",
}


@pytest.mark.parametrize("point", POINTS.values(), ids=POINTS)
def test_a_backup_killed_anywhere_is_no_backup(point, people, company_folder, folder):
    store_file(user=people["uploader"], folder=company_folder)
    store_file(user=people["uploader"], folder=company_folder)

    done = in_a_process("tests.fileshare.backups.backup_crash", "backup", folder, *point.split())

    assert done.returncode == -signal.SIGKILL, done.stderr
    with refused("no complete backup"):
        put_back(folder)
    made = back_up(folder)
    assert made.summary["missing"] == 0
    assert list(shelf.open_shelf(folder).stamps()[0]) == [made.stamp]


RESTORE_POINTS = {
    "rows": "fileshare.backups.dump:_insert 12",
    "commit": "django.db:connection.check_constraints 1",
    "second object": "fileshare.backups.objects:copy_back 2",
}


@pytest.mark.parametrize("point", RESTORE_POINTS.values(), ids=RESTORE_POINTS)
def test_a_restore_killed_anywhere_is_begun_again(point, people, company_folder, folder):
    acknowledged = a_portal(people, company_folder)
    back_up(folder)
    before = dumped()
    wipe()
    UserFactory(email="later@example.org")
    empty = dumped()

    done = in_a_process("tests.fileshare.backups.backup_crash", "restore", folder, *point.split())

    assert done.returncode == -signal.SIGKILL, done.stderr
    assert dumped() == (before if "copy_back" in point else empty)
    assert put_back(folder, replace=True).wrong == []
    assert dumped() == before
    assert {file.pk: stored(file) for file in File.objects.all()} == acknowledged


@pytest.mark.parametrize(
    ("changes", "scheduled"),
    [
        ({}, False),
        ({"BACKUP_TO": "/srv/backups"}, True),
        ({"STORAGE": "s3", "S3_FILESHARE_BUCKET": "portal-files"}, True),
        ({"BACKUP_SCHEDULED": "1"}, True),
        ({"BACKUP_TO": "/srv/backups", "BACKUP_SCHEDULED": "0"}, False),
    ],
)
def test_backups_are_scheduled_where_they_fill_nobodys_laptop(changes, scheduled, tmp_path, settings):
    settings.BACKUP_SCHEDULED = settings_of(tmp_path, **changes).BACKUP_SCHEDULED

    assert settings.BACKUP_SCHEDULED is scheduled
    assert ("back up" in schedule.jobs()) is scheduled
