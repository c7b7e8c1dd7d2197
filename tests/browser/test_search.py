"""Searching while typing, and without scripts."""

import pytest
from playwright.sync_api import expect

from fileshare.models import Tag
from tests.browser.test_pages import LOOKS, assert_good_now
from tests.factories import store_file

pytestmark = [pytest.mark.browser, pytest.mark.once, pytest.mark.django_db(transaction=True)]


@pytest.mark.parametrize(("width", "scheme"), LOOKS)
def test_results_come_while_typing(width, scheme, visit, people, company_folder, report):
    other = store_file(user=people["uploader"], folder=company_folder, filename="Budget 2026.docx")
    other.tags.add(Tag.objects.create(name="finance"))
    page = visit(people["colleague"], viewport={"width": width, "height": 900}, color_scheme=scheme)
    page.goto("/")
    page.get_by_role("link", name="Search", exact=True).click()
    expect(page.get_by_text("What are you looking for?")).to_be_visible()
    assert_good_now(page)

    page.get_by_label("Name, tag or type").press_sequentially("budg")
    expect(page.get_by_role("link", name="Budget 2026.docx", exact=True)).to_be_visible()
    expect(page.locator("mark")).to_have_text("Budg")
    expect(page.get_by_role("link", name="report.docx", exact=True)).to_have_count(0)
    expect(page.locator("#search-form [role=status]")).to_have_text("Files shown: 1")
    expect(page).to_have_url("/search?q=budg")
    expect(page.get_by_label("Name, tag or type")).to_be_focused()
    page.get_by_text("Filters", exact=True).click()
    assert_good_now(page)

    page.get_by_label("Type", exact=True).select_option("image")
    expect(page.get_by_text("Nothing found").last).to_be_visible()
    page.get_by_role("link", name="Start afresh").click()
    expect(page.get_by_text("What are you looking for?")).to_be_visible()
    page.wait_for_load_state()
    page.goto("/search?type=document")
    page.get_by_role("link", name="finance", exact=True).click()
    expect(page).to_have_url("/search?tags=finance")
    expect(page.get_by_role("link", name="Budget 2026.docx", exact=True)).to_be_visible()
    page.wait_for_load_state()


def test_what_is_typed_before_the_script_is_there_is_searched_for(visit, people, company_folder, report):
    page, waiting = visit(people["colleague"]), []
    page.route("**/js/portal.*.js", lambda route: waiting.append(route))
    with page.expect_request("**/js/portal.*.js"):
        page.goto("/search", wait_until="commit")
    page.get_by_label("Name, tag or type").fill("repo")
    waiting[0].continue_()

    expect(page.get_by_role("link", name="report.docx", exact=True)).to_be_visible()
    expect(page).to_have_url("/search?q=repo")


def test_without_scripts_the_form_is_sent(visit, people, company_folder, report):
    page = visit(people["uploader"], java_script_enabled=False)
    page.goto("/search")
    page.get_by_label("Name, tag or type").fill("REPO")
    page.get_by_role("main").get_by_role("button", name="Search", exact=True).click()
    page.get_by_role("link", name="report.docx", exact=True).click()

    page.get_by_label("Add tags").fill("Draft, 2026")
    page.get_by_role("button", name="Add", exact=True).click()
    page.get_by_role("button", name="Remove the tag: 2026").click()
    expect(page.get_by_role("button", name="Remove the tag: draft")).to_be_visible()
    expect(page.get_by_role("button", name="Remove the tag: 2026")).to_have_count(0)
