"""The second factor in a browser: an app, its codes, and passkeys of Chromium's virtual authenticator."""

from base64 import b32decode
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from accounts.models import Passkey
from accounts.second_factors import totp
from config.outside import sealing
from tests.accounts.second_factors.factors import code_for, code_of
from tests.browser.steps import log_in as log_in_by_form
from tests.browser.steps import press
from tests.browser.test_pages import LOOKS, assert_good, assert_good_now

pytestmark = [pytest.mark.browser, pytest.mark.once, pytest.mark.django_db(transaction=True)]


def with_authenticator(page):
    """Give Chromium a virtual authenticator that stores passkeys and verifies its user."""
    devices = page.context.new_cdp_session(page)
    devices.send("WebAuthn.enable")
    devices.send(
        "WebAuthn.addVirtualAuthenticator",
        {
            "options": {
                "protocol": "ctap2",
                "transport": "internal",
                "hasResidentKey": True,
                "hasUserVerification": True,
                "isUserVerified": True,
                "automaticPresenceSimulation": True,
            }
        },
    )
    return page


def the_key(page):
    """The key that the set-up page shows, as text."""
    return page.locator(".copy code").inner_text().replace(" ", "")


def code_from(key):
    """The code that an app with this key shows."""
    return code_for(sealing.seal(totp.PURPOSE, b32decode(key)))


def test_an_app_from_the_set_up_to_the_next_log_in(visit, people):
    page = visit()
    page.goto("/login")
    log_in_by_form(page, "client@example.org")
    page.goto("/profile/security")
    page.get_by_role("link", name="Set up a second factor").click()
    page.get_by_role("link", name="Set up an app").click()
    expect(page.locator(".qr-frame svg")).to_be_visible()
    page.get_by_role("textbox", name="Code").fill(code_from(the_key(page)))
    press(page, "Turn it on")
    expect(page.locator(".codes li")).to_have_count(10)
    with page.expect_download() as saved:
        page.get_by_role("link", name="Save as text").click()
    codes = page.locator(".codes code").all_inner_texts()
    assert Path(saved.value.path()).read_text(encoding="utf-8").split() == codes
    page.get_by_role("link", name="I have kept them").click()
    expect(page.get_by_text("You have 10 unused codes")).to_be_visible()

    other = visit()
    other.goto("/login?next=/files/")
    log_in_by_form(other, "client@example.org")
    expect(other.get_by_role("heading", name="One more step")).to_be_visible()
    other.get_by_role("textbox", name="Code", exact=True).fill(code_of(people["client"], steps=1))
    press(other, "Log in")
    other.wait_for_url("**/files/")


def test_a_passkey_is_made_logs_in_alone_and_is_a_second_step(visit, people, watch):
    page = with_authenticator(visit())
    page.goto("/login")
    log_in_by_form(page, "client@example.org")
    page.goto("/profile/security/passkeys/add")
    page.get_by_label("Name").fill("My laptop")
    press(page, "Make the passkey")
    expect(page.locator(".codes li")).to_have_count(10)
    assert Passkey.objects.get().name == "My laptop"

    page.goto("/profile/security")
    page.context.clear_cookies()
    page.goto("/login?next=/files/")
    press(page, "Log in with a passkey")
    page.wait_for_url(lambda url: urlsplit(url).path == "/files/")
    page.wait_for_load_state("networkidle")  # let the page ask for unfinished uploads before the session is cleared

    page.context.clear_cookies()
    page.goto("/login")
    log_in_by_form(page, "client@example.org")
    press(page, "Use a passkey")
    page.wait_for_url(lambda url: url.endswith("/"))
    assert Passkey.objects.get().sign_count >= 2

    page.goto("/profile/security/passkeys/add")
    press(page, "Make the passkey")
    expect(page.get_by_text("This device has a passkey for your account already.")).to_be_visible()


@pytest.mark.parametrize("look", LOOKS, ids=lambda look: f"{look[0]}-{look[1]}")
def test_the_pages_look_finished(look, visit, people):
    width, scheme = look
    options = {"viewport": {"width": width, "height": 900}, "color_scheme": scheme}
    user = people["client"]
    page = visit(**options)
    page.goto("/login")
    log_in_by_form(page, user.email)
    for path in ("/profile/security", "/profile/security/second-factor", "/profile/security/authenticator"):
        assert_good(page, path)
    page.get_by_role("textbox", name="Code").fill(code_from(the_key(page)))
    press(page, "Turn it on")
    expect(page.locator(".codes li")).to_have_count(10)
    assert_good_now(page)
    for path in ("/profile/security", "/profile/security/confirm", "/profile/security/passkeys/add"):
        assert_good(page, path)

    other = visit(**options)
    other.goto("/login")
    log_in_by_form(other, user.email)
    expect(other.get_by_role("heading", name="One more step")).to_be_visible()
    other.get_by_text("Use a recovery code").click()
    assert Axe().run(other).violations_count == 0
    assert_good_now(other)
