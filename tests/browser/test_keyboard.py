"""Users can reach and leave everything with the keyboard, and see where the focus is."""

import pytest
from playwright.sync_api import expect

pytestmark = [pytest.mark.browser, pytest.mark.once, pytest.mark.django_db(transaction=True)]

OUTLINE = """() => {
  const place = document.activeElement, style = getComputedStyle(place);
  return place === document.body || (style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2);
}"""


def test_the_skip_link_comes_first_and_leads_to_the_content(visit, people):
    page = visit(people["client"])
    page.goto("/")
    page.keyboard.press("Tab")
    skip = page.get_by_role("link", name="Skip to the content")
    expect(skip).to_be_focused()
    expect(skip).to_be_in_viewport(ratio=1)
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()


@pytest.mark.parametrize("width", [390, 1440])
def test_the_focus_is_always_visible(visit, people, report, width):
    page = visit(people["uploader"], viewport={"width": width, "height": 900})
    for path in (report.folder.get_absolute_url(), report.get_absolute_url(), "/profile"):
        page.goto(path)
        page.locator(".tool[aria-pressed]").wait_for()
        for _stop in range(25):
            page.keyboard.press("Tab")
            assert page.evaluate(OUTLINE), page.evaluate("document.activeElement.outerHTML")


def test_a_deletion_can_be_called_off_with_escape(visit, people, report):
    page = visit(people["uploader"])
    page.goto(report.folder.get_absolute_url())
    button = page.get_by_role("button", name="Delete: report.docx")
    dialog = page.get_by_role("dialog")
    button.press("Enter")
    expect(dialog).to_contain_text("“report.docx” will be deleted for everybody.")
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(button).to_be_focused()

    button.press("Enter")
    dialog.get_by_role("button", name="Delete").press("Enter")
    expect(page.get_by_text("“report.docx” was moved to the trash.")).to_be_visible()


def test_the_account_menu_opens_and_closes(visit, people):
    page = visit(people["client"], viewport={"width": 1440, "height": 900})
    page.goto("/")
    summary = page.locator("summary[aria-label='Your account']")
    summary.press("Enter")
    expect(page.get_by_role("button", name="Log out")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Log out")).to_be_hidden()
    expect(summary).to_be_focused()
    summary.press("Enter")
    page.get_by_role("button", name="Log out").press("Enter")
    expect(page.get_by_text("You are logged out.")).to_be_visible()
