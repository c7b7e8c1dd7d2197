"""A firm's daily work with its clients, and how many clicks and fields it takes."""

import pytest
from playwright.sync_api import expect

from accounts.models import User
from tests.browser.steps import link_in_letter
from tests.browser.test_pages import assert_good, look  # noqa: F401 - a fixture
from tests.factories import PASSWORD, grant

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


class Counted:
    """A page whose clicks and filled fields are counted."""

    def __init__(self, page):
        self.page, self.clicks, self.fields = page, 0, 0

    def click(self, role, name):
        self.clicks += 1
        self.page.get_by_role(role, name=name, exact=True).first.click()

    def fill(self, label, text):
        self.fields += 1
        self.page.get_by_label(label, exact=True).fill(text)


@pytest.mark.both
def test_a_new_client_takes_six_clicks_and_three_fields_and_is_in_with_two_and_one(visit, people):
    desk = Counted(visit(people["ops"]))
    desk.page.goto("/")
    desk.click("link", "Clients")
    desk.click("link", "New client")
    desk.fill("Company", "Acacia Ltd")
    desk.fill("People (optional)", "amina@example.org, Amina Otieno")
    desk.click("button", "Create client")
    expect(desk.page.get_by_text("Acacia Ltd has its folder. 1 invitation is on its way.")).to_be_visible()
    expect(desk.page.get_by_role("link", name="Amina Otieno")).to_be_visible()
    assert desk.clicks <= 6
    assert desk.fields <= 3

    client = Counted(visit())
    client.page.goto(link_in_letter("amina@example.org", "/invitation"))  # the first click: the letter's button
    client.clicks += 1
    client.fill("Password", PASSWORD)
    client.click("button", "Open my account")
    expect(client.page.get_by_text("Your account is ready.")).to_be_visible()
    client.page.goto("/fileshare/acacia-ltd/")
    expect(client.page.get_by_role("link", name="From you")).to_be_visible()
    assert client.clicks <= 2
    assert client.fields <= 1


def test_a_leavers_access_is_taken_with_two_clicks(visit, people, company_folder):
    desk = Counted(visit(people["super"]))
    desk.page.goto("/")
    desk.click("link", "Clients")
    desk.fill("Company, name or address", people["colleague"].email)
    desk.page.keyboard.press("Enter")
    desk.click("button", f"Take access: {people['colleague'].get_full_name()}")
    expect(desk.page.get_by_text("can no longer log in.")).to_be_visible()
    assert User.objects.get(pk=people["colleague"].pk).state == "off"
    assert desk.clicks <= 2

    desk.click("button", f"Give access back: {people['colleague'].get_full_name()}")
    expect(desk.page.get_by_text("can log in again.")).to_be_visible()


def test_wrong_lines_are_told_beside_the_field(visit, people, watch):
    page = visit(people["ops"])
    page.goto("/clients/new")
    page.get_by_label("Company", exact=True).fill("Acacia")
    page.get_by_label("People (optional)", exact=True).fill("nobody\namina@example.org")
    watch.expect("400 POST .*/clients/new")
    page.get_by_role("button", name="Create client").click()
    expect(page.get_by_text("Line 1: Enter a valid e-mail address.")).to_be_visible()
    expect(page.get_by_label("People (optional)", exact=True)).to_have_attribute("aria-invalid", "true")


def test_the_pages_of_the_desk_are_good(visit, look, people, company_folder):  # noqa: F811
    grant(company_folder, "upload", company=company_folder.company)
    page = visit(people["super"], **look)
    for path in (
        "/clients/",
        f"/clients/?q={people['colleague'].email}",
        "/clients/new",
        f"/clients/{company_folder.company_id}/",
        f"/clients/people/{people['colleague'].pk}/",
    ):
        assert_good(page, path)
