"""Headers and cookies every answer carries."""

import pytest
from django.db import OperationalError
from django.test import Client

from tests.factories import PASSWORD

pytestmark = pytest.mark.django_db
PATHS = ["/", "/login", "/profile", "/nowhere", "/api/users/me", "/api/nowhere", "/fileshare/", "/healthz"]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("signed_in", [False, True])
def test_every_answer_tells_the_browser_what_it_may(path, signed_in, client, people):
    if signed_in:
        client.force_login(people["client"])

    response = client.get(path)

    policy = dict(part.split(" ", 1) for part in response["Content-Security-Policy"].split("; "))
    assert policy["default-src"] == "'self'"
    assert policy["frame-ancestors"] == policy["object-src"] == policy["base-uri"] == "'none'"
    assert "unsafe" not in response["Content-Security-Policy"]
    assert response["X-Content-Type-Options"] == "nosniff"
    assert response["X-Frame-Options"] == "DENY"
    assert response["Referrer-Policy"] == "same-origin"
    assert response["Cross-Origin-Opener-Policy"] == "same-origin"
    assert "camera=()" in response["Permissions-Policy"]
    assert len(response["X-Request-ID"]) == 32


@pytest.mark.parametrize("path", ["/", "/profile", "/fileshare/", "/files/", "/notifications", "/api/users/me"])
def test_what_is_shown_to_one_person_is_kept_in_no_cache(path, client, people):
    client.force_login(people["client"])

    response = client.get(path)

    assert response.status_code == 200
    assert "no-store" in response["Cache-Control"]


def test_tokens_are_kept_in_no_cache(client, people):
    response = client.post(
        "/api/auth/login", {"email": "client@example.org", "password": PASSWORD}, content_type="application/json"
    )

    assert "no-store" in response["Cache-Control"]


def test_the_session_cookie_is_for_this_site_alone_and_no_script(client, people):
    client.post("/login", {"email": "client@example.org", "password": PASSWORD})

    cookie = client.cookies["session"]
    assert (cookie["httponly"], cookie["samesite"], cookie["path"]) == (True, "Lax", "/")
    assert client.cookies["csrftoken"]["samesite"] == "Lax"


def test_a_signed_out_visitor_gets_no_session(client, people):
    client.get("/")
    client.get("/login")

    assert "session" not in client.cookies


@pytest.mark.parametrize("host", ["elsewhere.example", "testserver.elsewhere.example", "", "a b", "[::1"])
def test_a_foreign_host_is_refused(host, people):
    assert Client(headers={"host": host}).get("/login").status_code == 400


@pytest.mark.parametrize(
    "path", ["/nowhere", "/fileshare/nowhere/", "/files/x/", "/files/00000000-0000-4000-8000-000000000000/"]
)
@pytest.mark.parametrize(("accept", "kind"), [("text/html", "text/html"), ("application/json", "application/json")])
def test_what_is_not_there_says_so_as_it_was_asked(path, accept, kind, client, people):
    client.force_login(people["client"])

    response = client.get(path, headers={"accept": accept})

    assert response.status_code == 404
    assert response["Content-Type"].startswith(kind)


def test_an_api_address_that_is_not_there_answers_in_json(client):
    response = client.get("/api/nowhere")

    assert (response.status_code, response.json()["code"]) == (404, "not_found")


@pytest.mark.parametrize("path", ["/profile", "/api/users/me"])
def test_a_fault_shows_nothing_of_itself(path, people, monkeypatch):
    client = Client(raise_request_exception=False)
    client.force_login(people["client"])

    def fail(*args, **kwargs):
        raise ZeroDivisionError("secret detail")

    monkeypatch.setattr("accounts.people.roles.role_names", fail)
    response = client.get(path)

    assert response.status_code == 500
    assert b"secret" not in response.content
    assert b"Traceback" not in response.content


def test_a_database_that_is_down_is_a_503_with_a_time_to_come_back(people, monkeypatch, api_as):
    def fail(*args, **kwargs):
        raise OperationalError("no route to 10.0.0.5")

    script = api_as("client")
    monkeypatch.setattr("accounts.notices.notifications.mark_read", fail)
    response = script.post("/api/notifications/mark-read", {"all": True})

    assert (response.status_code, response.json()["code"]) == (503, "database_unavailable")
    assert int(response["Retry-After"]) >= 1
    assert "10.0.0.5" not in response.content.decode()
