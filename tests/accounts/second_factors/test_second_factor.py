"""The second factor: log-ins need it, each code works once, and users who must set one up reach nothing else."""

import json
import logging
from datetime import timedelta

import pytest
import time_machine
from cryptography.fernet import Fernet
from django.apps import apps
from django.contrib.auth import SESSION_KEY
from django.core import signing
from django.core.exceptions import PermissionDenied
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts import tasks
from accounts.contributions.actions import Action
from accounts.credentials import passwords, tokens
from accounts.models import OutgoingMail, RecoveryCode, RefreshToken, RolePolicy, SpentProof, TotpDevice, User
from accounts.notices import mail, mailed_links
from accounts.notices.notifications import notify
from accounts.people import invitations, roles
from accounts.second_factors import factors, half_signed_in, recovery_codes, totp
from accounts.signing_in import sign_in
from audit.models import Event
from config.errors import Refused
from config.outside import sealing
from tests.accounts.notices.letters import link_in
from tests.accounts.second_factors.factors import code_for, code_of, give_app, wrong_code
from tests.accounts.test_races import at_once
from tests.factories import PASSWORD, UserFactory

pytestmark = pytest.mark.django_db
LOGIN = {"email": "client@example.org", "password": PASSWORD}
STEP = "/login/second-factor"
START = timezone.now().replace(microsecond=0)


@pytest.fixture
def codes(people):
    """The recovery codes of `client`, who has an authenticator app."""
    return give_app(people["client"])


@pytest.fixture
def frozen():
    with time_machine.travel(START, tick=False) as clock:
        yield clock


def is_signed_in(client):
    return SESSION_KEY in client.session


def log_in(user, **headers):
    """A browser whose user has just proved their identity."""
    client = Client(**headers)
    client.force_login(user)
    session = client.session
    session[sign_in.PROVED_AT] = int(timezone.now().timestamp())
    session.save()
    return client


def actions(action):
    return list(Event.objects.filter(action=action).values_list("detail", flat=True))


# --- Logging in by browser --------------------------------------------------------------------------


def test_the_password_alone_opens_nothing(client, people, codes):
    response = client.post("/login", {**LOGIN, "next": "/profile"})

    assert (response.status_code, response["Location"]) == (302, STEP)
    assert not is_signed_in(client)
    assert client.get("/profile")["Location"].startswith("/login")
    assert client.get("/api/users/me").status_code == 401
    assert not Event.objects.filter(action=Action.LOGIN).exists()
    assert User.objects.get(pk=people["client"].pk).last_login is None


def test_with_the_code_one_is_in_under_a_fresh_key_and_where_one_was_going(client, people, codes):
    client.post("/login", {**LOGIN, "next": "/profile"})
    before = client.session.session_key

    response = client.post(STEP, {"code": code_of(people["client"])})

    assert (response.status_code, response["Location"]) == (302, "/profile")
    assert is_signed_in(client)
    assert client.session.session_key != before
    assert half_signed_in.KEY not in client.session
    assert actions(Action.LOGIN) == [{"by": "browser", "method": "totp"}]


def test_the_first_step_changes_the_session_key_too(client, people, codes):
    session = client.session
    session["planted"] = True
    session.save()
    before = session.session_key
    client.cookies["session"] = before

    client.post("/login", LOGIN)

    assert client.session.session_key != before


@pytest.mark.parametrize("steps", [-1, 0, 1])
def test_a_clock_may_be_off_by_one_step(steps, client, people, codes, frozen):
    client.post("/login", LOGIN)

    assert client.post(STEP, {"code": code_of(people["client"], steps=steps)}).status_code == 302


@pytest.mark.parametrize("steps", [-2, 2])
def test_but_not_by_two(steps, client, people, codes, frozen):
    client.post("/login", LOGIN)

    assert client.post(STEP, {"code": code_of(people["client"], steps=steps)}).status_code == 401
    assert not is_signed_in(client)


@pytest.mark.parametrize("spelling", ["{0[0]}{0[1]}{0[2]} {0[3]}{0[4]}{0[5]}", " {0} ", "{0}\n"])
def test_a_code_may_be_typed_with_spaces(spelling, client, people, codes):
    client.post("/login", LOGIN)

    assert client.post(STEP, {"code": spelling.format(code_of(people["client"]))}).status_code == 302


@pytest.mark.parametrize("text", ["", "12345", "1234567", "abcdef", "１２３４５６", "-12345", "1e5000", "x" * 21])
def test_what_is_no_code_is_refused(text, client, people, codes):
    client.post("/login", LOGIN)

    assert client.post(STEP, {"code": text}).status_code in (400, 401)
    assert not is_signed_in(client)


def test_a_code_counts_once(client, people, codes, frozen):
    code = code_of(people["client"])
    client.post("/login", LOGIN)
    assert client.post(STEP, {"code": code}).status_code == 302
    other = Client()
    other.post("/login", LOGIN)

    assert other.post(STEP, {"code": code}).status_code == 401
    assert not is_signed_in(other)


def test_after_a_code_the_one_before_it_counts_no_more(client, people, codes, frozen):
    user = people["client"]
    assert factors.prove(user, code=code_of(user)) == "totp"

    with pytest.raises(factors.CodeWrong):
        factors.prove(user, code=code_of(user, steps=-1))
    assert factors.prove(user, code=code_of(user, steps=1)) == "totp"


def test_a_half_log_in_ends_after_ten_minutes(client, people, codes, frozen):
    client.post("/login", LOGIN)
    frozen.shift(half_signed_in.BROWSER_SECONDS + 1)

    response = client.post(STEP, {"code": code_of(people["client"])})

    assert (response.status_code, response["Location"]) == (302, "/login")
    assert not is_signed_in(client)


@pytest.mark.parametrize("change", ["password", "switched off", "factor removed"])
def test_a_half_log_in_ends_with_what_it_stands_on(change, client, people, codes):
    user = people["client"]
    client.post("/login", LOGIN)
    code = code_of(user)
    match change:
        case "password":
            passwords.change(user=user, current_password=PASSWORD, new_password="nine purple trains")
        case "switched off":
            roles.change_user(by=people["super"], user_id=user.pk, is_active=False)
        case "factor removed":
            factors.remove_all(by=people["super"], user_id=user.pk)

    client.post(STEP, {"code": code})

    assert not is_signed_in(client)
    assert client.get(STEP)["Location"] == "/login"


def test_without_the_first_step_there_is_no_second(client, people, codes):
    assert client.get(STEP)["Location"] == "/login"
    assert client.post(STEP, {"code": code_of(people["client"])})["Location"] == "/login"
    assert not is_signed_in(client)
    assert TotpDevice.objects.get().last_step == 0, "nothing was even looked at"


def test_the_page_offers_what_there_is(client, people, codes):
    client.post("/login", LOGIN)

    page = client.get(STEP).content.decode()

    assert 'autocomplete="one-time-code"' in page
    assert 'inputmode="numeric"' in page
    assert "recovery_code" in page
    assert "second-step" not in page, "no passkey, no button for one"


@pytest.mark.parametrize("target", ["https://elsewhere.example/", "//elsewhere.example"])
def test_the_second_step_leads_to_no_other_site(target, client, people, codes):
    client.post("/login", {**LOGIN, "next": target})

    assert client.post(STEP, {"code": code_of(people["client"])})["Location"] == "/"


def test_a_new_password_by_mail_is_no_way_round(client, people, codes, outbox):
    token = mailed_links.make_link_token(people["client"], mailed_links.RESET)
    client.post("/reset-password", {"token": token, "new_password": "nine purple trains"})
    assert not is_signed_in(client)

    client.post("/login", {**LOGIN, "password": "nine purple trains"})

    assert not is_signed_in(client)
    assert client.get(STEP).status_code == 200


def test_djangos_own_log_in_knows_nobody(client, people, codes):
    assert not client.login(email="super@example.org", username="super@example.org", password=PASSWORD)
    response = client.post("/admin/login/", {"username": "super@example.org", "password": PASSWORD})
    assert response["Location"].startswith("/login")


# --- Guessing ---------------------------------------------------------------------------------------


def test_after_five_wrong_codes_in_a_row_the_right_one_has_to_wait_whoever_sends_it(people, codes, frozen, outbox):
    user = people["client"]
    for turn in range(totp.FREE_GUESSES):
        guesser = Client(REMOTE_ADDR=f"192.0.2.{turn}")
        guesser.post("/login", LOGIN)
        assert guesser.post(STEP, {"code": wrong_code(user)}).status_code == 401

    owner = Client(REMOTE_ADDR="198.51.100.7")
    owner.post("/login", LOGIN)
    response = owner.post(STEP, {"code": code_of(user)})
    assert response.status_code == 429
    assert 1 <= int(response["Retry-After"]) <= 61
    frozen.shift(int(response["Retry-After"]))
    assert owner.post(STEP, {"code": code_of(user)}).status_code == 302

    assert actions(Action.SECOND_FACTOR_FAILED) == [{"method": "totp"}] * totp.FREE_GUESSES
    (letter,) = outbox()
    assert letter.to == [user.email]
    assert "wrong codes" in letter.body


def test_a_recovery_code_lets_the_owner_in_while_guesses_wait(client, people, codes):
    user = people["client"]
    for _turn in range(totp.FREE_GUESSES):
        with pytest.raises(factors.CodeWrong):
            factors.prove(user, code=wrong_code(user))
    client.post("/login", LOGIN)

    assert client.post(STEP, {"recovery_code": codes[0]}).status_code == 302


def test_the_wait_grows_and_has_an_end(people, codes, frozen):
    user = people["client"]
    waits = []
    for _turn in range(40):
        try:
            factors.prove(user, code=wrong_code(user))
        except totp.TooManyGuesses as refusal:
            waits.append(refusal.retry_after)
            frozen.shift(refusal.retry_after)
        except factors.CodeWrong:
            pass

    assert waits == sorted(waits)
    assert waits[0] <= 61 < waits[-1] <= totp.LONGEST_WAIT.total_seconds() + 1


def test_somebody_without_the_password_cannot_lock_the_owner_out(client, people, codes):
    for _turn in range(30):
        Client().post(STEP, {"code": "123456"})
        Client().post("/api/auth/login/second-factor", {"mfa_token": "x", "code": "123456"})

    client.post("/login", LOGIN)
    assert client.post(STEP, {"code": code_of(people["client"])}).status_code == 302


def test_the_second_step_has_a_rate_limit_of_its_own(client, people, codes, settings, frozen):
    settings.RATELIMIT_ENABLE = True
    client.post("/login", LOGIN)
    for _turn in range(10):
        assert client.post(STEP, {"recovery_code": "nonsense"}).status_code == 401

    assert client.post(STEP, {"recovery_code": codes[0]}).status_code == 429
    assert RecoveryCode.objects.filter(used_at=None).count() == 10


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("turn", range(3))
def test_of_two_who_show_one_code_at_once_one_is_let_in(turn):
    user = UserFactory()
    give_app(user)
    code = code_of(user)

    answers = at_once(*[lambda: factors.prove(user, code=code)] * 4)

    assert [answer for answer in answers if answer == "totp"] == ["totp"]
    assert sum(isinstance(answer, factors.CodeWrong) for answer in answers) == 3


@pytest.mark.django_db(transaction=True)
def test_of_two_who_show_one_recovery_code_at_once_one_is_let_in():
    user = UserFactory()
    (code, *_rest) = give_app(user)

    answers = at_once(*[lambda: factors.prove(user, recovery_code=code)] * 4)

    assert answers.count("recovery_code") == 1
    assert recovery_codes.left(user) == 9


@pytest.mark.django_db(transaction=True)
def test_guesses_at_once_all_count():
    user = UserFactory()
    give_app(user)
    code = wrong_code(user)

    at_once(*[lambda: factors.prove(user, code=code)] * 4)

    assert TotpDevice.objects.get().failures == 4


# --- Logging in by script ---------------------------------------------------------------------------


@pytest.fixture
def mfa_token(api_as, codes):
    """The token that the first step of a script's log-in returns."""
    return api_as(None).post("/api/auth/login", LOGIN).json()["mfa_token"]


def second_step(api_as, **body):
    return api_as(None).post("/api/auth/login/second-factor", body)


def test_a_script_is_told_what_is_missing(people, codes, api_as):
    response = api_as(None).post("/api/auth/login", LOGIN)

    assert response.status_code == 401
    body = response.json()
    assert set(body) == {"detail", "code", "mfa_token", "methods", "expires_in"}
    assert (body["code"], body["methods"], body["expires_in"]) == ("mfa_required", ["totp", "recovery_code"], 300)
    assert not RefreshToken.objects.exists()


def test_a_wrong_password_tells_nothing_of_a_second_factor(people, codes, api_as):
    response = api_as(None).post("/api/auth/login", {**LOGIN, "password": "wrong"})

    assert (response.status_code, response.json()["code"]) == (401, "invalid_credentials")
    assert set(response.json()) == {"detail", "code"}


def test_token_and_code_give_a_pair(people, mfa_token, api_as):
    response = second_step(api_as, mfa_token=mfa_token, code=code_of(people["client"]))

    assert response.status_code == 200
    assert set(response.json()) == {"access", "refresh", "user"}
    assert actions(Action.LOGIN) == [{"by": "api", "method": "totp"}]


def test_token_and_recovery_code_give_a_pair(people, codes, mfa_token, api_as):
    typed = f" {codes[3].upper().replace('-', ' ')} "

    assert second_step(api_as, mfa_token=mfa_token, recovery_code=typed).status_code == 200
    assert actions(Action.RECOVERY_CODE_USED) == [{"left": 9}]


def test_a_recovery_code_counts_once(people, codes, api_as):
    for status in (200, 401):
        token = api_as(None).post("/api/auth/login", LOGIN).json()["mfa_token"]
        assert second_step(api_as, mfa_token=token, recovery_code=codes[0]).status_code == status


def test_another_persons_recovery_code_is_none(people, mfa_token, api_as):
    theirs = give_app(people["ops"])

    assert second_step(api_as, mfa_token=mfa_token, recovery_code=theirs[0]).status_code == 401
    assert recovery_codes.left(people["ops"]) == 10


def test_a_wrong_code_leaves_the_token_good(people, mfa_token, api_as):
    wrong = second_step(api_as, mfa_token=mfa_token, code=wrong_code(people["client"]))

    assert (wrong.status_code, wrong.json()["code"]) == (401, "code_invalid")
    assert second_step(api_as, mfa_token=mfa_token, code=code_of(people["client"])).status_code == 200


def test_the_token_counts_once(people, codes, mfa_token, api_as):
    assert second_step(api_as, mfa_token=mfa_token, code=code_of(people["client"])).status_code == 200

    again = second_step(api_as, mfa_token=mfa_token, recovery_code=codes[0])

    assert (again.status_code, again.json()["code"]) == (401, "mfa_token_invalid")
    assert recovery_codes.left(people["client"]) == 10, "the code was not even looked at"


@pytest.mark.django_db(transaction=True)
def test_of_two_who_trade_one_token_at_once_one_gets_a_pair():
    user = UserFactory()
    (first, second, *_rest) = give_app(user)
    token = half_signed_in.token_for(user)

    answers = at_once(
        lambda: sign_in.finish_script(mfa_token=token, recovery_code=first),
        lambda: sign_in.finish_script(mfa_token=token, recovery_code=second),
    )

    assert sum(isinstance(answer, dict) for answer in answers) == 1
    assert RefreshToken.objects.count() == 1


def test_the_token_lives_five_minutes(people, codes, api_as, frozen):
    token = api_as(None).post("/api/auth/login", LOGIN).json()["mfa_token"]
    frozen.shift(301)

    assert second_step(api_as, mfa_token=token, code=code_of(people["client"])).json()["code"] == "mfa_token_invalid"


def test_the_token_ends_with_the_password(people, mfa_token, api_as):
    passwords.change(user=people["client"], current_password=PASSWORD, new_password="nine purple trains")

    response = second_step(api_as, mfa_token=mfa_token, code=code_of(people["client"]))

    assert (response.status_code, response.json()["code"]) == (401, "mfa_token_invalid")


def test_the_token_is_good_for_nothing_else(people, mfa_token, api_as, client):
    bearer = api_as(None)
    bearer.credentials(HTTP_AUTHORIZATION=f"Bearer {mfa_token}")
    assert bearer.get("/api/users/me").status_code == 401
    assert api_as(None).post("/api/auth/refresh", {"refresh": mfa_token}).status_code == 401
    body = {"token": mfa_token, "new_password": "nine purple trains"}
    assert api_as(None).post("/api/auth/reset-password", body).status_code == 400
    assert api_as(None).get(f"/api/auth/verify-email?token={mfa_token}").status_code == 400
    client.cookies["session"] = mfa_token
    assert client.get("/profile").status_code == 302


def test_no_other_token_is_one(people, codes, api_as):
    user = people["client"]
    others = [
        tokens.access_for(user),
        tokens.open_family(user)["refresh"],
        mailed_links.make_link_token(user, mailed_links.RESET),
        signing.dumps({"u": str(user.pk), "s": half_signed_in._state(user), "n": "x"}),
        "",
        "x" * 3000,
    ]
    for token in others:
        response = second_step(api_as, mfa_token=token, code=code_of(user))
        assert response.status_code in (400, 401), token
    assert TotpDevice.objects.get().last_step == 0


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"code": "123456"},
        {"mfa_token": "x"},
        {"mfa_token": "x", "code": "1", "recovery_code": "y"},
        {"code": 123456},
    ],
)
def test_a_body_without_exactly_one_way_is_malformed(body, people, api_as):
    assert second_step(api_as, **body).status_code == 400


def test_the_page_and_the_api_do_not_share_their_half_ways(people, codes, client, mfa_token):
    client.cookies["session"] = mfa_token

    assert client.get(STEP)["Location"] == "/login"


# --- Setting up -------------------------------------------------------------------------------------


def pending(client):
    return client.session[factors.PENDING]["secret"]


def test_from_nothing_to_an_app_and_its_codes(people, outbox):
    user = people["client"]
    browser = log_in(user)

    page = browser.get("/profile/security/authenticator")
    assert "<svg" in page.context["qr_code"]
    assert page.context["key"].replace(" ", "") == totp.key_text(pending(browser))
    assert not factors.is_set_up(user), "nothing counts before a code has confirmed it"

    response = browser.post("/profile/security/authenticator", {"code": code_for(pending(browser))})

    codes = response.context["codes"]
    assert len(set(codes)) == 10
    assert factors.methods(user) == ["totp", "recovery_code"]
    assert factors.PENDING not in browser.session
    assert actions(Action.SECOND_FACTOR_ADDED) == [{"method": "totp"}]
    assert user.notifications.get().payload["what"] == "second_factor_added"
    (letter,) = outbox()
    assert "authenticator app was set up" in letter.body
    assert factors.prove(user, recovery_code=codes[9]) == "recovery_code"


def test_the_key_is_the_one_in_the_picture(people):
    sealed = totp.new_secret()

    uri = totp.key_uri(sealed, email="a b@example.org")

    assert uri.startswith("otpauth://totp/Portal%3Aa%20b%40example.org?secret=")
    assert totp.key_text(sealed) in uri


def test_a_colon_in_the_portals_name_does_not_end_the_issuer(settings):
    settings.SITE_NAME = "Wakili: Otieno & Co"

    uri = totp.key_uri(totp.new_secret(), email="a@example.org")

    assert uri.startswith("otpauth://totp/Wakili%20Otieno%20%26%20Co%3Aa%40example.org?secret=")
    assert uri.endswith("&issuer=Wakili%20Otieno%20%26%20Co")


def test_a_wrong_code_sets_nothing_up(people):
    browser = log_in(people["client"])
    browser.get("/profile/security/authenticator")
    before = pending(browser)

    response = browser.post("/profile/security/authenticator", {"code": "00000"})

    assert response.status_code == 400
    assert pending(browser) == before, "the picture stays, for it was scanned"
    assert not factors.is_set_up(people["client"])


def test_the_code_that_confirmed_it_logs_nobody_in(people, client, frozen):
    browser = log_in(people["client"])
    browser.get("/profile/security/authenticator")
    code = code_for(pending(browser))
    browser.post("/profile/security/authenticator", {"code": code})
    client.post("/login", LOGIN)

    assert client.post(STEP, {"code": code}).status_code == 401


def test_the_first_factor_logs_out_whoever_came_by_the_password_alone(people, api_as):
    user = people["client"]
    browser, thief = log_in(user), log_in(user)
    pair = tokens.open_family(user)
    browser.get("/profile/security/authenticator")

    browser.post("/profile/security/authenticator", {"code": code_for(pending(browser))})

    assert browser.get("/profile").status_code == 200
    assert thief.get("/profile").status_code == 302
    assert api_as(None).post("/api/auth/refresh", {"refresh": pair["refresh"]}).status_code == 401


def test_replacing_the_app_makes_the_old_one_worthless_and_keeps_the_codes(people, codes):
    user = people["client"]
    old = TotpDevice.objects.get(user=user).secret
    browser = log_in(user)
    browser.get("/profile/security/authenticator")

    response = browser.post("/profile/security/authenticator", {"code": code_for(pending(browser))})

    assert response["Location"] == "/profile/security"
    assert recovery_codes.left(user) == 10
    with pytest.raises(factors.CodeWrong):
        factors.prove(user, code=code_for(old, steps=1))


def test_new_codes_replace_the_old_ones(people, codes):
    browser = log_in(people["client"])

    fresh = browser.post("/profile/security/recovery-codes").context["codes"]

    assert not set(fresh) & set(codes)
    with pytest.raises(factors.CodeWrong):
        factors.prove(people["client"], recovery_code=codes[0])


def test_codes_without_a_factor_are_refused(people):
    assert log_in(people["client"]).post("/profile/security/recovery-codes").status_code == 409


@pytest.mark.parametrize(("used", "warned"), [(6, False), (7, True), (10, True)])
def test_a_page_warns_when_codes_run_out(used, warned, people, codes):
    RecoveryCode.objects.filter(pk__in=RecoveryCode.objects.values("pk")[:used]).update(used_at=timezone.now())

    page = log_in(people["client"]).get("/profile/security")

    assert page.context["few_codes"] is warned


def test_removing_the_last_factor_takes_the_codes_along(people, codes, outbox):
    user = people["client"]

    assert log_in(user).post("/profile/security/authenticator/remove").status_code == 302

    assert factors.methods(user) == []
    assert not RecoveryCode.objects.exists()
    assert actions(Action.SECOND_FACTOR_REMOVED) == [{"method": "totp"}]
    assert "was removed" in outbox()[0].body


# --- Recent proof of identity -----------------------------------------------------------------------

GUARDED = [
    ("get", "/profile/security/authenticator"),
    ("post", "/profile/security/authenticator"),
    ("get", "/profile/security/passkeys/add"),
    ("post", "/profile/security/passkeys/add"),
    ("post", "/profile/security/authenticator/remove"),
    ("post", "/profile/security/recovery-codes"),
    ("post", "/profile/security/passkeys/00000000-0000-4000-8000-000000000000/remove"),
]


@pytest.mark.parametrize(("method", "path"), GUARDED)
def test_an_old_session_proves_itself_again_first(method, path, people, codes, frozen, settings):
    settings.SITE_URL = "http://localhost:8000"
    browser = log_in(people["client"])
    frozen.shift(sign_in.FRESH_SECONDS + 1)

    response = getattr(browser, method)(path, {"code": "123456"} if method == "post" else {})

    assert response.status_code == 302
    assert response["Location"].startswith("/profile/security/confirm?next=")
    assert factors.methods(people["client"]) == ["totp", "recovery_code"]
    assert recovery_codes.left(people["client"]) == 10
    assert browser.post("/passkeys/options/register", headers={"Accept": "application/json"}).status_code == 403


@pytest.mark.parametrize("way", ["password", "code"])
def test_password_or_code_prove_it(way, people, codes, frozen):
    browser = log_in(people["client"])
    frozen.shift(sign_in.FRESH_SECONDS + 1)
    proof = {"password": PASSWORD} if way == "password" else {"code": code_of(people["client"])}

    response = browser.post("/profile/security/confirm", {**proof, "next": "/profile/security/authenticator"})

    assert response["Location"] == "/profile/security/authenticator"
    assert browser.get("/profile/security/authenticator").status_code == 200


@pytest.mark.parametrize(
    "proof",
    [{"password": "wrong"}, {"code": "000"}, {}, {"password": PASSWORD, "code": "1"}, {"passkey": "{}"}],
    ids=["wrong password", "no code", "nothing", "two at once", "no passkey"],
)
def test_anything_else_proves_nothing(proof, people, codes, frozen):
    browser = log_in(people["client"])
    frozen.shift(sign_in.FRESH_SECONDS + 1)

    assert browser.post("/profile/security/confirm", proof).status_code in (400, 401)
    assert browser.get("/profile/security/authenticator").status_code == 302


def test_confirming_leads_to_no_other_site(people):
    browser = log_in(people["client"])

    response = browser.post("/profile/security/confirm", {"password": PASSWORD, "next": "//elsewhere.example"})

    assert response["Location"] == "/profile/security"


def test_a_guess_at_the_password_is_limited_and_recorded(people, limits_on):
    browser = log_in(people["client"])
    answers = [browser.post("/profile/security/confirm", {"password": "wrong"}).status_code for _turn in range(11)]

    assert answers == [400] * 10 + [429]
    assert len(actions(Action.LOGIN_FAILED)) == 10


# --- Roles that require a second factor -------------------------------------------------------------


@pytest.fixture
def required(people):
    """The role client requires a second factor."""
    return RolePolicy.objects.create(role_id=people["client"].groups.get().pk, requires_second_factor=True)


@pytest.mark.parametrize("path", ["/", "/profile", "/files/", "/fileshare/", "/notifications", "/search", "/nothing/"])
def test_pages_lead_to_the_set_up(path, people, required):
    response = log_in(people["client"]).get(path)

    if path == "/nothing/":
        assert response.status_code == 404
    else:
        assert (response.status_code, response["Location"]) == (302, "/profile/security/second-factor")


def test_the_links_of_letters_open_before_the_set_up(people, required, outbox):
    invitations.invite(by=people["super"], email="amina@example.org", name="Amina", roles=["ops"])
    notify(people["client"], "folder_granted", folder="Baobab", folder_slug="baobab", filename="a.pdf", count=1)
    letters = {message.to[0]: message for message in outbox()}
    browser = log_in(people["client"])

    assert browser.get(link_in(letters["amina@example.org"])).status_code == 200
    assert browser.get(letters["client@example.org"].extra_headers["List-Unsubscribe"].strip("<>")).status_code == 200


def test_the_way_to_a_factor_and_the_way_out_are_open(people, required):
    browser = log_in(people["client"])
    for path in ("/profile/security", "/profile/security/second-factor", "/profile/security/authenticator"):
        assert browser.get(path).status_code == 200, path
    assert browser.get("/profile/security/confirm").status_code == 200
    assert browser.post("/logout")["Location"] == "/"
    assert not is_signed_in(browser)


def test_from_the_log_in_to_the_set_up_to_where_one_was_going(client, people, required):
    assert client.post("/login", {**LOGIN, "next": "/files/"})["Location"] == "/files/"
    assert client.get("/files/")["Location"] == "/profile/security/second-factor"
    client.get("/profile/security/authenticator")
    client.post("/profile/security/authenticator", {"code": code_for(pending(client))})

    assert client.get("/files/").status_code == 200


def test_scripts_are_refused_by_session_by_token_and_at_the_log_in(people, required, api_as):
    browser = log_in(people["client"])
    by_session, by_token = browser.get("/api/users/me"), api_as("client").get("/api/users/me")
    at_log_in = api_as(None).post("/api/auth/login", LOGIN)

    for response in (by_session, by_token, at_log_in):
        assert (response.status_code, response.json()["code"]) == (403, "second_factor_required")
    assert not RefreshToken.objects.exists()
    by_basic = browser.get("/api/users/me", headers={"Authorization": "Basic eDp5"})
    assert by_basic.status_code == 403, "another header is no way past the session"


def test_a_token_made_before_is_refused_from_the_next_request_on(people, api_as):
    script, browser = api_as("client"), log_in(people["client"])
    assert script.get("/api/users/me").status_code == browser.get("/profile").status_code == 200

    role = people["client"].groups.get()
    roles.save_role(by=people["super"], role_id=role.pk, requires_second_factor=True)
    assert script.get("/api/users/me").status_code == 403
    assert browser.get("/profile").status_code == 302

    roles.save_role(by=people["super"], role_id=role.pk, requires_second_factor=False)
    assert script.get("/api/users/me").status_code == browser.get("/profile").status_code == 200


def test_whoever_has_one_goes_on(people, required, codes, api_as):
    assert log_in(people["client"]).get("/profile").status_code == 200
    assert api_as("client").get("/api/users/me").status_code == 200
    assert api_as("ops").get("/api/users/me").status_code == 200, "of another role"


def test_the_admin_is_no_way_round(people, api_as):
    RolePolicy.objects.create(role_id=people["super"].groups.get().pk, requires_second_factor=True)
    browser = log_in(people["super"])

    for path in ("/admin/", "/admin/accounts/user/", "/admin/logout/", "/admin/password_change/"):
        assert browser.get(path)["Location"] == "/profile/security/second-factor", path
    give_app(people["super"])
    assert browser.get("/admin/").status_code == 200


def test_the_last_factor_stays_while_a_role_asks_for_one(people, required, codes):
    browser = log_in(people["client"])

    response = browser.post("/profile/security/authenticator/remove")

    assert (response.status_code, response.context["code"]) == (409, "last_second_factor")
    assert factors.methods(people["client"]) == ["totp", "recovery_code"]
    assert not browser.get("/profile/security").context["may_remove"]


@pytest.mark.django_db(transaction=True)
def test_two_factors_removed_at_once_leave_one(role):
    user = UserFactory(roles=["client"])
    RolePolicy.objects.create(role=role("client"), requires_second_factor=True)
    give_app(user)
    passkey = user.passkeys.create(name="key", credential_id="x", public_key=b"x")

    answers = at_once(
        lambda: factors.remove_app(user=user),
        lambda: factors.remove_passkey(user=user, passkey_id=passkey.pk),
    )

    assert [answer.code for answer in answers if isinstance(answer, Refused)] == ["last_second_factor"]
    assert factors.is_set_up(user)


@pytest.mark.parametrize("asked", [False, True])
def test_asking_about_it_costs_no_query(asked, people, codes, api_as):
    browser, script = log_in(people["client"]), api_as("client")
    if asked:
        RolePolicy.objects.create(role_id=people["client"].groups.get().pk, requires_second_factor=True)

    def tables(call):
        with CaptureQueriesContext(connection) as captured:
            assert call().status_code == 200
        return [query["sql"] for query in captured if "rolepolicy" in query["sql"]]

    assert len(tables(lambda: browser.get("/profile"))) == 1, "the one that finds the user"
    assert len(tables(lambda: script.get("/api/users/me"))) == 1


def test_a_super_sets_the_rule_in_the_admin(people):
    browser = log_in(people["super"])
    role = people["client"].groups.get()
    path = f"/admin/accounts/role/{role.pk}/change/"
    assert not browser.get(path).context["adminform"].form.initial["requires_second_factor"]

    response = browser.post(path, {"name": role.name, "permissions": [], "requires_second_factor": "on"})

    assert response.status_code == 302, response.context["errors"]
    assert RolePolicy.objects.get().requires_second_factor
    detail = actions(Action.ROLE_CHANGED)[-1]
    assert [detail[when]["requires_second_factor"] for when in ("before", "after")] == [False, True]
    browser.post(path, {"name": role.name, "permissions": []})
    assert not RolePolicy.objects.get().requires_second_factor


# --- Locked out -------------------------------------------------------------------------------------

USERS = "/admin/accounts/user/"


def take_away(browser, *users):
    return browser.post(
        USERS, {"action": "remove_second_factors", "_selected_action": [user.pk for user in users]}, follow=False
    )


def test_a_super_helps_somebody_who_is_locked_out(people, codes, outbox):
    user, elsewhere = people["client"], log_in(people["client"])

    take_away(log_in(people["super"]), user)

    assert factors.methods(user) == []
    assert elsewhere.get("/profile").status_code == 302
    event = Event.objects.get(action=Action.SECOND_FACTOR_REMOVED)
    assert (event.actor, event.target_id) == (people["super"], str(user.pk))
    (letter,) = [letter for letter in outbox() if letter.to == [user.email]]
    assert "removed the second factors" in letter.body


def test_a_super_proves_who_they_are_before_that(people, codes, frozen):
    browser = log_in(people["super"])
    frozen.shift(sign_in.FRESH_SECONDS + 1)

    assert take_away(browser, people["client"])["Location"].startswith("/profile/security/confirm")
    assert factors.is_set_up(people["client"])


def test_a_super_does_not_take_their_own_away_like_that(people):
    give_app(people["super"])

    take_away(log_in(people["super"]), people["super"])

    assert factors.is_set_up(people["super"])


@pytest.mark.parametrize("who", ["client", "ops"])
def test_nobody_else_takes_a_factor_away(who, people, codes):
    with pytest.raises(PermissionDenied):
        factors.remove_all(by=people[who], user_id=people["client"].pk)
    assert factors.is_set_up(people["client"])


def test_a_key_that_is_not_set_up_within_half_an_hour_is_made_anew(people, frozen):
    browser = log_in(people["client"])

    def key():
        return browser.get("/profile/security/authenticator").context["key"]

    first = key()
    frozen.shift(factors.PENDING_SECONDS)
    session = browser.session
    session[sign_in.PROVED_AT] = int(timezone.now().timestamp())
    session.save()
    assert key() == first
    frozen.shift(1)
    assert key() != first


# --- How secrets are stored -------------------------------------------------------------------------


def everything_kept():
    """All values of the database as one text."""
    texts = []
    for model in apps.get_models():
        for row in model.objects.values_list():
            texts += [
                bytes(value).decode("latin-1") if isinstance(value, memoryview | bytes) else str(value) for value in row
            ]
    return "\n".join(texts)


def test_no_secret_lies_in_the_database_or_the_log(people, caplog, outbox):
    caplog.set_level(logging.DEBUG)
    user = people["client"]
    browser = log_in(user)
    key = browser.get("/profile/security/authenticator").context["key"].replace(" ", "")
    code = code_for(pending(browser))
    codes = browser.post("/profile/security/authenticator", {"code": code}).context["codes"]
    other = Client()
    other.post("/login", LOGIN)
    token = Client().post("/api/auth/login", json.dumps(LOGIN), content_type="application/json").json()["mfa_token"]
    other.post(STEP, {"recovery_code": codes[0]})
    letters = "".join(letter.body for letter in outbox())

    kept = everything_kept() + caplog.text + letters
    for secret in (key, token, other.session.session_key, *codes, *(text.replace("-", "") for text in codes)):
        assert secret not in kept


def test_secrets_are_sealed_anew_under_a_newer_key_and_then_the_old_one_can_go(people, codes, settings):
    user, old = people["client"], list(settings.LINK_KEYS)
    settings.LINK_KEYS = [Fernet.generate_key().decode(), *old]

    tasks.forget_expired()
    settings.LINK_KEYS = settings.LINK_KEYS[:1]

    assert factors.prove(user, code=code_of(user)) == "totp"
    assert factors.keep_readable() == 0


def test_a_secret_that_cannot_be_read_is_a_wrong_code_and_no_fault(client, people, codes, settings, caplog):
    code = code_of(people["client"])
    settings.LINK_KEYS = [Fernet.generate_key().decode()]
    client.post("/login", LOGIN)

    assert client.post(STEP, {"code": code}).status_code == 401
    assert "cannot be read" in caplog.text
    assert client.post(STEP, {"recovery_code": codes[0]}).status_code == 302


@pytest.mark.parametrize("text", ["", "x", "abc.def", "é", "x" * 5000])
def test_a_broken_seal_is_told(text):
    with pytest.raises(sealing.SealBroken):
        sealing.unseal("totp", text)


def test_a_seal_is_for_one_purpose(people):
    sealed = sealing.seal("totp", b"secret")

    assert sealing.unseal("totp", sealed) == b"secret"
    with pytest.raises(sealing.SealBroken):
        sealing.unseal("other", sealed)


def test_a_sealed_secret_is_no_download_link(people, api_as):
    sealed = totp.new_secret().partition(".")[2]

    assert api_as("client").get(f"/secure-download/{sealed}").status_code == 400


def test_spent_proofs_are_forgotten_when_they_could_not_be_shown_again(people, mfa_token, api_as):
    second_step(api_as, mfa_token=mfa_token, code=code_of(people["client"]))
    tasks.forget_expired()
    assert SpentProof.objects.count() == 1

    with time_machine.travel(timezone.now() + timedelta(seconds=2 * half_signed_in.TOKEN_SECONDS + 1)):
        tasks.forget_expired()
    assert not SpentProof.objects.exists()


def test_every_change_of_a_factor_has_a_letter_with_words_of_its_own(people, outbox):
    for what in [*factors.NOTICES, "recovery_code_used", "wrong_codes", "passkey_copied"]:
        mail.post("second_factor_changed", to="x@example.org", user_id=str(people["client"].pk), what=what)
    letters = outbox()

    assert len({letter.body for letter in letters}) == 9
    assert OutgoingMail.objects.exclude(sent_at=None).count() == 9
