"""Password reset by mail: a link works once, for fifteen minutes, and the reset ends all sessions and tokens."""

from datetime import timedelta

import pytest
import time_machine
from django.utils import timezone

from accounts.credentials import tokens
from accounts.models import OutgoingMail, RefreshToken, User
from accounts.notices import mail, mailed_links
from audit.models import Event
from tests.accounts.notices.letters import token_in
from tests.factories import PASSWORD, UserFactory

NEW_PASSWORD = "nine purple trains"
START = timezone.now().replace(microsecond=0)
pytestmark = pytest.mark.django_db


@pytest.fixture
def anybody(api_as):
    return api_as(None)


@pytest.fixture
def token(people):
    return mailed_links.make_link_token(people["client"], mailed_links.RESET)


def by_api(client, token, password=NEW_PASSWORD):
    return client.post(
        "/api/auth/reset-password", {"token": token, "new_password": password}, content_type="application/json"
    )


def by_page(client, token, password=NEW_PASSWORD):
    return client.post("/reset-password", {"token": token, "new_password": password})


BOTH = pytest.mark.parametrize("reset", [by_api, by_page])


def has_password(user, password):
    return User.objects.get(pk=user.pk).check_password(password)


def rows():
    """The number of rows of each kind."""
    return [model.objects.count() for model in (Event, OutgoingMail, User, RefreshToken)]


def test_the_mailed_link_sets_a_new_password(anybody, client, people, outbox):
    anybody.post("/api/auth/forgot-password", {"email": "CLIENT@example.org"})

    assert by_page(client, token_in(outbox()[0])).status_code == 200

    login = anybody.post("/api/auth/login", {"email": "client@example.org", "password": NEW_PASSWORD})
    assert login.status_code == 200
    assert outbox()[-1].to == ["client@example.org"], "the owner is told"


@pytest.mark.parametrize("who", ["client", "off", "super", "nobody"])
def test_every_address_gets_the_same_answer_and_costs_the_same_rows(who, anybody, people):
    before = rows()

    response = anybody.post("/api/auth/forgot-password", {"email": f"{who}@example.org"})

    assert response.status_code == 202
    assert response.json() == {"message": "If the address has an account, a link is on its way."}
    assert rows() == [before[0] + 1, before[1] + 1, *before[2:]]


def test_the_log_tells_whose_password_was_asked_for(anybody, client, people):
    anybody.post("/api/auth/forgot-password", {"email": "CLIENT@example.org"})
    client.post("/forgot-password", {"email": "nobody@example.org"})
    anybody.post("/api/auth/forgot-password", {"email": "no address"})

    rows = Event.objects.filter(action="password_reset_requested").order_by("created_at")
    assert [(row.actor, row.actor_email) for row in rows] == [
        (people["client"], "client@example.org"),
        (None, "nobody@example.org"),
    ]


@pytest.mark.parametrize("who", ["client", "off", "nobody"])
def test_every_address_costs_the_same_queries(who, anybody, people, django_assert_num_queries):
    # SAVEPOINT, user, event, letter, RELEASE
    with django_assert_num_queries(5):
        anybody.post("/api/auth/forgot-password", {"email": f"{who}@example.org"})


def test_only_owners_of_active_accounts_get_mail(anybody, people, outbox):
    UserFactory(email="unverified@example.org", is_active=False, email_verified_at=None)
    for who in ("client", "off", "nobody", "unverified"):
        anybody.post("/api/auth/forgot-password", {"email": f"{who}@example.org"})

    assert [message.to for message in outbox()] == [["client@example.org"]]
    assert not OutgoingMail.objects.filter(sent_at=None).exists()


@BOTH
def test_sessions_families_and_access_tokens_end(reset, client, people, api_as, token):
    from_before, script = tokens.open_family(people["client"])["refresh"], api_as("client")
    client.force_login(people["client"])
    assert client.get("/profile").status_code == 200
    browser_of_the_mail = type(client)()

    assert reset(browser_of_the_mail, token).status_code == 200

    assert client.get("/profile").status_code == 302
    assert script.get("/api/users/me").status_code == 401
    assert api_as(None).post("/api/auth/refresh", {"refresh": from_before}).status_code == 401


@BOTH
def test_a_link_works_once(reset, client, people, token):
    assert reset(client, token).status_code == 200

    assert reset(client, token, "ten yellow planes").status_code == 410
    assert has_password(people["client"], NEW_PASSWORD)


@BOTH
@pytest.mark.parametrize(("late", "status"), [(timedelta(seconds=-5), 200), (timedelta(seconds=5), 410)])
def test_a_link_is_good_for_fifteen_minutes(reset, late, status, client, people):
    with time_machine.travel(START, tick=False) as clock:
        token = mailed_links.make_link_token(people["client"], mailed_links.RESET)
        clock.move_to(START + timedelta(minutes=15) + late)
        assert reset(client, token).status_code == status
    assert has_password(people["client"], NEW_PASSWORD) is (status == 200)


def test_the_fifteen_minutes_begin_when_the_letter_goes(anybody, client, people, outbox):
    with time_machine.travel(START, tick=False) as clock:
        anybody.post("/api/auth/forgot-password", {"email": "client@example.org"})
        clock.move_to(START + timedelta(hours=1))
        token = token_in(outbox()[0])
        clock.move_to(START + timedelta(hours=1, minutes=14))
        assert by_page(client, token).status_code == 200


@BOTH
def test_a_link_made_before_the_password_changed_is_stale(reset, client, people, token):
    other = mailed_links.make_link_token(people["client"], mailed_links.RESET)
    reset(client, other)

    assert reset(client, token).status_code == 410


@BOTH
def test_a_user_switched_off_meanwhile_cannot_use_the_link(reset, client, people, token):
    User.objects.filter(pk=people["client"].pk).update(is_active=False)

    assert reset(client, token).status_code in (400, 410)
    assert has_password(people["client"], PASSWORD)


@BOTH
@pytest.mark.parametrize("token", ["", "nonsense", "a:b:c", "é" * 50, "x" * 1999])
def test_what_is_no_link_is_refused(reset, token, client, people):
    assert reset(client, token).status_code == 400


@BOTH
def test_a_token_that_proves_an_address_sets_no_password(reset, client, people):
    user = UserFactory(is_active=False, email_verified_at=None)

    assert reset(client, mailed_links.make_link_token(user, mailed_links.VERIFY)).status_code == 400
    assert has_password(user, PASSWORD)


@BOTH
@pytest.mark.parametrize("password", ["short", "12345678901234", "password123", "client@example.org"])
def test_a_weak_password_spends_nothing(reset, password, client, people, token):
    assert reset(client, token, password).status_code == 400
    assert has_password(people["client"], PASSWORD)

    assert reset(client, token).status_code == 200


def test_the_api_names_the_field_of_a_weak_password(client, people, token):
    assert list(by_api(client, token, "short").json()["errors"]) == ["new_password"]


def test_opening_the_page_spends_nothing(client, people, token):
    for _visit in range(3):
        response = client.get("/reset-password", {"token": token})
        assert (response.status_code, response.context["state"]) == (200, "ask")
    assert by_page(client, token).status_code == 200


def test_the_page_of_a_dead_link_says_so(client, people, token):
    by_api(client, token)

    response = client.get("/reset-password", {"token": token})

    assert (response.status_code, response.context["state"]) == (410, "used")


def test_changing_the_password_on_the_security_page_keeps_this_session_and_ends_the_others(client, people, api_as):
    here, there, script = client, type(client)(), api_as("client")
    family = tokens.open_family(people["client"])["refresh"]
    here.force_login(people["client"])
    there.force_login(people["client"])

    response = here.post("/profile/security", {"current_password": PASSWORD, "new_password": NEW_PASSWORD})

    assert response.status_code == 302
    assert has_password(people["client"], NEW_PASSWORD)
    assert here.get("/profile").status_code == 200
    assert there.get("/profile").status_code == 302
    assert script.get("/api/users/me").status_code == 401
    assert api_as(None).post("/api/auth/refresh", {"refresh": family}).status_code == 401


def test_the_present_password_is_needed_to_change_it(client, people):
    client.force_login(people["client"])

    response = client.post("/profile/security", {"current_password": "wrong", "new_password": NEW_PASSWORD})

    assert response.status_code == 400
    assert response.context["password_form"].errors["current_password"]
    assert has_password(people["client"], PASSWORD)


def test_a_letter_for_nobody_is_dropped_without_a_message(people, mailoutbox):
    letter = mail.post("reset_password", to="nobody@example.org", user_id=None)

    assert mail.send(letter.pk) is True
    assert mailoutbox == []
