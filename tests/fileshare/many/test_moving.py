"""Moving files: what they keep, what changes, who may, and that it is all or nothing."""

import datetime as dt
import uuid

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from audit.models import Event
from fileshare import files, folders, holds
from fileshare.api import many
from fileshare.incoming import uploads
from fileshare.many import moving
from fileshare.models import File, FolderPermission, PermissionType, ShareLink
from fileshare.sharing import shares
from fileshare.space import quotas
from tests.factories import FolderFactory, SubfolderFactory, grant, store_file
from tests.fileshare.helpers import refusal, space

pytestmark = pytest.mark.django_db
DAY = dt.timedelta(days=1)


def places(rows):
    return {(row.folder_id, row.subfolder_id) for row in File.objects.filter(pk__in=[row.pk for row in rows])}


def test_moved_files_keep_all_but_their_place(ask, people, company_folder, target, inner, three):
    uploader = people["uploader"]
    files.add_tags(user=uploader, file_id=three[0].pk, names=["draft"])
    link = shares.create(user=uploader, file_id=three[0].pk, permission="view", expires_in=DAY)[0].link
    before = File.objects.get(pk=three[0].pk)

    answer = ask("move", three, folder_id=target.pk, subfolder_id=inner.pk)

    assert answer.status_code == 200, answer.json()
    told = answer.json()
    assert told["refused"] == []
    assert [row["id"] for row in told["done"]] == [str(file.pk) for file in three]
    assert {(row["folder"]["slug"], row["subfolder"]["slug"]) for row in told["done"]} == {("savanna-files", "tax")}
    after = File.objects.get(pk=three[0].pk)
    kept = ("filename", "uploaded_at", "uploaded_by_id", "sha256", "object_key", "download_count", "scan_state")
    assert [getattr(after, name) for name in kept] == [getattr(before, name) for name in kept]
    assert [tag["name"] for tag in told["done"][0]["tags"]] == ["draft"]
    assert ShareLink.objects.get(pk=link.pk).file_id == three[0].pk
    assert shares.state_of(ShareLink.objects.with_details().get(pk=link.pk)) == "live"


def test_both_folders_count_the_bytes(ask, company_folder, target, three):
    before = space(company_folder)[0]

    ask("move", three[:2], folder_id=target.pk)

    assert (space(company_folder), space(target)) == ((before - 200, 0), (200, 0))
    assert quotas.recalculate().repaired == []


def test_the_log_has_a_row_for_each_with_both_places(ask, people, company_folder, target, inner, three):
    ask("move", three, folder_id=target.pk, subfolder_id=inner.pk)

    rows = Event.objects.filter(action="file_moved", target_type="file").order_by("target_name")
    assert [row.target_id for row in rows] == [str(file.pk) for file in three]
    row = rows[0]
    assert (row.actor, row.folder_slug, row.subfolder_slug, row.size_bytes) == (
        people["uploader"],
        "savanna-files",
        "tax",
        100,
    )
    assert row.detail["before"] == {"folder": "Baobab", "folder_slug": "baobab-files"}
    assert row.detail["after"] == {"folder": "Savanna", "folder_slug": "savanna-files", "subfolder": "Tax"}
    assert len({row.detail["bulk"] for row in rows}) == 1


def test_the_log_of_the_old_folder_tells_where_each_file_went(ask, api_as, company_folder, target, inner, three):
    sub = SubfolderFactory(folder=company_folder, slug="sub")
    ask("move", three[:1], folder_id=company_folder.pk, subfolder_id=sub.pk)
    assert Event.objects.filter(action="file_moved").count() == 1
    ask("move", three, folder_id=target.pk, subfolder_id=inner.pk)

    log = api_as("super").get("/api/admin/logs", {"action": "file_moved", "folder_slug": "baobab-files"}).json()
    rows = {row["detail"]["filename"]: row for row in log["results"] if row["target_type"] == "folder"}

    assert {name: row["detail"]["file"] for name, row in rows.items()} == {row.filename: str(row.pk) for row in three}
    assert {row["target_id"] for row in rows.values()} == {str(company_folder.pk)}
    assert [rows[name]["subfolder_slug"] for name in ("a.txt", "b.txt", "c.txt")] == ["sub", "", ""]
    after = {"folder": "Savanna", "folder_slug": "savanna-files", "subfolder": "Tax"}
    assert all(row["detail"]["after"] == after for row in rows.values())


def test_the_targets_retention_counts_from_the_move_on(ask, company_folder, target, three, time_machine):
    assert File.objects.get(pk=three[0].pk).expires_at is not None
    ask("move", three[:1], folder_id=target.pk)
    assert File.objects.get(pk=three[0].pk).expires_at is None

    now = timezone.now() + 100 * DAY
    time_machine.move_to(now, tick=False)
    ask("move", three[:1], folder_id=company_folder.pk)

    file = File.objects.get(pk=three[0].pk)
    assert file.expires_at == now + company_folder.retention_days * DAY, "a file that is old does not go at once"


def test_a_longer_retention_shortens_no_moved_files_life(ask, people, target, three, time_machine):
    """A file is kept from its move on: the new days behind its upload may be over sooner."""
    time_machine.move_to(timezone.now(), tick=False)
    type(target).objects.filter(pk=target.pk).update(retention_days=30)
    File.objects.filter(pk=three[0].pk).update(uploaded_at=timezone.now() - 200 * DAY)
    File.objects.filter(pk=three[1].pk).update(uploaded_at=timezone.now() - 10 * DAY)
    ask("move", three[:2], folder_id=target.pk)

    folders.change_folder(user=people["super"], folder_id=target.pk, retention_days=60)

    expiries = [File.objects.get(pk=file.pk).expires_at - timezone.now() for file in three[:2]]
    assert expiries == [30 * DAY, 50 * DAY]

    folders.change_folder(user=people["super"], folder_id=target.pk, retention_days=20)
    assert File.objects.get(pk=three[1].pk).expires_at - timezone.now() == 10 * DAY


def test_within_a_folder_nothing_but_the_subfolder_changes(ask, people, time_machine):
    mine = folders.personal_folder(people["uploader"])
    mine.retention_days = 30
    mine.save()
    inner = SubfolderFactory(folder=mine)
    file = store_file(user=people["uploader"], folder=mine, filename="a.txt", content=b"a", visibility="public")
    before, used = File.objects.get(pk=file.pk), space(mine)
    time_machine.move_to(timezone.now() + DAY)

    assert ask("move", [file], folder_id=mine.pk, subfolder_id=inner.pk).status_code == 200

    after = File.objects.get(pk=file.pk)
    assert (after.subfolder_id, after.expires_at, after.visibility) == (inner.pk, before.expires_at, "public")
    assert space(mine) == used


def test_a_public_file_is_private_in_a_shared_folder(ask, people, target):
    mine = folders.personal_folder(people["uploader"])
    file = store_file(user=people["uploader"], folder=mine, filename="a.txt", content=b"a", visibility="public")

    assert ask("move", [file], folder_id=target.pk).json()["done"][0]["visibility"] == "private"
    assert not File.objects.downloadable_by(people["stranger"]).filter(pk=file.pk).exists()


def test_a_file_that_is_there_already_stays_as_it_is(ask, company_folder, three):
    before = File.objects.get(pk=three[0].pk)

    answer = ask("move", three, folder_id=company_folder.pk)

    assert len(answer.json()["done"]) == 3
    after = File.objects.get(pk=three[0].pk)
    assert (after.expires_at, after.next_key) == (before.expires_at, None)
    assert not Event.objects.filter(action="file_moved").exists()


def test_a_file_that_goes_for_good_before_the_answer_is_left_out(ask, people, company_folder, three, monkeypatch):
    answer = many.answer

    def late(user, done):
        File.objects.filter(pk=three[1].pk).delete()
        return answer(user, done)

    monkeypatch.setattr(many, "answer", late)

    told = ask("move", three, folder_id=company_folder.pk)

    assert (told.status_code, told.json()["refused"]) == (200, [])
    assert [row["id"] for row in told.json()["done"]] == [str(three[0].pk), str(three[2].pk)]


def test_the_clean_up_goes_on_when_a_file_has_left_a_folder_that_is_gone(people, target, monkeypatch):
    """The files were listed as expired when one of them was moved and its folder deleted."""
    folder = FolderFactory()
    moved, other = (store_file(user=people["super"], folder=place) for place in (folder, FolderFactory()))
    File.objects.filter(pk=moved.pk).update(expires_at=timezone.now() - 2 * DAY)
    File.objects.filter(pk=other.pk).update(expires_at=timezone.now() - DAY)
    guard = holds.guard

    def late():
        monkeypatch.undo()
        File.objects.filter(pk=moved.pk).update(folder=target, expires_at=None)
        folder.delete()
        guard()

    monkeypatch.setattr(holds, "guard", late)

    assert files.remove_expired() == 1
    assert list(File.objects.all()) == [moved]


# --- Who may ------------------------------------------------------------------------------------------


def test_one_file_that_may_not_be_moved_stops_all(ask, people, company_folder, target, three):
    theirs = store_file(user=people["super"], folder=company_folder, filename="d.txt", content=b"d")

    answer = ask("move", [*three, theirs], folder_id=target.pk)

    assert refusal(answer) == (403, "permission_denied")
    assert answer.json()["errors"] == {"file_ids": [str(theirs.pk)]}
    assert places(three) == {(company_folder.pk, None)}
    assert not Event.objects.filter(action="file_moved").exists()


def test_with_partial_the_others_are_moved(ask, people, company_folder, target, three):
    theirs = store_file(user=people["super"], folder=company_folder, filename="d.txt", content=b"d")
    unknown = uuid.uuid4()

    answer = ask("move", [theirs, *three, unknown], folder_id=target.pk, partial=True)

    assert answer.status_code == 200
    assert [row["id"] for row in answer.json()["done"]] == [str(file.pk) for file in three]
    assert [(row["id"], row["code"]) for row in answer.json()["refused"]] == [
        (str(theirs.pk), "permission_denied"),
        (str(unknown), "not_found"),
    ]
    assert all(row["detail"] for row in answer.json()["refused"])
    assert places(three) == {(target.pk, None)}


def test_a_file_one_may_not_see_is_not_there(ask, people, target, report):
    grant(target, PermissionType.UPLOAD, user=people["client"])

    answer = ask("move", [report], who="client", folder_id=target.pk)

    assert refusal(answer) == (404, "not_found")
    assert answer.json()["errors"] == {"file_ids": [str(report.pk)]}


def test_to_delete_from_the_source_is_not_enough(ask, people, company_folder, three):
    other = FolderFactory()
    assert refusal(ask("move", three, folder_id=other.pk)) == (404, "not_found")
    grant(other, PermissionType.DOWNLOAD, user=people["uploader"])
    assert refusal(ask("move", three, folder_id=other.pk)) == (403, "permission_denied")
    assert refusal(ask("move", three, folder_id=other.pk, partial=True)) == (403, "permission_denied")
    assert places(three) == {(company_folder.pk, None)}


def test_a_right_that_was_taken_back_counts_at_once(ask, people, target, three):
    FolderPermission.objects.filter(folder=target, permission_type="upload").delete()

    assert refusal(ask("move", three, folder_id=target.pk)) == (403, "permission_denied")


def test_the_subfolder_must_be_one_of_the_folder(ask, company_folder, inner, three):
    assert ask("move", three, folder_id=company_folder.pk, subfolder_id=inner.pk).status_code == 404


def test_a_held_file_stays(ask, people, company_folder, target, three):
    holds.place(by=people["super"], file_id=three[1].pk, reason="A lawsuit")

    answer = ask("move", three, folder_id=target.pk)

    assert refusal(answer) == (409, "legal_hold")
    assert answer.json()["errors"] == {"file_ids": [str(three[1].pk)]}
    partial = ask("move", three, folder_id=target.pk, partial=True).json()
    assert [row["code"] for row in partial["refused"]] == ["legal_hold"]
    assert places([three[1]]) == {(company_folder.pk, None)}


def test_a_hold_moves_along_with_nothing(ask, people, target, three):
    """A hold on the target's folder is no reason to refuse: the file is kept there, as all others."""
    holds.place(by=people["super"], folder_id=target.pk, reason="A lawsuit")

    assert ask("move", three, folder_id=target.pk).status_code == 200


def test_the_targets_kinds_of_files_count(ask, target, three, report, people):
    target.type_policy = "office"
    target.save()
    empty = store_file(user=people["uploader"], folder=three[0].folder, filename="e.txt", content=b"")
    File.objects.filter(pk=empty.pk).update(filename="e.docx")

    assert refusal(ask("move", [report, three[0]], folder_id=target.pk)) == (415, "extension_not_allowed")
    answer = ask("move", [report, three[0], empty], folder_id=target.pk, partial=True).json()
    assert [row["filename"] for row in answer["done"]] == ["report.docx"]
    assert [row["code"] for row in answer["refused"]] == ["extension_not_allowed", "empty_file"]


def test_the_targets_quota_counts(ask, target, three):
    target.quota_bytes = 250
    target.save()

    answer = ask("move", three, folder_id=target.pk)

    assert refusal(answer) == (413, "quota_exceeded")
    assert answer.json()["errors"] == {"file_ids": [str(three[2].pk)]}
    assert space(target) == (0, 0)
    partial = ask("move", three, folder_id=target.pk, partial=True).json()
    assert len(partial["done"]) == 2
    assert space(target) == (200, 0)


def test_what_uploads_have_reserved_is_not_free(ask, people, target, three):
    target.quota_bytes = 250
    target.save()
    uploads.initiate(
        user=people["uploader"], place=uploads.Place(target), filename="x.txt", size_bytes=200, content_type=""
    )

    assert refusal(ask("move", three[:1], folder_id=target.pk)) == (413, "quota_exceeded")


@pytest.mark.parametrize("ids", [[], [uuid.uuid4()] * 1001, ["x"], "x", None])
def test_a_bad_list_is_refused(api_as, target, ids):
    body = {"file_ids": ids and [str(one) for one in ids], "folder_id": str(target.pk)}

    assert refusal(api_as("uploader").post("/api/files/move", body)) == (400, "invalid")


def test_an_id_named_twice_counts_once(ask, target, three):
    answer = ask("move", [three[0], three[0]], folder_id=target.pk)

    assert len(answer.json()["done"]) == 1
    assert space(target) == (100, 0)


def test_many_cost_as_many_queries_as_few(people, company_folder, target):
    found = [
        store_file(user=people["uploader"], folder=company_folder, filename=f"{n}.txt", content=b"x") for n in range(12)
    ]

    def queries(rows):
        with CaptureQueriesContext(connection) as captured:
            moving.move(user=people["uploader"], file_ids=[row.pk for row in rows], folder_id=target.pk)
        return len(captured)

    assert queries(found[:2]) == queries(found[2:])
