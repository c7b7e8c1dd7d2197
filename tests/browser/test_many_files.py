"""Many files at once: how many clicks a deletion, a move and tags take, how they are undone, and where one is then."""

import pytest
from playwright.sync_api import expect

from fileshare.models import File, PermissionType
from tests.browser.steps import press
from tests.factories import FolderFactory, SubfolderFactory, grant, store_file

pytestmark = [pytest.mark.browser, pytest.mark.once, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def ten(people, company_folder):
    """Ten files of the uploader, in the company folder."""
    return [
        store_file(user=people["uploader"], folder=company_folder, filename=f"{n}.txt", content=b"x" * 100)
        for n in range(10)
    ]


@pytest.fixture
def target(people):
    """Another folder that the uploader may use, with a subfolder."""
    folder = FolderFactory(name="Savanna", slug="savanna-files")
    for kind in PermissionType.values:
        grant(folder, kind, user=people["uploader"])
    SubfolderFactory(folder=folder, name="Tax", slug="tax")
    return folder


class Clicks:
    """A user who clicks; `count` is how often."""

    def __init__(self, page):
        self.page, self.count = page, 0

    def on(self, role, name):
        self.count += 1
        self.page.get_by_role(role, name=name, exact=True).click()


def visited(visit, people, folder):
    page = visit(people["uploader"])
    page.goto(folder.get_absolute_url())
    page.locator(".select-bar.is-live").wait_for()
    return page, Clicks(page)


def test_ten_files_are_deleted_in_three_clicks_and_come_back_by_one(visit, people, company_folder, ten):
    page, clicks = visited(visit, people, company_folder)

    clicks.on("checkbox", "Select all")
    clicks.on("button", "Delete")
    expect(page.get_by_role("dialog")).to_contain_text("Selected files: 10. They will be deleted for everybody")
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    clicks.count += 1

    expect(page.get_by_role("status").filter(has_text="10 files were deleted.")).to_be_visible()
    assert clicks.count == 3
    assert File.objects.filter(deleted_at=None).count() == 0
    clicks.on("button", "Undo")
    expect(page.get_by_text("10 files are back.")).to_be_visible()
    expect(page.locator("tbody tr")).to_have_count(10)
    assert File.objects.filter(deleted_at=None).count() == 10


def test_whoever_answers_no_deletes_nothing(visit, people, company_folder, ten):
    page, clicks = visited(visit, people, company_folder)
    clicks.on("checkbox", "Select all")
    clicks.on("button", "Delete")
    page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
    expect(page.locator("tbody :checked")).to_have_count(10)
    assert File.objects.filter(deleted_at=None).count() == 10


def test_ten_files_are_moved_by_two_clicks_and_the_choice(visit, people, company_folder, target, ten):
    page, clicks = visited(visit, people, company_folder)

    clicks.on("checkbox", "Select all")
    clicks.on("button", "Move")
    assert clicks.count == 2
    expect(page.get_by_role("heading", name="Move 10 files to …")).to_be_visible()
    page.get_by_role("button", name="Savanna / Tax").click()

    expect(page.get_by_text("10 files were moved.")).to_be_visible()
    assert page.url.endswith(company_folder.get_absolute_url())
    assert File.objects.filter(subfolder__name="Tax").count() == 10
    press(page, "Undo")
    expect(page.get_by_text("10 files are back where they were.")).to_be_visible()
    assert File.objects.filter(folder=company_folder).count() == 10


def test_a_folder_is_found_by_its_name(visit, people, company_folder, target, ten):
    page, clicks = visited(visit, people, company_folder)
    page.get_by_role("checkbox", name="Select: 3.txt").check()
    clicks.on("button", "Copy")
    expect(page.get_by_role("button", name="Baobab", exact=True)).to_be_visible()
    page.get_by_label("Find a folder").fill("savan")
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Baobab", exact=True)).to_have_count(0)
    page.get_by_role("button", name="Savanna", exact=True).click()
    expect(page.get_by_text("1 file was copied.")).to_be_visible()
    assert [file.filename for file in File.objects.filter(folder=target)] == ["3.txt"]


def test_several_files_get_tags(visit, people, company_folder, ten):
    page, clicks = visited(visit, people, company_folder)
    page.get_by_role("checkbox", name="Select: 1.txt").check()
    page.get_by_role("checkbox", name="Select: 2.txt").check()
    clicks.on("button", "Tag")
    page.get_by_label("Add tags").fill("tax, 2026")
    press(page, "Add tags")
    expect(page.get_by_text("2 files have the tags.")).to_be_visible()
    expect(page.get_by_role("link", name="2026")).to_have_count(2)
    press(page, "Undo")
    expect(page.get_by_role("link", name="2026")).to_have_count(0)


def test_scroll_and_focus_stay_where_they_were(visit, people, company_folder, ten):
    page, _clicks = visited(visit, people, company_folder)
    page.set_viewport_size({"width": 1000, "height": 500})
    page.get_by_role("checkbox", name="Select: 4.txt").check()
    page.get_by_role("checkbox", name="Select: 5.txt").check()
    page.evaluate("scrollTo({ top: 700, behavior: 'instant' })")
    top = page.evaluate("scrollY")
    assert top > 300
    page.get_by_role("button", name="Tag", exact=True).press("Enter")
    page.get_by_label("Add tags").fill("tax")
    page.keyboard.press("Enter")

    expect(page.get_by_text("2 files have the tags.")).to_be_in_viewport()
    assert abs(page.evaluate("scrollY") - top) < 40, "the upload panel may be a line higher or lower"
    expect(page.get_by_role("checkbox", name="Select all")).to_be_focused()


def test_one_row_is_deleted_and_the_next_one_has_the_focus(visit, people, company_folder, ten):
    page, _clicks = visited(visit, people, company_folder)
    row = page.get_by_role("row").filter(has_text="7.txt")
    row.get_by_role("button", name="Delete: 7.txt").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.get_by_text("“7.txt” was moved to")).to_be_visible()
    expect(page.get_by_role("link", name="6.txt", exact=True)).to_be_focused()
    press(page, "Undo")
    expect(page.get_by_role("link", name="7.txt", exact=True)).to_be_visible()


def test_without_scripts_all_of_it_works(visit, people, company_folder, target, ten):
    page = visit(people["uploader"], java_script_enabled=False)
    page.goto(company_folder.get_absolute_url())
    page.get_by_role("checkbox", name="Select: 1.txt").check()
    page.get_by_role("checkbox", name="Select: 2.txt").check()
    page.get_by_role("button", name="Move", exact=True).click()
    page.get_by_role("button", name="Savanna", exact=True).click()
    expect(page.get_by_text("2 files were moved.")).to_be_visible()
    assert page.url.endswith(company_folder.get_absolute_url())
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_text("2 files are back where they were.")).to_be_visible()
    page.get_by_role("checkbox", name="Select: 1.txt").check()
    page.get_by_role("button", name="Delete", exact=True).click()
    expect(page.get_by_text("1 file was deleted.")).to_be_visible()
