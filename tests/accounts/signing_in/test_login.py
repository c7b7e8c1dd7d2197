"""Logging in: no answer tells whether an address has an account."""

import pytest
from django.contrib.auth.hashers import MD5PasswordHasher

from accounts.contributions.actions import Action
from accounts.credentials import tokens
from accounts.models import User
from accounts.people import roles
from audit.models import Event
from tests.factories import PASSWORD, UserFactory

pytestmark = pytest.mark.django_db


def log_in(client, email, password=PASSWORD):
    return client.post("/api/auth/login", {"email": email, "password": password})


def test_right_credentials_give_a_pair_and_the_user(people, api_as):
    response = log_in(api_as(None), "  Client@EXAMPLE.org ")

    assert response.status_code == 200
    assert set(response.json()) == {"access", "refresh", "user"}
    assert response.json()["user"]["id"] == str(people["client"].pk)
    client = api_as(None)
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {response.json()['access']}")
    assert client.get("/api/users/me").json()["email"] == "client@example.org"
    assert User.objects.get(pk=people["client"].pk).last_login is not None


@pytest.mark.parametrize(
    ("email", "password"),
    [
        ("nobody@example.org", PASSWORD),
        ("not an address", PASSWORD),
        ("client@example.org", "wrong"),
        ("client@example.org", PASSWORD + "x" * 1000),
        ("client@example.org", PASSWORD.upper()),
        ("off@example.org", PASSWORD),
        ("off@example.org", "wrong"),
    ],
)
def test_unknown_wrong_and_switched_off_look_alike(email, password, people, api_as):
    response = log_in(api_as(None), email, password[:256])

    assert response.status_code == 401
    assert response.json() == {"detail": "The address or the password is not right.", "code": "invalid_credentials"}


def test_only_the_right_password_tells_that_an_address_is_unverified(api_as):
    UserFactory(email="new@example.org", is_active=False, email_verified_at=None)

    right, wrong = log_in(api_as(None), "new@example.org"), log_in(api_as(None), "new@example.org", "wrong")

    assert (right.status_code, right.json()["code"]) == (403, "email_not_verified")
    assert (wrong.status_code, wrong.json()["code"]) == (401, "invalid_credentials")


@pytest.mark.parametrize("email", ["nobody@example.org", "client@example.org", "off@example.org"])
def test_every_log_in_costs_one_hash(email, people, api_as, monkeypatch):
    encoded = []
    encode = MD5PasswordHasher.encode
    monkeypatch.setattr(MD5PasswordHasher, "encode", lambda *args: encoded.append(1) or encode(*args))

    log_in(api_as(None), email, "wrong password")

    assert len(encoded) == 1


@pytest.mark.parametrize(
    ("email", "reason"),
    [("nobody@example.org", "unknown"), ("client@example.org", "password"), ("off@example.org", "off")],
)
def test_a_failed_log_in_is_recorded_without_its_password(email, reason, people, api_as):
    log_in(api_as(None), email, PASSWORD if reason == "off" else "wrong password")

    event = Event.objects.get()
    assert (event.action, event.actor_email, event.detail) == (Action.LOGIN_FAILED, email, {"reason": reason})
    assert "wrong" not in str(event.__dict__)


def test_a_log_in_is_recorded(people, api_as):
    log_in(api_as(None), "client@example.org")

    event = Event.objects.get()
    assert (event.action, event.actor) == (Action.LOGIN, people["client"])


def test_a_user_without_a_password_cannot_log_in(api_as):
    User.objects.create_user("bare@example.org", None, name="Bare")

    assert log_in(api_as(None), "bare@example.org", "").status_code == 400
    assert log_in(api_as(None), "bare@example.org", "None").status_code == 401


def test_switching_a_user_off_ends_their_access_token_and_session_at_once(people, api_as, client):
    colleague, script = people["colleague"], api_as("colleague")
    client.force_login(colleague)
    assert script.get("/api/users/me").status_code == client.get("/profile").status_code == 200

    roles.change_user(by=people["super"], user_id=colleague.pk, is_active=False)

    assert script.get("/api/users/me").status_code == 401
    assert client.get("/profile").status_code == 302


@pytest.mark.parametrize("header", ["Bearer ", "Bearer x", "Bearer a.b.c", "Bearer x y", "Basic eDp5", "Bearer é"])
def test_a_bad_authorization_header_is_nobody(header, people, api_as):
    client = api_as(None)
    client.credentials(HTTP_AUTHORIZATION=header)

    response = client.get("/api/users/me")

    assert response.status_code == 401
    assert set(response.json()) == {"detail", "code"}
    assert response["WWW-Authenticate"].startswith("Bearer")


def test_a_refresh_token_is_no_access_token(people, api_as):
    client = api_as(None)
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {tokens.open_family(people['client'])['refresh']}")

    assert client.get("/api/users/me").status_code == 401
