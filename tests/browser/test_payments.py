"""Buying space with a phone: the page waits, shows the result, and the bar shows the new space."""

import re

import pytest
from playwright.sync_api import expect

from payments import transactions
from payments.models import Status, Transaction
from payments.mpesa import callback_records
from tests.browser.test_pages import assert_good, assert_good_now
from tests.factories import PlanFactory
from tests.payments.daraja import callback, settle, simulated  # noqa: F401 - a fixture

pytestmark = [pytest.mark.browser, pytest.mark.once, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def plan(portal, settings, daraja):
    """A plan on sale. The simulator sends its callbacks to this portal."""
    settings.MPESA_CALLBACK_URL = portal
    return PlanFactory(name="5 GiB for 30 days", extra_bytes=5 * 2**30, amount=100)


def buy(page, number):
    page.goto("/payments/")
    page.get_by_role("link", name="Buy 5 GiB for 30 days").click()
    page.get_by_label("M-Pesa number").fill(number)
    page.get_by_role("button", name="Pay KES 100").click()
    expect(page).to_have_url(re.compile(r"/payments/[0-9a-f-]{36}/$"))


def what_the_schedule_does(daraja):
    daraja.wait_for_calls()
    callback_records.process_waiting()


def test_a_plan_is_bought_and_the_bar_grows(visit, people, plan, daraja):
    daraja.delay = 0.5
    page = visit(people["client"])
    page.goto("/files/", wait_until="networkidle")
    expect(page.locator("#folder-quota")).to_contain_text("of 5.0 GB used")

    buy(page, "0712345699")
    expect(page.get_by_role("heading", name="Check your phone")).to_be_visible()
    what_the_schedule_does(daraja)

    expect(page.get_by_role("heading", name="Paid. Thank you!")).to_be_visible()
    expect(page.locator(".payment-quota")).to_contain_text("of 10.0 GB used")
    page.goto("/files/", wait_until="networkidle")
    expect(page.locator("#folder-quota")).to_contain_text("of 10.0 GB used")
    page.goto("/payments/")
    expect(page.locator(".running")).to_contain_text("My files")

    page.get_by_role("link", name=Transaction.objects.get().receipt_number).click()
    expect(page.get_by_role("heading", name="Receipt")).to_be_visible()
    with page.expect_download() as arriving:
        page.get_by_role("link", name="Download as PDF").click()
    assert arriving.value.suggested_filename.startswith("receipt-")


@pytest.mark.parametrize(
    ("digits", "title"),
    [("02", "You cancelled the payment"), ("03", "The PIN was wrong"), ("04", "There was no answer")],
)
def test_how_it_ended_is_told_while_the_page_is_open(digits, title, visit, people, plan, daraja):
    page = visit(people["client"])
    buy(page, f"+254 712 3456{digits}")

    what_the_schedule_does(daraja)

    expect(page.get_by_role("heading", name=title)).to_be_visible()
    page.get_by_role("link", name="Try again").click()
    expect(page.get_by_label("M-Pesa number")).to_be_visible()


def test_without_scripts_it_works_too(visit, people, plan, daraja):
    page = visit(people["client"], java_script_enabled=False)
    buy(page, "0712 345 699")
    expect(page.get_by_role("heading", name="Check your phone")).to_be_visible()

    what_the_schedule_does(daraja)
    page.get_by_role("link", name="Look again").click()

    expect(page.get_by_role("heading", name="Paid. Thank you!")).to_be_visible()


@pytest.mark.parametrize(("width", "scheme"), [(390, "light"), (1280, "dark")])
def test_the_pages_of_payments_look_finished(width, scheme, visit, people, plan, daraja):
    page = visit(people["super"], viewport={"width": width, "height": 900}, color_scheme=scheme)
    for path in ("/payments/", f"/payments/plans/{plan.pk}/", "/payments/history/", "/payments/all/"):
        assert_good(page, path)
    assert_good(page, "/payments/revenue/")
    rows = [
        transactions.start(user=people["super"], phone_number=f"2547123456{digits}", plan_id=plan.pk)
        for digits in ("99", "02", "25", "36")
    ]
    what_the_schedule_does(daraja)
    for row in rows:
        assert_good(page, row.get_absolute_url())
    assert_good(page, f"/payments/{rows[0].pk}/receipt")
    for path in ("/payments/", "/payments/history/", "/payments/all/", "/payments/review/", "/payments/revenue/"):
        assert_good(page, path)
    page.get_by_role("link", name="365 days").click()
    assert_good_now(page)
    assert {row.status for row in Transaction.objects.all()} == {
        Status.PAID,
        Status.CANCELLED,
        Status.NEEDS_REVIEW,
        Status.SUBMITTED,
    }
    settle(callback(rows[3]))
