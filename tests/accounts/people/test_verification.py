"""Verifying an address: a link works once and within its time, and a mail scanner that opens it changes nothing."""

from datetime import timedelta

import pytest
import time_machine
from django.utils import timezone

from accounts.contributions.actions import Action
from accounts.models import OutgoingMail, User
from accounts.notices import mail, mailed_links
from audit.models import Event
from tests.accounts.notices.letters import link_in
from tests.factories import PASSWORD, UserFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def newcomer():
    """A user who has signed up and has not verified the address."""
    return UserFactory(email="amina@example.org", is_active=False, email_verified_at=None, roles=["client"])


@pytest.fixture
def token(newcomer):
    return mailed_links.make_link_token(newcomer, mailed_links.VERIFY)


def by_api(client, token):
    return client.get("/api/auth/verify-email", {"token": token})


def by_page(client, token):
    return client.post("/verify-email", {"token": token})


BOTH = pytest.mark.parametrize("spend", [by_api, by_page])


def is_active(user):
    return User.objects.get(pk=user.pk).is_active


@BOTH
def test_the_link_activates_the_account(spend, client, newcomer, token):
    assert spend(client, token).status_code == 200

    user = User.objects.get(pk=newcomer.pk)
    assert user.is_active
    assert user.is_verified
    assert Event.objects.get(action=Action.EMAIL_VERIFIED).actor == user


def test_the_api_says_success(client, token):
    assert by_api(client, token).json() == {"message": "success"}


@BOTH
def test_a_second_use_is_gone(spend, client, token):
    spend(client, token)

    assert spend(client, token).status_code == 410


@BOTH
def test_a_switched_off_user_is_not_let_in_again_by_the_old_link(spend, client, newcomer, token):
    by_api(client, token)
    User.objects.filter(pk=newcomer.pk).update(is_active=False)

    assert spend(client, token).status_code == 410
    assert not is_active(newcomer)


@BOTH
@pytest.mark.parametrize(("late", "status"), [(-timedelta(seconds=5), 200), (timedelta(seconds=5), 410)])
def test_a_link_is_good_for_a_day(spend, late, status, client, newcomer, settings):
    with time_machine.travel(timezone.now() - settings.VERIFICATION_LINK_LIFETIME - late, tick=False):
        token = mailed_links.make_link_token(newcomer, mailed_links.VERIFY)

    assert spend(client, token).status_code == status
    assert is_active(newcomer) is (status == 200)


@BOTH
@pytest.mark.parametrize(
    "forge",
    [
        lambda token: "",
        lambda token: "nonsense",
        lambda token: token[:-1],
        lambda token: token.swapcase(),
        lambda token: "\x00",
        lambda token: "é\U0001f600" * 100,
        lambda token: token * 50,
    ],
)
def test_a_token_that_is_not_ours_is_refused(spend, forge, client, newcomer, token):
    assert spend(client, forge(token)).status_code == 400
    assert not is_active(newcomer)


@BOTH
@pytest.mark.parametrize("purpose", [mailed_links.RESET, mailed_links.CHANGE_EMAIL])
def test_a_token_of_another_purpose_is_not_one(spend, purpose, client, newcomer):
    assert spend(client, mailed_links.make_link_token(newcomer, purpose)).status_code == 400
    assert not is_active(newcomer)


def test_a_second_letter_lets_nobody_back_in(client, newcomer, outbox):
    """The second letter is queued before the first link is used, and sent after a super deactivates the account."""
    late = mail.post("verify_email", to=newcomer.email, user_id=str(newcomer.pk))
    by_api(client, mailed_links.make_link_token(newcomer, mailed_links.VERIFY))
    User.objects.filter(pk=newcomer.pk).update(is_active=False)

    assert outbox() == []
    assert OutgoingMail.objects.get(pk=late.pk).sent_at
    made_now = mailed_links.make_link_token(User.objects.get(pk=newcomer.pk), mailed_links.VERIFY)
    assert by_api(client, made_now).status_code == 410
    assert not is_active(newcomer)


@pytest.mark.parametrize("spend", [by_api, by_page])
def test_a_closed_account_is_not_opened(spend, client, newcomer, token):
    User.objects.filter(pk=newcomer.pk).update(closed_at=timezone.now())

    assert spend(client, token).status_code == 410
    assert not is_active(newcomer)


def test_a_deleted_account_has_no_links(client, newcomer, token):
    newcomer.delete()

    assert by_api(client, token).status_code == 400


def test_a_missing_token_is_a_bad_one(client):
    response = client.get("/api/auth/verify-email")

    assert (response.status_code, response.json()["code"]) == (400, "token_invalid")


def test_opening_the_page_spends_nothing(client, newcomer, token):
    for ask in (client.get, client.head, client.get):
        response = ask("/verify-email", {"token": token})
        assert response.status_code == 200
    assert response.context["state"] == "ask"
    assert not is_active(newcomer)


@pytest.mark.parametrize(("state", "status"), [("bad", 400), ("expired", 410), ("used", 410)])
def test_the_page_says_what_is_wrong_with_a_link(state, status, client, newcomer, settings):
    past = timezone.now() - 2 * settings.VERIFICATION_LINK_LIFETIME
    with time_machine.travel(past if state == "expired" else timezone.now()):
        token = "no" if state == "bad" else mailed_links.make_link_token(newcomer, mailed_links.VERIFY)
    if state == "used":
        by_api(client, token)

    response = client.get("/verify-email", {"token": token})

    assert (response.status_code, response.context["state"]) == (status, state)


def test_sign_up_mail_verification_log_in(client, api_as, outbox):
    """A client's whole way, from the sign-up to the log-in."""
    facts = {"email": "amina@example.org", "password": PASSWORD, "name": "Amina"}
    assert api_as(None).post("/api/auth/signup", facts).status_code == 201
    login = {"email": facts["email"], "password": PASSWORD}
    assert api_as(None).post("/api/auth/login", login).json()["code"] == "email_not_verified"

    page = client.get(link_in(outbox()[0]))
    assert client.post("/verify-email", {"token": page.context["token"]}).status_code == 200

    answer = api_as(None).post("/api/auth/login", login)
    assert answer.status_code == 200
    assert answer.json()["user"]["roles"] == ["client"]
