"""Guessing passwords locks an account, and its owner can still log in."""

import secrets
from unittest.mock import Mock

import pytest
import time_machine
from django.core import signing
from django.core.cache import caches
from django.db import OperationalError, connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from rest_framework.test import APIClient

from accounts.contributions.actions import Action
from accounts.credentials import lockout
from accounts.models import OutgoingMail
from accounts.notices import mailed_links
from audit.models import Event
from tests.accounts.notices.letters import token_in
from tests.factories import PASSWORD

pytestmark = pytest.mark.django_db
EMAIL, WRONG, NEW = "client@example.org", "wrong", "eight yellow boats"
ATTACKERS = [f"203.0.113.{n}" for n in range(1, 101)]
FEW = 4
START = timezone.now().replace(second=1, microsecond=0)


@pytest.fixture(autouse=True)
def clock(settings):
    settings.RATELIMIT_ENABLE = True
    settings.LOGIN_LOCKOUT_FAILURES = FEW
    with time_machine.travel(START, tick=False) as clock:
        yield clock


def script(email=EMAIL, password=WRONG, address="192.0.2.1", **headers):
    return APIClient(REMOTE_ADDR=address, **headers).post("/api/auth/login", {"email": email, "password": password})


def by_page(email=EMAIL, password=WRONG, address="192.0.2.1", client=None):
    return (client or Client()).post("/login", {"email": email, "password": password}, REMOTE_ADDR=address)


def hammer(email=EMAIL, ask=script, attackers=FEW + 2):
    return [ask(email, address=address).status_code for address in ATTACKERS[:attackers]]


LOCKED = [401] * FEW + [429] * 2


@pytest.fixture
def owner(people):
    """A browser in which the owner has logged in once and logged out."""
    client = Client()
    by_page(password=PASSWORD, client=client)
    client.post("/logout")
    people["client"].sessions.all().delete()
    return client


@pytest.mark.parametrize("ask", [script, by_page])
def test_a_hundred_addresses_have_twenty_guesses_together(ask, people, settings):
    settings.LOGIN_LOCKOUT_FAILURES = 20

    answers = hammer(ask=ask, attackers=100)

    assert answers == [401] * 20 + [429] * 80
    for right in (script, by_page):
        locked = right(password=PASSWORD, address="198.51.100.1")
        assert locked.status_code == 429
        assert 1 <= int(locked["Retry-After"]) <= 3600


def test_the_refusal_is_the_contracts_json_and_proves_no_password(people):
    hammer()

    wrong, right = (script(password=word, address="198.51.100.1") for word in (WRONG, PASSWORD))

    assert wrong.json() == right.json()
    assert right.json()["code"] == "login_locked"


def test_the_page_says_so_beside_the_way_to_a_new_password(people):
    hammer()

    page_of_login = by_page(address="198.51.100.1").content.decode()

    assert "have failed" in page_of_login
    assert 'href="/forgot-password"' in page_of_login


def test_the_owner_logs_in_from_a_browser_of_theirs_during_the_attack(owner):
    hammer()

    response = by_page(password=PASSWORD, address="198.51.100.1", client=owner)

    assert (response.status_code, response["Location"]) == (302, "/")


def test_the_owners_script_logs_in_from_where_it_did_before(people):
    script(password=PASSWORD, address="198.51.100.7")
    hammer()

    assert script(password=PASSWORD, address="198.51.100.7").status_code == 200
    assert script(password=PASSWORD, address="198.51.100.8").status_code == 429


@pytest.mark.parametrize("log_in", [script, by_page])
def test_an_address_of_a_month_ago_is_like_any_other(log_in, people, clock):
    log_in(password=PASSWORD, address="198.51.100.7")
    clock.shift(31 * 24 * 3600)
    hammer()

    assert script(password=PASSWORD, address="198.51.100.7").status_code == 429


def test_a_known_place_has_a_small_budget_of_its_own(owner, clock):
    hammer()
    # Use another address each time, so that the limit per minute does not apply.
    answers = [by_page(address=f"198.51.100.{turn}", client=owner).status_code for turn in range(12)]

    assert answers == [401] * 10 + [429] * 2
    assert by_page(password=PASSWORD, address="198.51.100.99", client=owner).status_code == 429


def test_what_a_known_place_gets_wrong_does_not_count_against_the_account(owner):
    for turn in range(10):
        by_page(address=f"198.51.100.{turn}", client=owner)

    assert hammer() == LOCKED


def test_right_passwords_are_not_counted(people):
    for address in ATTACKERS[: FEW * 2]:
        assert script(password=PASSWORD, address=address).status_code == 200

    assert script(address="198.51.100.1").status_code == 401


def test_a_database_that_is_away_is_nobodys_guess(people):
    def away():
        raise OperationalError("the database is away")

    for _turn in range(2 * FEW):
        with pytest.raises(OperationalError), lockout.guarded(email=EMAIL):
            away()

    assert script(password=PASSWORD).status_code == 200


def test_a_lock_that_could_not_be_recorded_is_recorded_the_next_time(people, monkeypatch):
    with monkeypatch.context() as fault:
        fault.setattr(lockout, "record", Mock(side_effect=OperationalError("the database is away")))
        with pytest.raises(OperationalError):
            lockout._lock(lockout._digest(EMAIL), EMAIL)
    assert not Event.objects.filter(action=Action.LOGIN_LOCKED).exists()

    hammer()

    assert Event.objects.filter(action=Action.LOGIN_LOCKED).count() == 1


def test_an_address_without_an_account_is_locked_alike(people):
    answers = hammer("nobody@example.org")

    assert answers == hammer() == LOCKED
    bodies = [script(email, address="198.51.100.1").json() for email in (EMAIL, "nobody@example.org")]
    assert bodies[0] == bodies[1]


def test_another_account_is_not_held_up(people):
    hammer()

    assert script("ops@example.org", PASSWORD, address=ATTACKERS[0]).status_code == 200


def test_however_the_address_is_typed_it_is_one_account(people):
    for turn, address in enumerate(ATTACKERS[:FEW]):
        script((EMAIL, " CLIENT@example.org", "Client@Example.Org ")[turn % 3], address=address)

    assert script(password=PASSWORD, address="198.51.100.1").status_code == 429


def test_after_the_window_everybody_may_try_again(people, clock):
    hammer()
    wait = int(script(address="198.51.100.1")["Retry-After"])
    clock.shift(wait)

    assert script(password=PASSWORD, address="198.51.100.1").status_code == 200


@pytest.mark.parametrize(("email", "letters"), [(EMAIL, 1), ("nobody@example.org", 0)])
def test_it_is_recorded_and_told_once_in_a_window(email, letters, people, outbox):
    hammer(email)
    hammer(email)

    event = Event.objects.get(action=Action.LOGIN_LOCKED)
    assert (event.actor_email, event.detail) == (email, {"failures": FEW})
    # Both cases write one row. The portal drops the letter to an unknown address when it sends the mail.
    assert OutgoingMail.objects.filter(letter="login_locked").count() == 1
    sent = [letter for letter in outbox() if "guess" in letter.subject]
    assert [letter.to for letter in sent] == [[email]] * letters


def test_a_lock_costs_an_account_and_none_the_same_queries(people):
    costs = []
    for email in (EMAIL, "nobody@example.org"):
        hammer(email, attackers=FEW)
        with CaptureQueriesContext(connection) as captured:
            script(email, address="198.51.100.1")
        costs.append(len(captured))

    assert costs[0] == costs[1]
    assert OutgoingMail.objects.filter(letter="login_locked").count() == 2


def test_a_new_password_by_mail_lifts_it_and_the_browser_that_set_it_is_known(people, outbox, commits):
    hammer()
    browser = Client()
    browser.post("/forgot-password", {"email": EMAIL})
    letter = next(letter for letter in outbox() if "?token=" in letter.body)

    with commits():
        browser.post("/reset-password", {"token": token_in(letter), "new_password": NEW})

    assert hammer() == LOCKED
    assert by_page(password=NEW, address="198.51.100.1", client=browser).status_code == 302


def test_a_script_that_sets_a_new_password_is_known_by_its_address(people, outbox, commits):
    hammer()
    token = mailed_links.make_link_token(people["client"], mailed_links.RESET)
    body = {"token": token, "new_password": NEW}

    with commits():
        APIClient(REMOTE_ADDR="198.51.100.7").post("/api/auth/reset-password", body)
    hammer()

    assert script(password=NEW, address="198.51.100.7").status_code == 200


def test_from_the_owners_address_too_an_account_and_none_look_alike(people, settings):
    settings.RATE_LIMITS = {**settings.RATE_LIMITS, "login": "1000/m"}
    shared = "198.51.100.7"
    script(password=PASSWORD, address=shared)

    answers = [[script(email, address=shared) for _turn in range(FEW + 6)] for email in (EMAIL, "nobody@example.org")]

    known, unknown = ([answer.status_code for answer in each] for each in answers)
    assert known == unknown == [401] * FEW + [429] * 6
    assert answers[0][-1].json() == answers[1][-1].json() == answers[0][FEW].json()


def test_a_known_address_that_guessed_three_times_more_is_like_any_other(people, settings):
    settings.RATE_LIMITS = {**settings.RATE_LIMITS, "login": "1000/m"}
    script(password=PASSWORD, address="198.51.100.7")
    hammer()

    for _turn in range(lockout.ADDRESS_FAILURES):
        assert script(password=PASSWORD, address="198.51.100.7").status_code == 200
        script(address="198.51.100.7")

    assert script(password=PASSWORD, address="198.51.100.7").status_code == 429


def test_a_counter_that_lost_its_expiry_ends_with_its_window(people, clock, monkeypatch):
    cache = caches["default"]

    def add(key, value, timeout=None, version=None):
        return type(cache).add(cache, key, value, None, version)

    # Redis does this when a key expires between the two steps of incr.
    monkeypatch.setattr(cache, "add", add)
    hammer()
    clock.shift(int(script(address="198.51.100.1")["Retry-After"]))

    assert script(password=PASSWORD, address="198.51.100.1").status_code == 200


def test_a_new_secret_key_forgets_no_browser(owner, settings):
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = secrets.token_urlsafe(64)
    hammer()

    assert by_page(password=PASSWORD, address="198.51.100.1", client=owner).status_code == 302


def change_email(client, user, email="new@example.org"):
    user.pending_email = email
    user.save()
    return client.post("/change-email", {"token": mailed_links.make_link_token(user, mailed_links.CHANGE_EMAIL)})


def test_a_new_address_of_the_account_forgets_no_browser(owner, people):
    change_email(Client(), people["client"])
    hammer("new@example.org")

    assert by_page("new@example.org", PASSWORD, address="198.51.100.1", client=owner).status_code == 302


def test_the_browser_that_confirms_an_address_is_known(people):
    browser = Client()
    assert change_email(browser, people["client"]).status_code == 200
    hammer("new@example.org")

    assert by_page("new@example.org", PASSWORD, address="198.51.100.1", client=browser).status_code == 302


def test_a_cookie_opens_the_door_of_no_other_account(owner, people):
    hammer("ops@example.org")

    assert by_page("ops@example.org", PASSWORD, address="198.51.100.1", client=owner).status_code == 429


@pytest.mark.parametrize("value", ["", "x", "a:b:c", signing.dumps([["x", "y"]]), "\x00", "é" * 5_000], ids=range(6))
def test_a_forged_cookie_is_none(value, people):
    hammer()

    assert script(password=PASSWORD, address="198.51.100.1", HTTP_COOKIE=f"device={value}").status_code == 429


def test_a_cookie_of_half_a_year_ago_is_none(owner, clock):
    clock.shift(181 * 24 * 3600)
    hammer()

    assert by_page(password=PASSWORD, address="198.51.100.1", client=owner).status_code == 429


def test_two_people_may_share_a_browser(owner, people):
    by_page("ops@example.org", PASSWORD, client=owner)
    owner.post("/logout")
    hammer()

    assert by_page(password=PASSWORD, address="198.51.100.1", client=owner).status_code == 302


def test_the_cookie_is_for_this_site_alone_and_tells_no_address(owner):
    cookie = owner.cookies[lockout.COOKIE_NAME]

    assert (cookie["httponly"], cookie["samesite"], cookie["path"]) == (True, "Lax", "/")
    assert EMAIL not in signing.b64_decode(cookie.value.split(":")[0].encode()).decode(errors="replace")


def test_switched_off_nothing_is_counted(people, settings):
    settings.RATELIMIT_ENABLE = False

    assert set(hammer()) == {401}
