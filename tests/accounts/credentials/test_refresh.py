"""Refresh tokens: each works once, and reuse ends its whole family."""

from datetime import timedelta

import pytest
import time_machine
from django.test import RequestFactory
from django.utils import timezone

from accounts import tasks
from accounts.contributions.actions import Action
from accounts.credentials import tokens
from accounts.models import RefreshToken, User
from accounts.signing_in import sign_in
from audit.models import Event
from config.outside import sealing
from fileshare.outgoing import links
from tests.factories import PASSWORD

pytestmark = pytest.mark.django_db
START = timezone.now().replace(microsecond=0)


@pytest.fixture
def anybody(api_as):
    return api_as(None)


@pytest.fixture
def pair(people):
    return tokens.open_family(people["client"])


def refresh(client, token):
    return client.post("/api/auth/refresh", {"refresh": token})


def test_rotation_gives_a_new_pair_and_links_the_rows(anybody, pair):
    response = refresh(anybody, pair["refresh"])

    assert response.status_code == 200
    assert set(response.json()) == {"access", "refresh"}
    assert response.json()["refresh"] != pair["refresh"]
    old, new = RefreshToken.objects.order_by("created_at")
    assert old.replaced_by == new
    assert (old.family, old.orig_iat) == (new.family, new.orig_iat)


def test_no_raw_token_is_stored(anybody, pair):
    answer = refresh(anybody, pair["refresh"]).json()

    stored = str(list(RefreshToken.objects.values_list()))
    for raw in (pair["refresh"], answer["refresh"], answer["access"]):
        assert raw not in stored
        assert raw.rsplit(".", 1)[1] not in stored


@pytest.mark.both
def test_a_used_token_shown_again_ends_its_family_and_no_other(anybody, pair, people):
    other = tokens.open_family(people["client"])["refresh"]
    newest = refresh(anybody, pair["refresh"]).json()["refresh"]

    again = refresh(anybody, pair["refresh"])

    assert (again.status_code, again.json()["code"]) == (401, "token_reused")
    assert refresh(anybody, newest).json()["code"] == "token_invalid"
    assert refresh(anybody, other).status_code == 200
    event = Event.objects.get(action=Action.TOKEN_REUSED)
    assert event.actor == people["client"]


def test_reuse_is_recorded_once_however_often_it_is_tried(anybody, pair):
    refresh(anybody, pair["refresh"])
    for _attempt in range(3):
        assert refresh(anybody, pair["refresh"]).json()["code"] == "token_reused"

    assert Event.objects.filter(action=Action.TOKEN_REUSED).count() == 1


def test_logout_ends_the_family(anybody, pair):
    newest = refresh(anybody, pair["refresh"]).json()["refresh"]

    response = anybody.post("/api/auth/logout", {"refresh": newest})

    assert (response.status_code, response.content) == (204, b"")
    assert refresh(anybody, newest).status_code == 401
    assert Event.objects.filter(action=Action.LOGOUT).count() == 1


@pytest.mark.parametrize("token", ["nonsense", "a.b.c", "é"])
def test_logging_out_with_no_token_of_ours_says_nothing(token, anybody, pair):
    assert anybody.post("/api/auth/logout", {"refresh": token}).status_code == 204
    assert refresh(anybody, pair["refresh"]).status_code == 200


@pytest.mark.parametrize("token", ["nonsense", "a.b.c", "é" * 100, "x" * 4000])
def test_what_is_no_token_is_refused(token, anybody, pair):
    response = refresh(anybody, token)

    assert (response.status_code, response.json()["code"]) == (401, "token_invalid")


def test_an_access_token_is_no_refresh_token(anybody, pair):
    assert refresh(anybody, pair["access"]).status_code == 401


def test_a_token_whose_row_is_gone_is_refused(anybody, pair):
    RefreshToken.objects.all().delete()

    assert refresh(anybody, pair["refresh"]).status_code == 401


def test_a_switched_off_user_gets_no_pair(anybody, pair, people):
    User.objects.filter(pk=people["client"].pk).update(is_active=False)

    assert refresh(anybody, pair["refresh"]).status_code == 401
    assert RefreshToken.objects.count() == 1


@pytest.mark.parametrize(("late", "status"), [(timedelta(seconds=-5), 200), (timedelta(seconds=5), 401)])
def test_a_token_is_good_for_a_week(late, status, anybody, people, settings):
    with time_machine.travel(START, tick=False) as clock:
        token = tokens.open_family(people["client"])["refresh"]
        clock.move_to(START + settings.REFRESH_TOKEN_LIFETIME + late)
        assert refresh(anybody, token).status_code == status


def test_a_family_ends_thirty_days_after_its_log_in_however_often_it_rotates(anybody, people, settings):
    with time_machine.travel(START, tick=False) as clock:
        token = tokens.open_family(people["client"])["refresh"]
        for days in (6, 12, 18, 24, 29):
            clock.move_to(START + timedelta(days=days))
            token = refresh(anybody, token).json()["refresh"]
        end = START + settings.REFRESH_FAMILY_LIFETIME
        assert RefreshToken.objects.order_by("-expires_at").first().expires_at == end
        clock.move_to(end + timedelta(seconds=1))
        assert refresh(anybody, token).status_code == 401


def test_an_access_token_is_good_for_fifteen_minutes(people, api_as, settings):
    with time_machine.travel(START, tick=False) as clock:
        script = api_as("client")
        clock.move_to(START + timedelta(minutes=14, seconds=58))
        assert script.get("/api/users/me").status_code == 200
        clock.move_to(START + timedelta(minutes=15, seconds=settings.CLOCK_SKEW_SECONDS + 2))
        response = script.get("/api/users/me")
    assert (response.status_code, response.json()["code"]) == (401, "token_invalid")


def test_what_a_machine_signs_whose_clock_is_30_seconds_ahead_is_no_forgery(people, api_as, anybody):
    with time_machine.travel(START, tick=False) as clock:
        script, token = api_as("client"), tokens.open_family(people["client"])["refresh"]
        link = links.read(links.make(file_id=people["client"].pk, user_id=people["client"].pk))
        sealed = sealing.seal("test", b"secret")
        request = RequestFactory().get("/")
        request.session = {sign_in.PROVED_AT: int(START.timestamp())}

        clock.move_to(START - timedelta(seconds=30))

        assert script.get("/api/users/me").status_code == 200
        assert refresh(anybody, token).status_code == 200
        assert not link.has_expired
        assert sealing.unseal("test", sealed, max_age=60) == b"secret"
        assert sign_in.is_fresh(request)


@pytest.mark.both
def test_old_rows_are_forgotten_and_living_ones_kept(people):
    with time_machine.travel(START - timedelta(days=8)):
        tokens.open_family(people["client"])
    living = tokens.open_family(people["client"])["refresh"]

    tasks.forget_expired()

    assert RefreshToken.objects.count() == 1
    assert tokens.rotate(refresh=living)


def test_each_log_in_is_a_family_of_its_own(people, anybody):
    for _device in range(2):
        anybody.post("/api/auth/login", {"email": "client@example.org", "password": PASSWORD})

    assert RefreshToken.objects.values("family").distinct().count() == 2
