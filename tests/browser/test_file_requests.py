"""File requests: a user asks for files, and a sender without an account sends them."""

import hashlib

import pytest
from playwright.sync_api import expect

from fileshare.models import File, ReceivedFile
from fileshare.requests import file_requests
from tests.browser.steps import drop, press, upload_row
from tests.browser.test_pages import LOOKS, assert_good_now
from tests.fileshare.requests.request_helpers import ask_for_files, path_of_request

pytestmark = [pytest.mark.browser, pytest.mark.once, pytest.mark.django_db(transaction=True)]


def enter(page, **facts):
    """Fill in the sender's name and other facts on the request's page, which is open."""
    for label, text in facts.items():
        page.get_by_role("textbox", name=label.replace("_", " ")).fill(text)
    press(page, "Go on")


def test_an_outsider_drops_two_files_and_gets_a_receipt_and_the_owner_sees_them(visit, page, people):
    owner = visit(people["client"], timezone_id="Africa/Nairobi")
    owner.goto("/files/")
    owner.get_by_role("link", name="File requests").click()
    owner.get_by_role("link", name="Ask for files").click()
    owner.get_by_label("What you ask for").fill("Statements of March")
    owner.get_by_label("Until when").fill("2027-03-01T17:00")
    press(owner, "Make the request")
    expect(owner.get_by_text("1 Mar 2027, 14:00 UTC")).to_be_visible()  # the user entered 17:00 in Nairobi's time
    address = owner.locator(".copy [data-part=text]").inner_text()

    page.goto(address)
    expect(page.get_by_role("heading", name="Statements of March")).to_be_visible()
    enter(page, Your_name="Amina Otieno")
    drop(page, ("one.txt", "text/plain", b"first"), ("two.txt", "text/plain", b"second" * 50_000))
    for name in ("one.txt", "two.txt"):
        expect(upload_row(page, name)).to_have_attribute("data-state", "done")
    expect(page.locator("#request-sent li")).to_have_count(2)
    page.get_by_role("link", name="See the receipt").click()
    for body in (b"first", b"second" * 50_000):
        expect(page.get_by_text(hashlib.sha256(body).hexdigest())).to_be_visible()

    owner.reload()
    expect(owner.get_by_role("link", name="one.txt")).to_be_visible()
    expect(owner.get_by_role("row").filter(has_text="two.txt")).to_contain_text("Amina Otieno")
    assert {file.uploaded_by for file in File.objects.all()} == {people["client"]}


def test_an_outsider_without_scripts_sends_several_files_at_once(visit, people, tmp_path):
    page = visit(java_script_enabled=False)
    page.goto(path_of_request(ask_for_files(people["client"], password="seven green boats")))
    enter(page, Your_name="Amina", Password="seven green boats")
    for name in ("one.txt", "two.txt"):
        (tmp_path / name).write_text(name)
    page.get_by_label("Choose one file or several").set_input_files([tmp_path / "one.txt", tmp_path / "two.txt"])
    press(page, "Send")
    expect(page.get_by_text("Your 2 files have arrived.")).to_be_visible()
    page.get_by_role("link", name="See the receipt").click()
    expect(page.get_by_text("two.txt")).to_be_visible()


def test_a_refused_file_and_a_request_that_is_full_say_so_in_the_uploader(page, people, watch):
    page.goto(path_of_request(ask_for_files(people["client"], max_files=1)))
    enter(page)
    watch.expect("415 POST .*/upload/initiate")
    drop(page, ("run.exe", "application/octet-stream", b"MZ"))
    expect(upload_row(page, "run.exe")).to_contain_text("could do harm")
    drop(page, ("one.txt", "text/plain", b"first"))
    expect(upload_row(page, "one.txt")).to_have_attribute("data-state", "done")
    watch.expect("410 POST .*/upload/initiate")
    drop(page, ("two.txt", "text/plain", b"second"))
    expect(upload_row(page, "two.txt")).to_contain_text("no more are taken")
    assert ReceivedFile.objects.count() == 1


@pytest.mark.parametrize("look", LOOKS, ids=lambda look: f"{look[0]}-{look[1]}")
def test_the_pages_of_a_request_look_finished(look, visit, people, watch):
    width, scheme = look
    options = {"viewport": {"width": width, "height": 900}, "color_scheme": scheme}
    row = ask_for_files(people["client"], note="A rather long word: " + "x" * 120, password="seven green boats")
    page, owner = visit(**options), visit(people["client"], **options)
    page.goto(path_of_request(row))
    assert_good_now(page)
    enter(page, Your_name="Amina Otieno " * 8, Password="seven green boats")
    drop(page, (f"{'a long name ' * 12}.txt", "text/plain", b"first"))
    expect(page.locator("#request-sent li")).to_have_count(1)
    assert_good_now(page)
    page.get_by_role("link", name="See the receipt").click()
    assert_good_now(page)
    for path in ("/requests/", "/requests/new", row.get_absolute_url()):
        owner.goto(path)
        assert_good_now(owner)
    file_requests.close(user=people["client"], request_id=row.pk)
    watch.expect("410 GET .*/request/")
    stranger = visit(**options)
    stranger.goto(path_of_request(row))
    assert_good_now(stranger)
