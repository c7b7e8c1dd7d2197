"""Undo: exactly what was done, by whoever did it, for an hour, and never over a later change."""

import datetime as dt

import pytest
from django.utils import timezone

from accounts.privacy import subject_rights
from audit.models import Event
from fileshare import files, folders, holds
from fileshare.many import carrying, deleting, moving, tagging, undoing
from fileshare.models import File, FolderPermission
from tests.factories import PASSWORD, SubfolderFactory, store_file
from tests.fileshare.helpers import space

pytestmark = pytest.mark.django_db
DAY = dt.timedelta(days=1)


@pytest.fixture
def me(people):
    return people["uploader"]


def ids(rows):
    return [row.pk for row in rows]


def places(rows):
    return [
        (row.folder.slug, row.subfolder and row.subfolder.slug, row.expires_at, row.visibility)
        for row in File.objects.filter(pk__in=ids(rows)).order_by("filename").select_related("folder", "subfolder")
    ]


def move(me, rows, folder, **facts):
    return moving.move(user=me, file_ids=ids(rows), folder_id=folder.pk, **facts)


def test_a_deletion_is_undone_for_those_files_alone(me, three):
    files.delete(user=me, file_id=three[0].pk)
    deleted = deleting.delete(user=me, file_ids=ids(three[1:]))

    undone = undoing.undo(user=me, token=undoing.of_deletion(me, deleted))

    assert (undone.act, undone.count, undone.refused) == ("deleted", 2, [])
    assert set(File.objects.filter(deleted_at=None)) == set(three[1:])
    assert Event.objects.filter(action="restore").count() == 2


def test_a_file_deleted_again_stays_deleted(me, people, three):
    token = undoing.of_deletion(me, deleting.delete(user=me, file_ids=ids(three)))
    files.restore(user=people["super"], file_id=three[0].pk)
    files.delete(user=people["super"], file_id=three[0].pk)
    files.restore(user=me, file_id=three[1].pk)
    files.delete(user=me, file_id=three[1].pk)

    assert undoing.undo(user=me, token=token).count == 1
    assert list(File.objects.filter(deleted_at=None)) == [three[2]]


def test_a_move_is_undone_with_all_it_changed(me, people, company_folder, target, inner):
    mine = folders.personal_folder(me)
    sub = SubfolderFactory(folder=company_folder, slug="sub")
    rows = [
        store_file(user=me, folder=mine, filename="a.txt", content=b"a", visibility="public"),
        store_file(user=me, folder=company_folder, filename="b.txt", content=b"b" * 10),
        store_file(user=me, folder=company_folder, subfolder=sub, filename="c.txt", content=b"c" * 10),
        store_file(user=me, folder=target, filename="d.txt", content=b"d" * 5),
    ]
    before, sizes = places(rows), [space(folder) for folder in (mine, company_folder, target)]
    moved = move(me, rows, target, subfolder_id=inner.pk)
    assert {place[:2] for place in places(rows)} == {("savanna-files", "tax")}

    undone = undoing.undo(user=me, token=undoing.of_move(me, moved))

    # Who may not upload to a folder any more cannot put a file back; here all may.
    assert (undone.count, undone.refused) == (4, [])
    assert places(rows) == before
    assert [space(folder) for folder in (mine, company_folder, target)] == sizes
    assert Event.objects.filter(action="file_moved", target_type="file").count() == 8


def test_within_a_folder_only_the_subfolder_is_undone(me, people):
    """Made private, or kept for longer, after the move: that stays."""
    mine = folders.personal_folder(me)
    mine.retention_days = 30
    mine.save()
    inner = SubfolderFactory(folder=mine)
    rows = [store_file(user=me, folder=mine, filename="a.txt", content=b"a", visibility="public")]
    token = undoing.of_move(me, move(me, rows, mine, subfolder_id=inner.pk))
    files.change(user=me, file_id=rows[0].pk, visibility="private")
    folders.change_folder(user=people["super"], folder_id=mine.pk, retention_days=3650)
    later = File.objects.get(pk=rows[0].pk).expires_at

    assert undoing.undo(user=me, token=token).count == 1

    assert places(rows) == [(mine.slug, None, later, "private")]


def test_of_a_closed_account_nothing_is_public_again(people, target):
    owner, boss = people["client"], people["super"]
    mine = folders.personal_folder(owner)
    rows = [store_file(user=owner, folder=mine, filename="a.txt", content=b"a", visibility="public")]
    token = undoing.of_move(boss, move(boss, rows, target))
    subject_rights.close_account(user=owner, password=PASSWORD, email=owner.email)

    undone = undoing.undo(user=boss, token=token)

    assert (undone.count, places(rows)) == (1, [(mine.slug, None, None, "private")])


@pytest.mark.parametrize(("first", "then"), [(30, None), (30, 300), (300, 30), (None, 30)])
def test_the_folders_new_retention_counts_on_the_way_back(
    me, people, company_folder, target, three, time_machine, first, then
):
    time_machine.move_to(timezone.now(), tick=False)
    type(company_folder).objects.filter(pk=company_folder.pk).update(retention_days=first)
    expires_at = timezone.now() + 10 * DAY if first else None
    File.objects.filter(pk__in=ids(three)).update(expires_at=expires_at)
    token = undoing.of_move(me, move(me, three, target))
    folders.change_folder(user=people["super"], folder_id=company_folder.pk, retention_days=then)

    assert undoing.undo(user=me, token=token).count == 3

    expires_at = timezone.now() + then * DAY if then else None
    assert {place[2] for place in places(three)} == {expires_at}


@pytest.mark.parametrize("left", [dt.timedelta(minutes=30), 7 * DAY])
def test_nobody_loses_a_file_by_undo(me, company_folder, target, three, time_machine, left):
    """Where it was it would have expired meanwhile, or before anybody is told."""
    time_machine.move_to(timezone.now(), tick=False)
    File.objects.filter(pk__in=ids(three)).update(expires_at=timezone.now() + left)
    token = undoing.of_move(me, move(me, three, target))
    time_machine.move_to(timezone.now() + dt.timedelta(minutes=40), tick=False)

    assert undoing.undo(user=me, token=token).count == 3

    assert {place[2] for place in places(three)} == {timezone.now() + folders.LEAST_WARNING}
    assert files.remove_expired() == 0


@pytest.mark.parametrize("carried", [False, True])
def test_a_file_moved_on_by_another_stays_there(me, people, company_folder, target, inner, three, carried):
    token = undoing.of_move(me, move(me, three, target))
    move(people["super"], three[:1], target, subfolder_id=inner.pk)
    # There and back again: it is where my move put it, but not by my move.
    move(people["super"], three[1:2], target, subfolder_id=inner.pk)
    move(people["super"], three[1:2], target)
    if carried:
        carrying.carry_all()

    undone = undoing.undo(user=me, token=token)

    assert (undone.count, undone.refused) == (1, [])
    assert [place[:2] for place in places(three)] == [
        ("savanna-files", "tax"),
        ("savanna-files", None),
        ("baobab-files", None),
    ]


def test_a_move_is_undone_after_its_bytes_were_carried(me, company_folder, target, three):
    before = places(three)
    token = undoing.of_move(me, move(me, three, target))
    carrying.carry_all()

    assert undoing.undo(user=me, token=token).count == 3
    assert places(three) == before


def test_what_may_not_go_back_is_said(me, people, company_folder, target, three):
    token = undoing.of_move(me, move(me, three, target))
    holds.place(by=people["super"], file_id=three[0].pk, reason="A lawsuit")
    files.delete(user=me, file_id=three[1].pk)

    undone = undoing.undo(user=me, token=token)

    assert undone.count == 1
    assert [(refusal.file_id, refusal.code) for refusal in undone.refused] == [(three[0].pk, "legal_hold")]


def test_the_way_back_needs_its_right(me, company_folder, target, three):
    token = undoing.of_move(me, move(me, three, target))
    FolderPermission.objects.filter(folder=company_folder, permission_type="upload").delete()

    undone = undoing.undo(user=me, token=token)

    assert undone.count == 0
    assert {refusal.code for refusal in undone.refused} == {"no_way_back"}
    assert {place[0] for place in places(three)} == {"savanna-files"}


def test_the_way_back_needs_room(me, company_folder, target, three):
    token = undoing.of_move(me, move(me, three, target))
    company_folder.refresh_from_db()
    company_folder.quota_bytes = company_folder.used_bytes + 150
    company_folder.save()

    undone = undoing.undo(user=me, token=token)

    assert (undone.count, {refusal.code for refusal in undone.refused}) == (1, {"quota_exceeded"})


def test_new_tags_are_taken_off_and_those_that_were_there_stay(me, three):
    files.add_tags(user=me, file_id=three[0].pk, names=["tax"])
    tagged = tagging.change_tags(user=me, file_ids=ids(three), add=["tax", "new"])

    undone = undoing.undo(user=me, token=undoing.of_tags(me, tagged))

    assert undone.count == 3
    assert [sorted(file.tags.values_list("name", flat=True)) for file in three] == [["tax"], [], []]
    told = [event.detail for event in Event.objects.filter(target_id=str(three[1].pk))]
    assert {"before": {"tags": ["new", "tax"]}, "after": {"tags": []}} in told


def test_a_tag_that_was_put_on_again_stays(me, three):
    token = undoing.of_tags(me, tagging.change_tags(user=me, file_ids=ids(three), add=["new"]))
    tagging.change_tags(user=me, file_ids=[three[0].pk], remove=["new"])
    tagging.change_tags(user=me, file_ids=[three[0].pk], add=["new"])

    assert undoing.undo(user=me, token=token).count == 2
    assert [file.tags.count() for file in three] == [1, 0, 0]


def test_a_second_time_there_is_nothing_to_undo(me, target, three):
    tokens = [
        undoing.of_tags(me, tagging.change_tags(user=me, file_ids=ids(three), add=["new"])),
        undoing.of_move(me, move(me, three, target)),
    ]
    for token in tokens:
        assert undoing.undo(user=me, token=token).count == 3
        assert undoing.undo(user=me, token=token).count == 0
    token = undoing.of_deletion(me, deleting.delete(user=me, file_ids=ids(three)))
    assert undoing.undo(user=me, token=token).count == 3
    assert undoing.undo(user=me, token=token).count == 0


def test_what_did_nothing_has_no_token(me, company_folder, three):
    assert undoing.of_move(me, move(me, three, company_folder)) == ""
    tagging.change_tags(user=me, file_ids=ids(three), add=["new"])
    assert undoing.of_tags(me, tagging.change_tags(user=me, file_ids=ids(three), add=["new"])) == ""


@pytest.mark.parametrize("spoil", ["another", "later", "forged", "none"])
def test_a_token_is_for_its_user_and_for_an_hour(me, people, three, spoil, time_machine):
    token = undoing.of_deletion(me, deleting.delete(user=me, file_ids=ids(three)))
    user = people["super"] if spoil == "another" else me
    if spoil == "later":
        time_machine.move_to(timezone.now() + dt.timedelta(minutes=61))
    token = {"forged": token[:-1] + ("A" if token[-1] != "A" else "B"), "none": ""}.get(spoil, token)

    with pytest.raises(undoing.TooLate):
        undoing.undo(user=user, token=token)
    assert not File.objects.filter(deleted_at=None).exists()
