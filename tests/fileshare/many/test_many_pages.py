"""The pages of the selection bar: move, copy, tag, delete and undo, without scripts."""

import re
from urllib.parse import urlsplit

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from fileshare import folders
from fileshare.many import places
from fileshare.models import File, PermissionType
from tests.factories import CompanyFactory, FolderFactory, SubfolderFactory, grant, store_file

pytestmark = pytest.mark.django_db


@pytest.fixture
def web(page_as):
    return page_as("uploader")


@pytest.fixture
def here(company_folder):
    """Where the user chose the files."""
    return company_folder.get_absolute_url()


def chosen(files, **facts):
    return {"file_ids": [str(file.pk) for file in files], **facts}


def send(web, what, files, here, **facts):
    """The page that follows the form's answer."""
    answer = web.post(f"/files/{what}", chosen(files, **facts), headers={"referer": f"http://testserver{here}"})
    assert answer.status_code == 302, answer.content
    return answer["Location"], web.get(answer["Location"]).content.decode()


def undo(web, shown, here):
    token = re.search(r'name="act" value="([^"]+)"', shown)[1]
    return send(web, "undo", [], here, act=token)


def test_deleted_files_come_back_by_the_button_in_the_message(web, here, three):
    where, shown = send(web, "delete", three, here)

    assert (where, File.objects.filter(deleted_at=None).count()) == (here, 0)
    assert "3 files were deleted." in shown
    where, shown = undo(web, shown, here)
    assert (where, File.objects.filter(deleted_at=None).count()) == (here, 3)
    assert "3 files are back." in shown


@pytest.mark.parametrize("what", ["move", "copy"])
def test_a_nul_in_the_words_finds_what_the_rest_finds(web, three, target, what):
    asked = web.post(f"/files/{what}", chosen(three, words="Sav\0anna"))

    assert asked.status_code == 200
    assert f'value="{target.pk}"' in asked.content.decode()


def test_the_place_is_asked_for_first(web, here, target, inner, three, people):
    asked = web.post("/files/move", chosen(three), headers={"referer": f"http://testserver{here}?cursor=x"})

    shown = asked.content.decode()
    assert asked.status_code == 200
    assert "Move 3 files to" in shown
    assert shown.count('name="file_ids"') == 3
    assert f'value="{here}?cursor=x"' in shown
    assert f'value="{target.pk}"' in shown
    assert f'value="{target.pk}/{inner.pk}"' in shown
    where, shown = send(web, "move", three, "/elsewhere", place=f"{target.pk}/{inner.pk}", next=f"{here}?cursor=x")
    assert where == f"{here}?cursor=x"
    assert set(File.objects.values_list("subfolder", flat=True)) == {inner.pk}


def test_a_move_is_undone_by_the_button(web, here, target, three, company_folder):
    _where, shown = send(web, "move", three, here, place=target.pk)
    assert "3 files were moved." in shown

    _where, shown = undo(web, shown, here)

    assert "3 files are back where they were." in shown
    assert set(File.objects.values_list("folder", flat=True)) == {company_folder.pk}


def test_tags_are_asked_for_given_and_taken_off(web, here, three):
    asked = web.post("/files/tag", chosen(three))
    assert (asked.status_code, b"Tag 3 files" in asked.content) == (200, True)
    assert web.post("/files/tag", chosen(three, tags="x" * 60)).status_code == 400

    _where, shown = send(web, "tag", three, here, tags="tax, 2026")
    assert [file.tags.count() for file in three] == [2, 2, 2]
    _where, shown = undo(web, shown, here)

    assert "3 files lost the tags." in shown
    assert [file.tags.count() for file in three] == [0, 0, 0]


def test_copies_are_made(web, here, target, three):
    assert b"Copy 3 files to" in web.post("/files/copy", chosen(three)).content

    _where, shown = send(web, "copy", three, here, place=target.pk)

    assert "3 files were copied." in shown
    assert File.objects.filter(folder=target).count() == 3


def test_what_was_left_out_is_said(web, here, people, company_folder, target, three):
    theirs = store_file(user=people["super"], folder=company_folder, filename="d.txt", content=b"d")

    _where, shown = send(web, "delete", [*three[:1], theirs], here)
    assert "1 file was deleted." in shown
    assert "1 file was left out: You may not do this with this file." in shown

    _where, shown = send(web, "delete", [theirs], here)
    assert "0 files" not in shown
    assert "Undo" not in shown
    assert 'class="message error"' in shown


def test_nothing_chosen_is_refused(web):
    for what in ("move", "copy", "tag", "delete"):
        assert web.post(f"/files/{what}").status_code == 400


def test_the_way_back_is_on_this_portal(web, three, target, here):
    evil = "https://evil.example/"
    for facts in ({"next": evil}, {"next": "//evil.example"}):
        answer = web.post("/files/delete", chosen(three[:1], **facts), headers={"referer": evil})
        assert urlsplit(answer["Location"]).netloc == ""
        assert answer["Location"] == "/files/"


def test_an_undo_that_is_over_is_said(web, here):
    _where, shown = send(web, "undo", [], here, act="nonsense")

    assert "This can no longer be undone." in shown


def test_an_undo_of_what_has_changed_since_is_said(web, here, three):
    _where, shown = send(web, "delete", three, here)
    undo(web, shown, here)

    _where, shown = undo(web, shown, here)

    assert "nothing left to undo" in shown


def test_one_deleted_file_comes_back_by_its_message_too(web, here, three):
    web.post(f"/files/{three[0].pk}/delete")
    _where, shown = undo(web, web.get(here).content.decode(), here)

    assert "1 file is back." in shown
    assert File.objects.get(pk=three[0].pk).deleted_at is None


def test_after_a_row_is_deleted_its_list_comes_back(web, here, three):
    def delete(file, come_from):
        answer = web.post(f"/files/{file.pk}/delete", headers={"referer": f"http://testserver{come_from}"})
        return answer["Location"]

    assert delete(three[0], "/search?q=a") == "/search?q=a"
    assert delete(three[1], f"/files/{three[1].pk}/") == here
    assert delete(three[2], "") == here


# --- The bar, and the folders to choose from --------------------------------------------------------------


def buttons(shown):
    return set(re.findall(r'id="select-(\w+)" class="button', shown))


def test_the_bar_offers_what_its_user_may_do(page_as, here, people, three):
    assert buttons(page_as("uploader").get(here).content.decode()) == {
        "download",
        "move",
        "copy",
        "share",
        "tag",
        "delete",
    }
    assert buttons(page_as("colleague").get(here).content.decode()) == {"download", "copy"}


def test_an_uploader_who_may_not_download_can_move_and_delete(page_as, people):
    folder = FolderFactory()
    grant(folder, PermissionType.UPLOAD, user=people["client"])
    file = store_file(user=people["client"], folder=folder, filename="a.txt", content=b"a")

    shown = page_as("client").get(folder.get_absolute_url()).content.decode()

    assert buttons(shown) == {"move", "share", "tag", "delete"}
    assert f'value="{file.pk}" form="file-zip"' in shown


def test_folders_are_found_by_words_and_ones_own_comes_first(people, target, inner):
    me = people["uploader"]
    mine = folders.personal_folder(me)
    folders.personal_folder(people["super"])
    company = CompanyFactory(name="Acacia")
    of_company = FolderFactory(name="Tax 2026", company=company)
    grant(of_company, PermissionType.UPLOAD, user=me)

    def found(words=""):
        rows, _more = places.uploadable(user=me, words=words)
        return [row.name for row in rows]

    assert found()[0] == mine.name
    assert "Savanna" in found()
    assert found("savan") == ["Savanna"]
    assert found("ACACIA") == ["Tax 2026"]
    assert sorted(found("tax")) == ["Savanna", "Tax 2026"], "a subfolder of that name counts"
    assert found("%") == []
    assert folders.personal_folder(people["super"]) not in places.uploadable(user=people["super"])[0][1:]


def test_a_long_list_is_cut_and_costs_the_same(people, settings):
    me = people["uploader"]

    def queries():
        with CaptureQueriesContext(connection) as captured:
            places.uploadable(user=me)
        return len(captured)

    for number in range(2):
        folder = FolderFactory(name=f"F{number}")
        SubfolderFactory(folder=folder)
        grant(folder, PermissionType.UPLOAD, user=me)
    few = queries()
    for number in range(places.MOST):
        grant(FolderFactory(name=f"G{number:02}"), PermissionType.UPLOAD, user=me)

    assert queries() == few
    rows, has_more = places.uploadable(user=me)
    assert (len(rows), has_more) == (places.MOST, True)
