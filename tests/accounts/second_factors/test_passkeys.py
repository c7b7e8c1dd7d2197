"""Passkeys: an answer counts once, if the key signed it for this site and for this browser's challenge."""

import json

import pytest
import time_machine
from cryptography.hazmat.primitives.asymmetric import ec
from django.contrib.auth import SESSION_KEY
from django.test import Client
from django.utils import timezone

from accounts.contributions.actions import Action
from accounts.models import Passkey
from accounts.second_factors import factors, half_signed_in, passkeys
from audit.models import Event
from tests.accounts.second_factors.authenticator import Authenticator, text_of
from tests.accounts.second_factors.factors import code_of, give_app
from tests.accounts.second_factors.test_second_factor import LOGIN, STEP, actions, log_in
from tests.accounts.test_races import at_once
from tests.factories import UserFactory

pytestmark = pytest.mark.django_db
ADD = "/profile/security/passkeys/add"
SITE = "http://portal.localhost:8000"


@pytest.fixture(autouse=True)
def named_site(settings):
    """Give the site a name: browsers make no passkeys for IP addresses."""
    settings.SITE_URL = SITE


def options(client, purpose):
    return client.post(f"/passkeys/options/{purpose}").json()


def register(client, key, name="My phone", **lies):
    return client.post(ADD, {"name": name, "passkey": key.create(options(client, "register"), **lies)})


def is_signed_in(client):
    return SESSION_KEY in client.session


@pytest.fixture
def key(people):
    """The client's passkey."""
    key = Authenticator(origin=SITE)
    register(log_in(people["client"]), key)
    return key


def use(client, key, **lies):
    return client.post("/login/passkey", {"passkey": key.get(options(client, "login"), **lies)})


def second_step(client, key, **lies):
    client.post("/login", LOGIN)
    return client.post(STEP, {"passkey": key.get(options(client, "second-step"), **lies)})


# --- Making one -------------------------------------------------------------------------------------


def test_a_passkey_is_a_second_factor_and_brings_recovery_codes(people, outbox):
    user, key = people["client"], Authenticator(origin=SITE)
    browser = log_in(user)

    response = register(browser, key, name=" My \u202e phone ")

    assert len(response.context["codes"]) == 10
    passkey = Passkey.objects.get()
    assert (passkey.user, passkey.credential_id) == (user, text_of(key.credential_id))
    assert passkey.name == "My phone"
    assert factors.methods(user) == ["recovery_code", "passkey"]
    assert actions(Action.SECOND_FACTOR_ADDED) == [{"method": "passkey"}]
    assert "passkey was added" in outbox()[0].body


def test_what_the_browser_is_asked_for(people):
    asked = options(log_in(people["client"]), "register")

    assert asked["rp"]["id"] == "portal.localhost"
    assert asked["attestation"] == "none"
    assert len(asked["challenge"]) >= 43
    assert people["client"].email not in asked["user"]["id"]


def test_a_second_passkey_leaves_the_codes_alone_and_the_first_is_not_made_twice(people, key):
    browser = log_in(people["client"])

    asked = options(browser, "register")
    assert [item["id"] for item in asked["excludeCredentials"]] == [text_of(key.credential_id)]
    response = register(browser, Authenticator(origin=SITE))

    assert response["Location"] == "/profile/security"
    assert Passkey.objects.count() == 2


@pytest.mark.parametrize("who", ["client", "ops"])
def test_a_credential_is_known_once_whoever_brings_it(who, people, key):
    response = register(log_in(people[who]), key)

    assert response.status_code == 409
    assert Passkey.objects.get().user == people["client"]


@pytest.mark.parametrize(
    "lie",
    [
        {"origin": "https://elsewhere.example"},
        {"origin": f"{SITE}.elsewhere.example"},
        {"origin": "http://portal.localhost"},
        {"rp_id": "elsewhere.example"},
        {"challenge": text_of(b"x" * 32)},
    ],
    ids=["origin", "origin that begins alike", "other port", "site", "challenge"],
)
def test_a_passkey_for_another_site_or_challenge_is_refused(lie, people):
    response = register(log_in(people["client"]), Authenticator(origin=SITE), **lie)

    assert response.status_code == 400
    assert not Passkey.objects.exists()


def test_a_challenge_counts_once(people):
    browser, key = log_in(people["client"]), Authenticator(origin=SITE)
    asked = options(browser, "register")
    assert browser.post(ADD, {"passkey": key.create(asked)}).status_code == 200

    again = browser.post(ADD, {"passkey": Authenticator(origin=SITE).create(asked)})

    assert again.status_code == 400
    assert Passkey.objects.count() == 1


def test_a_challenge_lives_five_minutes(people):
    with time_machine.travel(timezone.now().replace(microsecond=0), tick=False) as clock:
        browser, key = log_in(people["client"]), Authenticator(origin=SITE)
        asked = options(browser, "register")
        clock.shift(passkeys.CHALLENGE_SECONDS + 1)

        assert browser.post(ADD, {"passkey": key.create(asked)}).status_code == 400


def test_a_challenge_is_for_one_purpose(people, key):
    browser = log_in(people["client"])
    asked = options(browser, "confirm")

    assert (
        browser.post(
            ADD,
            {
                "passkey": Authenticator(origin=SITE).create(
                    {**asked, "rp": {"id": asked["rpId"]}, "user": {"id": "eA"}}
                )
            },
        ).status_code
        == 400
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "null",
        "[]",
        "{}",
        '{"id": 1}',
        '{"id": "\\u0000"}',
        '{"id": "é", "response": {}}',
        "[" * 9000,
        "x" * 30_000,
    ]
    + [
        json.dumps({"id": "eA", "rawId": "eA", "type": "public-key", "response": response})
        for response in (
            None,
            [],
            {},
            {
                "clientDataJSON": "e30",
                "attestationObject": "oA",
                "authenticatorData": "eA",
                "signature": "eA",
                "userHandle": 5,
            },
        )
    ],
)
def test_made_up_bytes_are_refused_everywhere(text, people, key, client):
    browser = log_in(people["client"])
    options(browser, "register")
    assert browser.post(ADD, {"passkey": text}).status_code == 400
    options(client, "login")
    assert client.post("/login/passkey", {"passkey": text}).status_code in (400, 401)
    client.post("/login", LOGIN)
    options(client, "second-step")
    assert client.post(STEP, {"passkey": text}).status_code in (400, 401)
    assert not is_signed_in(client)


# --- Instead of the password ------------------------------------------------------------------------


def test_a_passkey_alone_logs_in(people, key, client):
    before = client.session.session_key

    response = client.post("/login/passkey", {"passkey": key.get(options(client, "login")), "next": "/files/"})

    assert response["Location"] == "/files/"
    assert client.session[SESSION_KEY] == str(people["client"].pk)
    assert client.session.session_key != before
    assert actions(Action.LOGIN) == [{"by": "browser", "method": "passkey"}]
    passkey = Passkey.objects.get()
    assert passkey.sign_count == 1
    assert passkey.used_at is not None


def test_the_log_in_asks_for_nobody_by_name_and_for_its_owner(client, key):
    asked = options(client, "login")

    assert asked["allowCredentials"] == []
    assert asked["userVerification"] == "required"


@pytest.mark.parametrize(
    "lie",
    [
        {"verified": False},
        {"handle": None},
        {"handle": b"somebody else"},
        {"origin": "https://elsewhere.example"},
        {"rp_id": "elsewhere.example"},
        {"challenge": text_of(b"x" * 32)},
        {"signer": ec.generate_private_key(ec.SECP256R1())},
    ],
    ids=["owner not verified", "no handle", "another's handle", "origin", "site", "challenge", "another key"],
)
def test_a_passkey_that_is_not_quite_right_lets_nobody_in(lie, key, client):
    response = use(client, key, **lie)

    assert response.status_code == 401
    assert not is_signed_in(client)
    assert Passkey.objects.get().sign_count == 0


def test_an_answer_is_good_in_its_own_browser_and_once(key, client):
    answer = key.get(options(client, "login"))
    thief = Client()
    options(thief, "login")
    assert thief.post("/login/passkey", {"passkey": answer}).status_code == 401
    assert client.post("/login/passkey", {"passkey": answer}).status_code == 302
    client.post("/logout")

    assert client.post("/login/passkey", {"passkey": answer}).status_code == 401


def test_a_use_is_counted_for_that_passkey_alone(people, key, client):
    other = Passkey.objects.create(user=people["client"], name="Other", credential_id="other", public_key=b"key")

    assert use(client, key).status_code == 302

    other.refresh_from_db()
    assert (other.sign_count, other.used_at) == (0, None)


def test_an_unknown_passkey_lets_nobody_in(people, client):
    key = Authenticator(origin=SITE)
    key.handle = people["client"].pk.bytes

    assert use(client, key).status_code == 401


def test_whoever_is_switched_off_stays_out(people, key, client):
    type(people["client"]).objects.filter(pk=people["client"].pk).update(is_active=False)

    assert use(client, key).status_code == 401
    assert not is_signed_in(client)


def test_a_removed_passkey_opens_nothing(people, key, client):
    log_in(people["client"]).post(f"/profile/security/passkeys/{Passkey.objects.get().pk}/remove")

    assert use(client, key).status_code == 401


@pytest.mark.parametrize("target", ["//elsewhere.example", "https://elsewhere.example"])
def test_a_passkey_leads_to_no_other_site(target, key, client):
    response = client.post("/login/passkey", {"passkey": key.get(options(client, "login")), "next": target})

    assert response["Location"] == "/"


# --- A count that went down -------------------------------------------------------------------------


@pytest.mark.parametrize("ask", [use, second_step])
def test_a_copy_whose_count_went_back_is_refused_and_told(ask, key, client, outbox):
    key.sign_count = 7
    assert use(client, key).status_code == 302
    outbox().clear()
    key.sign_count = 3
    other = Client()

    assert ask(other, key).status_code == 401
    assert not is_signed_in(other)
    assert actions(Action.SECOND_FACTOR_FAILED)[0] == {"method": "passkey", "reason": "sign_count"}
    assert Passkey.objects.get().sign_count == 8
    assert any("looks like a copy" in letter.body for letter in outbox())


def test_an_authenticator_that_does_not_count_is_welcome_each_time(people):
    key = Authenticator(origin=SITE, counts=False)
    register(log_in(people["client"]), key)

    assert use(Client(), key).status_code == 302
    assert use(Client(), key).status_code == 302


@pytest.mark.django_db(transaction=True)
def test_of_two_uses_with_one_count_at_once_one_counts():
    user, key = UserFactory(), Authenticator(origin=SITE)
    register(log_in(user), key)
    challenge = b"x" * 32
    answer = key.get({"rpId": "portal.localhost", "challenge": text_of(challenge)})

    answers = at_once(*[lambda: passkeys.use(answer, challenge, user=user)] * 4)

    assert sum(isinstance(answer, Passkey) for answer in answers) == 1
    assert sum(isinstance(answer, passkeys.PasskeyCopied) for answer in answers) == 3


@pytest.mark.django_db(transaction=True)
def test_of_two_answers_to_one_challenge_one_counts():
    user = UserFactory()
    session = {}
    passkeys._challenge(session, passkeys.LOGIN, None)

    answers = at_once(*[lambda: passkeys.take_challenge(dict(session), passkeys.LOGIN)] * 4)

    assert sum(isinstance(answer, bytes) for answer in answers) == 1
    assert user.pk


# --- As the second step -----------------------------------------------------------------------------


def test_password_and_passkey_log_in(people, key, client):
    assert second_step(client, key, verified=False, handle=None)["Location"] == "/"
    assert is_signed_in(client)


def test_the_page_offers_the_passkey(key, client):
    client.post("/login", LOGIN)

    page = client.get(STEP).content.decode()

    assert "/passkeys/options/second-step" in page
    assert "one-time-code" not in page


def test_the_second_step_names_the_users_own_passkeys(people, key, client):
    register(log_in(people["ops"]), Authenticator(origin=SITE))
    client.post("/login", LOGIN)

    asked = options(client, "second-step")

    assert [item["id"] for item in asked["allowCredentials"]] == [text_of(key.credential_id)]


def test_another_persons_passkey_is_none(people, key, client):
    other = Authenticator(origin=SITE)
    register(log_in(people["ops"]), other)

    response = second_step(client, other)

    assert response.status_code == 401
    assert not is_signed_in(client)
    assert actions(Action.SECOND_FACTOR_FAILED) == [{"method": "passkey"}]


def test_an_answer_for_the_log_in_is_none_for_the_second_step(key, client):
    client.post("/login", LOGIN)
    answer = key.get(options(client, "login"))

    assert client.post(STEP, {"passkey": answer}).status_code == 401


def test_a_recovery_code_stands_in_for_a_lost_passkey(people, client):
    codes = register(log_in(people["client"]), Authenticator(origin=SITE)).context["codes"]
    client.post("/login", LOGIN)

    assert client.post(STEP, {"recovery_code": codes[0]}).status_code == 302


def test_a_script_is_told_that_passkeys_are_for_browsers(key, api_as):
    response = api_as(None).post("/api/auth/login", LOGIN)

    assert response.json()["methods"] == ["recovery_code", "passkey"]


def test_without_a_first_step_there_are_no_options(client, people):
    assert client.post("/passkeys/options/second-step").status_code == 401
    assert client.post("/passkeys/options/register").status_code == 404
    assert client.post("/passkeys/options/confirm").status_code == 404
    assert client.post("/passkeys/options/nonsense").status_code == 404


def test_at_a_bare_address_there_are_no_passkeys(client, settings, people):
    settings.SITE_URL = "http://127.0.0.1:8000"

    assert client.post("/passkeys/options/login").status_code == 404
    assert "passkey" not in client.get("/login").content.decode().lower()


# --- Confirming and removing ------------------------------------------------------------------------


def test_a_passkey_confirms_who_sits_there(people, key):
    browser = Client()
    browser.force_login(people["client"])
    assert browser.get(ADD).status_code == 302

    browser.post("/profile/security/confirm", {"passkey": key.get(options(browser, "confirm"))})

    assert browser.get(ADD).status_code == 200


@pytest.mark.parametrize("who", ["ops", "super"])
def test_a_passkey_of_somebody_else_is_not_there_to_remove(who, people, key):
    passkey = Passkey.objects.get()

    assert log_in(people[who]).post(f"/profile/security/passkeys/{passkey.pk}/remove").status_code == 404
    assert Passkey.objects.exists()


def test_one_of_two_factors_can_go_and_the_codes_stay(people, key):
    user = people["client"]
    give_app(user)

    log_in(user).post(f"/profile/security/passkeys/{Passkey.objects.get().pk}/remove")

    assert factors.methods(user) == ["totp", "recovery_code"]
    assert factors.prove(user, code=code_of(user)) == "totp"
    assert Event.objects.filter(action=Action.SECOND_FACTOR_REMOVED).count() == 1


def test_there_is_a_most_of_passkeys(people, key, monkeypatch):
    monkeypatch.setattr(factors, "MAX_PASSKEYS", 1)

    assert register(log_in(people["client"]), Authenticator(origin=SITE)).status_code == 409


def test_a_log_in_by_passkey_forgets_a_half_log_in_of_somebody_else(people, key, client):
    give_app(people["ops"])
    client.post("/login", {**LOGIN, "email": "ops@example.org"})

    use(client, key)

    assert client.session[SESSION_KEY] == str(people["client"].pk)
    assert half_signed_in.KEY not in client.session
