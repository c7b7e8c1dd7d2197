"""Tags: users give them to dropped files and get suggestions while typing. Tags also work without scripts."""

import pytest
from playwright.sync_api import expect

from fileshare.models import File, Tag
from tests.browser.steps import choose, drop, press, unfinished_row, upload_row
from tests.browser.test_pages import LOOKS, assert_good_now
from tests.factories import FolderFactory, store_file

pytestmark = [pytest.mark.browser, pytest.mark.once, pytest.mark.django_db(transaction=True)]


@pytest.fixture(autouse=True)
def known(people, company_folder):
    """A file with tags in the company folder; a file in another folder has another tag."""
    store_file(user=people["super"], folder=FolderFactory(), filename="hidden.docx", tag_names=["drowned"])
    tags = ["2026", "draft", "drive"]
    return store_file(user=people["uploader"], folder=company_folder, filename="known.docx", tag_names=tags)


def assert_offers(page, lines):
    """The field for tags suggests exactly these."""
    expect(page.locator("#known-tags option")).to_have_count(len(lines))
    assert page.locator("#known-tags option").evaluate_all("all => all.map(option => option.value)") == lines


def names(filename):
    return [tag.name for tag in File.objects.get(filename=filename).tags.all()]


@pytest.mark.parametrize(("width", "scheme"), LOOKS)
def test_all_files_of_a_drop_get_the_tags_typed_before(width, scheme, visit, people, company_folder):
    page = visit(people["uploader"], viewport={"width": width, "height": 900}, color_scheme=scheme)
    page.goto(company_folder.get_absolute_url())
    page.get_by_text("Add tags", exact=True).click()
    line = page.get_by_label("Tags", exact=True)
    line.press_sequentially("Blue, dr")
    assert_offers(page, ["Blue, draft", "Blue, drive"])
    assert_good_now(page)
    line.fill("Blue, draft")

    drop(page, ("a.txt", "text/plain", b"words"), ("b.txt", "text/plain", b"more words"))
    for name in ("a.txt", "b.txt"):
        expect(upload_row(page, name)).to_have_attribute("data-state", "done")
        assert names(name) == ["blue", "draft"]
    expect(page.locator("#file-list").get_by_text("blue", exact=True)).to_have_count(2)

    line.fill("")
    drop(page, ("c.txt", "text/plain", b"other words"))
    expect(upload_row(page, "c.txt")).to_have_attribute("data-state", "done")
    assert names("c.txt") == []


def test_a_tag_that_cannot_be_is_said_beside_each_file(visit, people, company_folder, watch):
    page = visit(people["uploader"])
    page.goto(company_folder.get_absolute_url())
    page.get_by_text("Add tags", exact=True).click()
    page.get_by_label("Tags", exact=True).fill("x" * 51)
    watch.expect("400 POST .*/initiate")

    drop(page, ("a.txt", "text/plain", b"words"))
    expect(upload_row(page, "a.txt")).to_contain_text("A tag has at most 50 characters.")
    drop(page, ("b.txt", "text/plain", b"words"), ("c.txt", "text/plain", b"words"))
    expect(upload_row(page, "b.txt")).to_contain_text("A tag has at most 50 characters.")
    expect(upload_row(page, "c.txt")).to_contain_text("A tag has at most 50 characters.")
    assert not File.objects.filter(filename__in=["a.txt", "b.txt", "c.txt"]).exists()


def test_an_upload_that_goes_on_after_a_reload_keeps_its_tags_and_takes_more(
    visit, people, company_folder, settings, tmp_path
):
    settings.MULTIPART_THRESHOLD_BYTES = settings.PART_SIZE_BYTES = 1000
    path = tmp_path / "Backup.txt"
    path.write_text("words " * 500)
    page = visit(people["uploader"])
    page.on("dialog", lambda dialog: dialog.accept())  # "leave the page?"
    page.goto(company_folder.get_absolute_url())
    page.get_by_text("Add tags", exact=True).click()
    page.get_by_label("Tags", exact=True).fill("first")
    page.route("**/store/**", lambda route: None)
    with page.expect_request("**/store/**"):
        choose(page, path)
    page.reload()
    page.unroute("**/store/**")
    expect(unfinished_row(page, path.name)).to_be_visible()

    page.get_by_text("Add tags", exact=True).click()
    page.get_by_label("Tags", exact=True).fill("second")
    choose(page, path)
    expect(upload_row(page, path.name)).to_have_attribute("data-state", "done")
    assert names(path.name) == ["first", "second"]


def test_suggestions_come_while_typing_on_the_page_of_a_file_and_in_the_search(visit, people, known):
    page = visit(people["uploader"])
    page.goto(known.get_absolute_url())
    assert_offers(page, ["2026", "draft", "drive"])
    page.get_by_label("Add tags").press_sequentially("dri")
    assert_offers(page, ["drive"])

    page.goto("/search")
    assert_offers(page, ["2026", "draft", "drive"])
    page.get_by_text("Filters", exact=True).click()
    page.get_by_label("Tags", exact=True).press_sequentially("draft, d")
    assert_offers(page, ["draft, drive"])
    page.get_by_label("Tags", exact=True).fill("draft, drive")
    expect(page.get_by_role("link", name="known.docx", exact=True)).to_be_visible()
    page.wait_for_load_state("networkidle")


def test_what_was_typed_before_the_script_came_gets_suggestions_too(visit, people, known):
    page, held = visit(people["uploader"]), []
    page.route("**/js/portal.*.js", lambda route: held.append(route))
    with page.expect_request("**/js/portal.*.js"):
        page.goto(known.get_absolute_url(), wait_until="commit")
    page.get_by_label("Add tags").press_sequentially("dri")
    held[0].continue_()

    assert_offers(page, ["drive"])


def test_when_suggestions_do_not_come_one_can_still_type(visit, people, known, watch):
    page = visit(people["uploader"])
    page.goto(known.get_absolute_url())
    page.route("**/api/files/tags?**", lambda route: route.fulfill(status=503, json={"detail": "x", "code": "y"}))
    watch.expect("503 GET .*/api/files/tags")
    with page.expect_response("**/api/files/tags?**"):
        page.get_by_label("Add tags").press_sequentially("blue")
    assert_offers(page, ["2026", "draft", "drive"])
    press(page, "Add")
    expect(page.get_by_role("button", name="Remove the tag: blue")).to_be_visible()


def test_without_scripts_a_file_is_sent_with_its_tags(visit, people, company_folder, tmp_path):
    path = tmp_path / "notes.txt"
    path.write_bytes(b"words")
    page = visit(people["uploader"], java_script_enabled=False)
    page.goto(company_folder.get_absolute_url())
    page.get_by_text("Add tags", exact=True).click()
    page.get_by_label("Tags", exact=True).fill("Blue, draft")
    page.locator("#upload-file").set_input_files(path)
    press(page, "Upload")

    expect(page.get_by_text("“notes.txt” is uploaded.")).to_be_visible()
    assert names("notes.txt") == ["blue", "draft"]
    assert Tag.objects.filter(name="blue").count() == 1
