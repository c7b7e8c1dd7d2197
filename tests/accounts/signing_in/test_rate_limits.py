"""Rate limits per client address and account; the answer says in Retry-After how long to wait."""

import pytest
import time_machine
from django.test import Client
from django.utils import timezone
from rest_framework.test import APIClient

from accounts.models import OutgoingMail, User
from tests.factories import PASSWORD

WRONG = "wrong"
pytestmark = pytest.mark.django_db
START = timezone.now().replace(second=1, microsecond=0)


@pytest.fixture(autouse=True)
def limits_on(settings):
    settings.RATELIMIT_ENABLE = True
    with time_machine.travel(START, tick=False) as clock:
        yield clock


def log_in(email="client@example.org", password=WRONG, address="192.0.2.1"):
    return APIClient(REMOTE_ADDR=address).post("/api/auth/login", {"email": email, "password": password})


def log_in_by_page(email="client@example.org", password=WRONG, address="192.0.2.1"):
    return Client(REMOTE_ADDR=address).post("/login", {"email": email, "password": password})


@pytest.mark.parametrize("ask", [log_in, log_in_by_page])
def test_the_eleventh_log_in_of_a_minute_waits_even_with_the_right_password(ask, people):
    assert {ask().status_code for _turn in range(10)} == {401}

    response = ask(password=PASSWORD)

    assert response.status_code == 429
    assert 1 <= int(response["Retry-After"]) <= 60


def test_the_refusal_is_the_contracts_json(people):
    for _turn in range(11):
        response = log_in()

    assert set(response.json()) == {"detail", "code"}
    assert response.json()["code"] == "throttled"


def test_after_the_wait_it_goes_on(people, limits_on):
    for _turn in range(11):
        response = log_in()
    limits_on.shift(int(response["Retry-After"]))

    assert log_in(password=PASSWORD).status_code == 200


def test_another_account_and_another_address_are_not_held_up(people):
    for _turn in range(11):
        log_in()

    assert log_in("ops@example.org", PASSWORD).status_code == 200
    assert log_in(password=PASSWORD, address="192.0.2.2").status_code == 200


def test_page_and_api_count_together_however_the_address_is_typed(people):
    for turn in range(10):
        (log_in, log_in_by_page)[turn % 2](("client@example.org", "Client@Example.ORG ")[turn % 2])

    assert log_in(password=PASSWORD).status_code == 429


def test_an_unknown_address_is_limited_alike(people):
    for _turn in range(10):
        log_in("nobody@example.org")

    assert log_in("nobody@example.org").status_code == 429


def test_a_forged_x_forwarded_for_opens_no_new_count(people):
    for turn in range(10):
        APIClient(REMOTE_ADDR="192.0.2.1", HTTP_X_FORWARDED_FOR=f"203.0.113.{turn}").post(
            "/api/auth/login", {"email": "client@example.org", "password": "wrong"}
        )

    assert log_in(password=PASSWORD).status_code == 429


def test_behind_a_proxy_of_ours_each_client_counts_alone(people, settings):
    settings.TRUSTED_PROXY_COUNT = 1

    def through_the_proxy(client):
        headers = {"HTTP_X_FORWARDED_FOR": f"198.51.100.9, {client}"}
        return APIClient(REMOTE_ADDR="10.0.0.1", **headers).post(
            "/api/auth/login", {"email": "client@example.org", "password": PASSWORD}
        )

    assert {through_the_proxy("192.0.2.1").status_code for _turn in range(10)} == {200}
    assert through_the_proxy("192.0.2.1").status_code == 429
    assert through_the_proxy("192.0.2.2").status_code == 200


@pytest.mark.parametrize(
    ("path", "body", "most", "good"),
    [
        ("/api/auth/signup", {"email": "n@example.org", "password": PASSWORD, "name": "N"}, 10, 201),
        ("/api/auth/forgot-password", {"email": "client@example.org"}, 5, 202),
        ("/signup", {"email": "n@example.org", "password": PASSWORD, "name": "N"}, 10, 200),
        ("/forgot-password", {"email": "client@example.org"}, 5, 200),
    ],
)
def test_sign_up_and_forgot_password_have_hourly_limits(path, body, most, good, people):
    client = APIClient() if path.startswith("/api") else Client()
    assert {client.post(path, body).status_code for _turn in range(most)} == {good}
    letters, users = OutgoingMail.objects.count(), User.objects.count()

    response = client.post(path, body)

    assert response.status_code == 429
    assert 60 < int(response["Retry-After"]) <= 3600
    assert (OutgoingMail.objects.count(), User.objects.count()) == (letters, users)


def test_switched_off_nothing_is_counted(people, settings):
    settings.RATELIMIT_ENABLE = False

    assert {log_in().status_code for _turn in range(12)} == {401}
