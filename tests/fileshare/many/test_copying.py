"""Copying files: what a copy has of its own, who may, and that nothing is left of a copy that failed."""

import datetime as dt

import pytest
from django.db import OperationalError, connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from audit.models import Event
from fileshare import files, holds
from fileshare.many import carrying, copying, moving
from fileshare.models import File, FolderPermission, Hold, PermissionType, ShareLink
from fileshare.sharing import shares
from fileshare.space import quotas
from fileshare.storage import StoreUnavailable, get_store
from tests.factories import FolderFactory, grant, store_file
from tests.fileshare.helpers import content, objects, refusal, space
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


def bytes_of(file):
    return b"".join(get_store().read_range(file.object_key, 0, file.size_bytes))


def test_copies_are_new_files_with_the_same_bytes(store, ask, people, target, inner, three, commits):
    files.add_tags(user=people["uploader"], file_id=three[0].pk, names=["draft"])
    shares.create(user=people["uploader"], file_id=three[0].pk, permission="view", expires_in=DAY)
    before = space(three[0].folder)

    with commits():
        answer = ask("copy", three, folder_id=target.pk, subfolder_id=inner.pk)

    assert answer.status_code == 200, answer.json()
    done = answer.json()["done"]
    assert [row["filename"] for row in done] == ["a.txt", "b.txt", "c.txt"]
    assert not {row["id"] for row in done} & {str(file.pk) for file in three}
    for source, row in zip(three, done, strict=True):
        copied = File.objects.get(pk=row["id"])
        assert bytes_of(copied) == bytes_of(source)
        assert copied.sha256 in ("", source.sha256)
        assert copied.object_key == f"files/savanna-files/tax/{copied.pk}/{source.filename}"
        assert copied.uploaded_by == people["uploader"]
        assert (copied.download_count, copied.visibility, copied.expires_at) == (0, "private", None)
    assert [tag["name"] for tag in done[0]["tags"]] == ["draft"]
    assert not ShareLink.objects.filter(file__folder=target).exists()
    assert (space(three[0].folder), space(target)) == (before, (300, 0))
    assert quotas.recalculate().repaired == []
    assert len(objects("files/")) == 6


def test_the_log_tells_of_the_source_and_of_the_copy(ask, people, target, three):
    row = ask("copy", three[:1], folder_id=target.pk).json()["done"][0]

    of_source = Event.objects.get(action="file_copied")
    assert (of_source.target_id, of_source.folder_slug) == (str(three[0].pk), "baobab-files")
    assert of_source.detail == {"copy": row["id"], "after": {"folder": "Savanna", "folder_slug": "savanna-files"}}
    of_copy = Event.objects.get(action="upload", target_id=row["id"])
    assert (of_copy.actor, of_copy.folder_slug, of_copy.size_bytes) == (people["uploader"], "savanna-files", 100)
    assert of_copy.detail == {"copy_of": str(three[0].pk)}


def test_the_copier_is_the_uploader(ask, people, company_folder, three):
    """The colleague may download the files, and upload to a folder of their own."""
    mine = FolderFactory(retention_days=7)
    grant(mine, PermissionType.UPLOAD, user=people["colleague"])

    row = ask("copy", three[:1], who="colleague", folder_id=mine.pk).json()["done"][0]

    assert row["uploaded_by"]["id"] == str(people["colleague"].pk)
    file = File.objects.get(pk=row["id"])
    assert abs(file.expires_at - file.uploaded_at - 7 * DAY) < dt.timedelta(seconds=1)


def test_to_download_and_to_upload_is_asked(ask, people, company_folder, target, three, report):
    assert refusal(ask("copy", three, who="colleague", folder_id=target.pk)) == (404, "not_found")
    assert refusal(ask("copy", three, who="colleague", folder_id=company_folder.pk)) == (403, "permission_denied")
    grant(target, PermissionType.UPLOAD, user=people["client"])
    assert refusal(ask("copy", three, who="client", folder_id=target.pk)) == (404, "not_found")
    # An uploader who may no longer download sees the file, and may delete it, but gets no copy.
    FolderPermission.objects.filter(folder=company_folder, permission_type="download").delete()
    assert refusal(ask("copy", three, folder_id=target.pk)) == (403, "permission_denied")
    assert not File.objects.filter(folder=target).exists()


@pytest.mark.parametrize(("state", "code"), [("waiting", "file_waiting"), ("infected", "file_quarantined")])
def test_a_file_that_is_not_clean_is_not_copied(ask, target, three, state, code):
    File.objects.filter(pk=three[0].pk).update(scan_state=state, scan_due_at=timezone.now())

    assert refusal(ask("copy", three, folder_id=target.pk)) == (403, code)
    answer = ask("copy", three, folder_id=target.pk, partial=True).json()
    assert [row["code"] for row in answer["refused"]] == [code]
    assert len(answer["done"]) == 2


def test_a_copy_counts_as_checked_and_is_news(ask, people, target, three, settings):
    settings.CLAMD_URL = "tcp://127.0.0.1:1"
    File.objects.filter(pk=three[0].pk).update(scanned_at=timezone.now() - 30 * DAY)
    start = timezone.now()

    row = ask("copy", three[:1], folder_id=target.pk).json()["done"][0]

    copied = File.objects.get(pk=row["id"])
    assert copied.is_clean
    assert list(File.objects.come_between(start, timezone.now())) == [copied]


def test_kinds_and_quota_of_the_target_count(ask, target, three, report):
    target.type_policy, target.quota_bytes = "office", 10
    target.save()

    answer = ask("copy", [three[0], report], folder_id=target.pk, partial=True).json()

    assert [row["code"] for row in answer["refused"]] == ["extension_not_allowed", "quota_exceeded"]
    assert answer["done"] == []
    assert refusal(ask("copy", [three[0], report], folder_id=target.pk)) == (415, "extension_not_allowed")
    assert space(target) == (0, 0)


def test_a_held_file_may_be_copied_and_the_hold_stays_with_it(ask, people, target, three):
    holds.place(by=people["super"], file_id=three[0].pk, reason="A lawsuit")

    row = ask("copy", three[:1], folder_id=target.pk).json()["done"][0]

    assert not Hold.objects.filter(file=row["id"]).exists()
    assert not File.objects.filter(pk=row["id"]).held().exists()


def test_a_copy_beside_its_source_is_a_version_of_it(ask, company_folder, three, api_as):
    assert ask("copy", three[:1], folder_id=company_folder.pk).status_code == 200

    assert File.objects.versions_of(three[0]).count() == 2


# --- What fails leaves nothing --------------------------------------------------------------------------


def test_a_store_that_fails_halfway_leaves_no_copy(store, ask, people, target, three, monkeypatch):
    copied, calls = get_store().copy, []

    def failing(self, *names, **options):
        calls.append(names)
        if len(calls) == 3:
            raise StoreUnavailable
        return copied(*names, **options)

    before = objects("files/")
    monkeypatch.setattr(type(get_store()), "copy", failing)

    assert ask("copy", three, folder_id=target.pk).status_code == 503
    assert (objects("files/"), space(target)) == (before, (0, 0))
    assert not Event.objects.filter(action="file_copied").exists()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("is_committed", [True, False])
def test_a_commit_without_an_answer_leaves_the_bytes(people, target, three, monkeypatch, is_committed):
    """The connection is cut during the commit: nobody knows whether the database made the rows."""
    before, commit, append = objects("files/"), connection._commit, copying.append

    def cut():
        if is_committed:
            commit()
        raise OperationalError("server closed the connection unexpectedly")

    def cut_from_now_on(events):
        append(events)
        monkeypatch.setattr(connection, "_commit", cut)

    monkeypatch.setattr(copying, "append", cut_from_now_on)
    with pytest.raises(OperationalError):
        copying.copy(user=people["uploader"], file_ids=[three[0].pk], folder_id=target.pk)
    monkeypatch.undo()

    assert File.objects.filter(folder=target).count() == is_committed
    assert len(objects("files/")) == len(before) + 1
    assert all(bytes_of(file) == b"a" * 100 for file in File.objects.filter(folder=target))


def test_what_changed_while_the_bytes_were_copied_counts(ask, people, target, three, monkeypatch):
    """The last byte is copied when the quota shrinks."""
    copied = copying._copy_bytes

    def shrinking(rows, made):
        copied(rows, made)
        type(target).objects.filter(pk=target.pk).update(quota_bytes=250)

    before = objects("files/")
    monkeypatch.setattr(copying, "_copy_bytes", shrinking)

    assert refusal(ask("copy", three, folder_id=target.pk)) == (413, "quota_exceeded")
    assert objects("files/") == before


def test_with_partial_what_was_refused_at_last_is_removed(ask, people, target, three, monkeypatch, commits):
    copied = copying._copy_bytes

    def deleting(rows, made):
        copied(rows, made)
        files.delete(user=people["super"], file_id=three[1].pk)

    before = len(objects("files/"))
    monkeypatch.setattr(copying, "_copy_bytes", deleting)

    with commits():
        answer = ask("copy", three, folder_id=target.pk, partial=True).json()

    assert [row["filename"] for row in answer["done"]] == ["a.txt", "c.txt"]
    assert [row["code"] for row in answer["refused"]] == ["not_found"]
    assert len(objects("files/")) == before + 2


def test_bytes_that_were_carried_meanwhile_are_found(ask, people, company_folder, target, three, monkeypatch, commits):
    moving.move(user=people["uploader"], file_ids=[three[0].pk], folder_id=target.pk)
    try_to_copy = copying._try_to_copy

    def carried(rows, made):
        monkeypatch.undo()
        with commits():
            carrying.carry_all()
        return try_to_copy(rows, made)

    monkeypatch.setattr(copying, "_try_to_copy", carried)

    assert ask("copy", three[:1], folder_id=company_folder.pk).status_code == 200


def test_lost_bytes_are_not_copied(ask, target, three):
    get_store().delete(three[0].object_key)

    assert refusal(ask("copy", three, folder_id=target.pk)) == (404, "object_missing")


@pytest.mark.local  # a bucket copies by itself, and its bytes are read by no one
def test_altered_bytes_are_not_copied(ask, target, three, caplog):
    File.objects.filter(pk=three[0].pk).update(sha256="0" * 64)

    assert ask("copy", three[:1], folder_id=target.pk).status_code == 503
    assert "are not those that were uploaded" in caplog.text
    assert not File.objects.filter(folder=target).exists()


@pytest.mark.local  # a bucket copies by itself, and its bytes are read by no one
def test_checksums_that_nobody_knew_are_known_of_the_copy(ask, target, three, api_as):
    File.objects.filter(pk=three[0].pk).update(sha256="", crc32=None)

    row = ask("copy", three[:1], folder_id=target.pk).json()["done"][0]

    copied = File.objects.get(pk=row["id"])
    assert (copied.sha256, copied.crc32) == (three[0].sha256, three[0].crc32)
    link = api_as("uploader").get(f"/api/client/download/{copied.pk}").json()["download-link"]
    assert content(api_as("uploader").get(link)) == b"a" * 100


def test_many_cost_as_many_queries_as_few(people, company_folder, target):
    found = [
        store_file(user=people["uploader"], folder=company_folder, filename=f"{n}.txt", content=b"x") for n in range(12)
    ]

    def queries(rows):
        with CaptureQueriesContext(connection) as captured:
            copying.copy(user=people["uploader"], file_ids=[row.pk for row in rows], folder_id=target.pk)
        return len(captured)

    assert queries(found[:2]) == queries(found[2:])
