"""Notifications in pages that stay open."""

import pytest
from playwright.sync_api import expect

from accounts.notices.notifications import mark_read, notify
from tests.browser.test_pages import LOOKS, assert_good_now

pytestmark = [pytest.mark.browser, pytest.mark.once, pytest.mark.django_db(transaction=True)]
MINUTE = 60_000


@pytest.fixture
def user(people):
    return people["client"]


def number(page):
    return page.locator("[data-module=notices] [data-part=count]")


def wait_for(page, milliseconds=MINUTE):
    """Move the page's clock forward, so that the test need not wait."""
    page.wait_for_function("() => document.title !== ''")
    page.clock.fast_forward(milliseconds)


def test_the_number_changes_while_a_page_stays_open(visit, user):
    page = visit(user)
    page.clock.install()
    page.goto("/profile")
    expect(number(page)).to_be_hidden()
    page.wait_for_load_state("networkidle")

    notify(user, "folder_granted", folder="Baobab", folder_slug="baobab")
    wait_for(page)
    expect(number(page)).to_have_text("1")
    expect(page).to_have_title("(1) Profile · Portal")
    expect(page.get_by_role("link", name="Unread notifications: 1")).to_be_visible()

    mark_read(user=user, everything=True)
    wait_for(page)
    expect(number(page)).to_be_hidden()
    expect(page).to_have_title("Profile · Portal")


def test_the_list_changes_while_it_is_open_and_keeps_the_focus(visit, user):
    notify(user, "folder_upload", about="f", folder="Baobab", folder_slug="baobab", filename="a.pdf", count=1)
    page = visit(user)
    page.clock.install()
    page.goto("/notifications")
    page.wait_for_load_state("networkidle")
    first = page.get_by_role("link", name="“a.pdf” is new in the folder “Baobab”.")
    first.focus()

    notify(user, "folder_upload", about="f", folder="Baobab", folder_slug="baobab", filename="b.pdf", count=1)
    wait_for(page)

    expect(page.get_by_role("link", name="2 files are new in the folder “Baobab”")).to_be_focused()
    expect(first).to_have_count(0)
    assert_good_now(page)


def test_of_two_tabs_one_asks_and_both_know(visit, user):
    page = visit(user)
    asked = []
    page.context.on("request", lambda request: asked.append(request) if request.url.endswith("/live") else None)
    other = page.context.new_page()
    for tab in (page, other):
        tab.clock.install()
        tab.goto("/profile")
        tab.wait_for_load_state("networkidle")

    notify(user, "folder_granted", folder="Baobab", folder_slug="baobab")
    for tab in (page, other):
        tab.clock.fast_forward(MINUTE)

    for tab in (page, other):
        expect(number(tab)).to_have_text("1")
    # The page may ask twice, because the minute can count as two of its half minutes. Only one tab asks.
    assert {request.frame.page for request in asked} == {page}


def test_a_page_of_somebody_switched_off_stops_asking(visit, user, watch):
    page = visit(user)
    asked = []
    page.on("response", lambda response: asked.append(response.status) if response.url.endswith("/live") else None)
    page.clock.install()
    page.goto("/profile")
    page.wait_for_load_state("networkidle")
    user.is_active = False
    user.save()

    watch.expect("401 GET .*/notifications/live")
    with page.expect_response("**/notifications/live"):
        wait_for(page)
    page.wait_for_load_state("networkidle")
    for _turn in range(3):
        page.clock.fast_forward(30 * MINUTE)
    page.wait_for_load_state("networkidle")
    assert asked == [401]


@pytest.mark.parametrize(("width", "scheme"), LOOKS)
def test_notifications_and_choices_look_finished(width, scheme, visit, user):
    notify(user, "folder_granted", folder="Baobab", folder_slug="baobab")
    notify(user, "upload_refused", filename=f"{'a rather long name ' * 8}.exe", reason="Programs are not taken here.")
    notify(user, "security_changed", what="api_token_created")
    page = visit(user, viewport={"width": width, "height": 900}, color_scheme=scheme)
    page.goto("/notifications")
    expect(page.get_by_role("heading", name="Today")).to_be_visible()
    assert_good_now(page)

    page.get_by_role("link", name="An API token was made").click()
    expect(number(page)).to_have_text("2")
    page.goto("/notifications?unread=1")
    page.get_by_role("button", name="Mark all as read").click()
    expect(page.get_by_text("You have read them all.")).to_be_visible()
    assert_good_now(page)

    page.get_by_role("link", name="By e-mail").click()
    page.get_by_role("radio", name="New files in a folder you may download from: Once a day").check()
    assert_good_now(page)
    page.get_by_role("main").get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("Saved.")).to_be_visible()
    expect(page.get_by_role("radio", name="New files in a folder you may download from: Once a day")).to_be_checked()


def test_without_scripts_everything_is_there(visit, user):
    notify(user, "folder_granted", folder="Baobab", folder_slug="baobab")
    page = visit(user, java_script_enabled=False)
    page.goto("/notifications")
    page.get_by_role("button", name="Mark as read: You may now use the folder “Baobab”.").click()
    expect(page.get_by_text("You have read them all.")).to_be_visible()
    page.get_by_role("link", name="Unread", exact=True).click()
    expect(page.get_by_text("Nothing unread")).to_be_visible()

    page.goto("/profile/notifications")
    choice = page.get_by_role("radio", name="Files in your folders are about to be deleted: Not by e-mail")
    choice.check()
    page.get_by_role("main").get_by_role("button", name="Save", exact=True).click()
    expect(choice).to_be_checked()
