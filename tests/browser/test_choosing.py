"""Selecting several files of a table and downloading them as one ZIP: by mouse, by keyboard, without scripts."""

import zipfile

import pytest
from playwright.sync_api import expect

from fileshare import files
from tests.browser.steps import choose, press, upload_row
from tests.factories import store_file

pytestmark = [pytest.mark.browser, pytest.mark.once, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def three(people, company_folder):
    """a.txt, b.txt and c.txt of 1024 bytes each, in the company folder."""
    return [
        store_file(user=people["uploader"], folder=company_folder, filename=f"{name}.txt", content=name.encode() * 1024)
        for name in "abc"
    ]


def names_in(downloaded):
    with zipfile.ZipFile(downloaded.value.path()) as archive:
        assert archive.testzip() is None
        return sorted(archive.namelist())


def test_chosen_files_come_as_one_archive(visit, people, company_folder, three):
    page = visit(people["colleague"])
    page.goto(company_folder.get_absolute_url())
    expect(page.get_by_role("button", name="Download", exact=True)).to_be_disabled()
    page.get_by_role("checkbox", name="Select: a.txt").check()
    page.get_by_role("checkbox", name="Select: c.txt").check()
    expect(page.locator("[data-module=select] [role=status]")).to_have_text("Selected: 2, 2.0 KB")
    expect(page.get_by_role("checkbox", name="Select all")).to_have_js_property("indeterminate", True)
    expect(page.get_by_text("2 selected, 2.0 KB")).to_be_visible()
    with page.expect_download() as downloaded:
        press(page, "Download")
    assert downloaded.value.suggested_filename == "fileshare-download.zip"
    assert names_in(downloaded) == ["Baobab/a.txt", "Baobab/c.txt"]


def test_all_are_chosen_and_left_again_by_keyboard(visit, people, company_folder, three):
    page = visit(people["colleague"])
    page.goto(company_folder.get_absolute_url())
    page.get_by_role("checkbox", name="Select all").focus()
    page.keyboard.press("Space")
    expect(page.locator("tbody :checked")).to_have_count(3)
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Download", exact=True)).to_be_focused()
    with page.expect_download() as downloaded:
        page.keyboard.press("Enter")
    assert len(names_in(downloaded)) == 3
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Space")
    expect(page.locator("tbody :checked")).to_have_count(0)
    expect(page.locator("[data-module=select] [role=status]")).to_have_text("Nothing is selected")


def test_a_range_is_chosen_with_shift_by_mouse_and_by_keyboard(visit, people, company_folder, three):
    page = visit(people["colleague"])
    page.goto(company_folder.get_absolute_url())
    page.get_by_role("checkbox", name="Select: c.txt").click()
    page.get_by_role("checkbox", name="Select: a.txt").click(modifiers=["Shift"])
    expect(page.get_by_text("3 selected, 3.0 KB")).to_be_visible()
    expect(page.get_by_role("checkbox", name="Select all")).to_be_checked()
    page.get_by_role("checkbox", name="Select: b.txt").press("Space")
    page.get_by_role("checkbox", name="Select: c.txt").press("Shift+Space")
    expect(page.get_by_text("1 selected, 1.0 KB")).to_be_visible()
    expect(page.get_by_role("checkbox", name="Select: a.txt")).to_be_checked()


def test_without_scripts_the_same_form_does_it(visit, people, company_folder, three):
    page = visit(people["colleague"], java_script_enabled=False)
    page.goto(company_folder.get_absolute_url())
    expect(page.get_by_text("Select all")).to_be_hidden()
    page.get_by_role("checkbox", name="Select: b.txt").check()
    with page.expect_download() as downloaded:
        press(page, "Download")
    assert names_in(downloaded) == ["Baobab/b.txt"]


def test_what_is_chosen_stays_chosen_when_the_list_grows(visit, people, company_folder, three, tmp_path):
    page = visit(people["uploader"])
    page.goto(company_folder.get_absolute_url())
    page.get_by_role("checkbox", name="Select: b.txt").check()
    new = tmp_path / "new.txt"
    new.write_bytes(b"words")
    choose(page, new)
    expect(upload_row(page, "new.txt")).to_have_attribute("data-state", "done")
    expect(page.get_by_role("checkbox", name="Select: new.txt")).not_to_be_checked()
    expect(page.get_by_role("checkbox", name="Select: b.txt")).to_be_checked()
    expect(page.get_by_text("1 selected, 1.0 KB")).to_be_visible()
    expect(page.get_by_role("button", name="Download", exact=True)).to_be_enabled()


def test_the_sources_work_as_the_one_script_does(visit, people, company_folder, three, settings):
    settings.STATIC_COLLECTED = False  # as `make dev` serves them
    settings.STORAGES = settings.STORAGES | {
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    }
    page = visit(people["colleague"])
    with page.expect_response("**/js/select.js"):
        page.goto(company_folder.get_absolute_url())
    page.locator(".select-bar.is-live").wait_for()
    page.get_by_role("checkbox", name="Select all").check()
    expect(page.get_by_text("3 selected, 3.0 KB")).to_be_visible()
    expect(page.get_by_role("button", name="Download", exact=True)).to_be_enabled()


def test_all_are_chosen_by_who_ticks_before_the_script_is_there(visit, people, company_folder, three):
    page, held = visit(people["colleague"]), []
    page.route("**/js/portal.*.js", lambda route: held.append(route))
    with page.expect_request("**/js/portal.*.js"):
        page.goto(company_folder.get_absolute_url(), wait_until="commit")
    page.get_by_role("checkbox", name="Select all").check()
    held[0].continue_()
    expect(page.get_by_text("3 selected, 3.0 KB")).to_be_visible()
    expect(page.get_by_role("button", name="Download", exact=True)).to_be_enabled()


def test_the_rest_is_offered_when_one_was_deleted_meanwhile(visit, people, company_folder, three, watch):
    page = visit(people["colleague"])
    page.goto(company_folder.get_absolute_url())
    page.get_by_role("checkbox", name="Select all").check()
    files.delete(user=people["uploader"], file_id=three[0].pk)
    watch.expect("404 POST .*/files/download.zip")
    press(page, "Download")
    expect(page.get_by_text("1 of the 3 files you chose was deleted meanwhile")).to_be_visible()
    with page.expect_download() as downloaded:
        press(page, "Download the rest (2 files)")
    assert names_in(downloaded) == ["Baobab/b.txt", "Baobab/c.txt", "SKIPPED.txt"]
