"""SIGNUP decides who gets an account: everybody, only invited people, or nobody."""

from urllib.parse import parse_qs, urlsplit

import pytest
from django.conf import settings as configured
from django.core.checks import INFO, WARNING
from django.test import Client
from django.utils import timezone
from rest_framework.test import APIClient

from accounts.models import OutgoingMail, User
from accounts.notices import mail
from accounts.people import invitations, registration
from accounts.people.joining import SignupClosed
from config import checks
from tests.environments import settings_of

pytestmark = pytest.mark.django_db
NEW = {"email": "amina@example.org", "password": "seven green boats", "name": "Amina"}
SHUT = ["invited", "closed"]


def token_of(link):
    return parse_qs(urlsplit(link).query)["token"][0]


# --- The setting ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("facts", "value", "is_set"),
    [
        ({}, "invited", False),
        ({"HOST": "127.0.0.1"}, "invited", False),  # a proxy of this machine lets others in
        ({"SIGNUP": ""}, "invited", False),
        ({"SIGNUP": "open"}, "open", True),
        ({"base": {}}, "open", False),
        ({"base": {}, "DEMO": "0"}, "open", False),
        ({"base": {}, "SIGNUP": "closed"}, "closed", True),
    ],
)
def test_by_default_strangers_sign_up_only_where_none_can_come(tmp_path, facts, value, is_set):
    settings = settings_of(tmp_path, **facts)

    assert (value, is_set) == (settings.SIGNUP, settings.SIGNUP_IS_SET)


@pytest.mark.parametrize(
    ("value", "is_set", "is_local", "words", "level"),
    [
        ("open", False, True, "the default where only this machine can reach the portal", INFO),
        ("invited", False, False, "the default where other machines can reach the portal", INFO),
        ("closed", True, False, "as it is set", INFO),
        ("open", True, True, "as it is set", INFO),
        ("open", True, False, "as it is set", WARNING),
    ],
)
def test_the_check_names_the_choice_and_why(settings, value, is_set, is_local, words, level):
    settings.SIGNUP, settings.SIGNUP_IS_SET, settings.SITE_IS_LOCAL = value, is_set, is_local

    (told,) = checks.signup_is_told(None)

    assert told.msg.startswith(f"SIGNUP={value}, {words}: ")
    assert told.level == level


# --- Signing up -------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", SHUT)
def test_where_it_is_not_open_nobody_signs_up(settings, value, client):
    settings.SIGNUP = value

    called = APIClient().post("/api/auth/signup", NEW)
    shown, sent = client.get("/signup"), client.post("/signup", NEW)

    assert called.status_code == shown.status_code == sent.status_code == 403
    assert called.json()["code"] == "signup_closed"
    for page in (shown, sent):
        assert called.json()["detail"] in page.content.decode()
    assert not User.objects.filter(email=NEW["email"]).exists()
    assert not OutgoingMail.objects.exists()


def test_the_two_ways_of_not_being_open_are_told_apart(settings):
    told = []
    for settings.SIGNUP in SHUT:
        told.append(APIClient().post("/api/auth/signup", NEW).json()["detail"])

    assert told == [
        "Only people who were invited get an account here. Ask whoever runs it to invite you.",
        "There are no new accounts here.",
    ]


@pytest.mark.parametrize("value", SHUT)
def test_a_sign_up_from_before_is_not_confirmed_any_more(settings, value, client):
    token = token_of(registration.sign_up(**NEW))
    settings.SIGNUP = value

    assert APIClient().get("/api/auth/verify-email", {"token": token}).json()["code"] == "signup_closed"
    assert client.post("/verify-email", {"token": token}).status_code == 403
    assert not User.objects.get(email=NEW["email"]).is_active

    settings.SIGNUP = "open"
    assert client.post("/verify-email", {"token": token}).status_code == 200


@pytest.mark.parametrize("path", ["/", "/login", "/forgot-password"])
def test_pages_offer_to_sign_up_only_where_it_is_open(settings, client, path):
    assert configured.SIGNUP == "open"
    assert b'href="/signup"' in client.get(path).content

    for settings.SIGNUP in SHUT:
        assert b"/signup" not in client.get(path).content


def test_a_link_that_has_expired_offers_no_sign_up_where_there_is_none(settings, client, time_machine):
    token = token_of(registration.sign_up(**NEW))
    time_machine.move_to(timezone.now() + 2 * settings.VERIFICATION_LINK_LIFETIME)
    assert b"Sign up again" in client.get("/verify-email", {"token": token}).content

    settings.SIGNUP = "invited"
    assert b"ign up again" not in client.get("/verify-email", {"token": token}).content


# --- Invitations ------------------------------------------------------------------------------------


@pytest.fixture
def invited(people):
    return invitations.invite(by=people["super"], email="zawadi@example.org", name="Zawadi")


def accept(user):
    return Client().post(
        "/invitation", {"token": token_of(mail.link_for(user, "invitation")), "new_password": NEW["password"]}
    )


def test_the_invited_get_their_account_where_others_do_not(settings, people, invited):
    settings.SIGNUP = "invited"

    assert invitations.invite_again(by=people["super"], user_id=invited.pk)
    assert accept(User.objects.get(pk=invited.pk)).status_code == 302
    assert User.objects.get(pk=invited.pk).is_active


def test_where_it_is_closed_nobody_is_invited_or_accepts(settings, people, invited):
    settings.SIGNUP = "closed"
    OutgoingMail.objects.all().delete()

    with pytest.raises(SignupClosed):
        invitations.invite(by=people["super"], email="new@example.org", name="New")
    with pytest.raises(SignupClosed):
        invitations.invite_again(by=people["super"], user_id=invited.pk)
    token = token_of(mail.link_for(invited, "invitation"))
    with pytest.raises(SignupClosed):
        invitations.accept(token=token, new_password=NEW["password"])
    assert Client().get("/invitation", {"token": token}).status_code == 403, "before a password is typed in vain"
    assert accept(invited).status_code == 403

    assert not User.objects.get(pk=invited.pk).is_active
    assert not User.objects.filter(email="new@example.org").exists()
    assert not OutgoingMail.objects.exists()


def test_an_invitation_that_was_not_accepted_is_withdrawn_where_it_is_closed(settings, people, invited):
    settings.SIGNUP = "closed"

    invitations.withdraw(by=people["super"], user_id=invited.pk)

    assert not User.objects.filter(pk=invited.pk).exists()


def test_a_super_reads_why_nobody_is_invited(settings, client, people):
    settings.SIGNUP = "closed"
    client.force_login(people["super"])

    page = client.post("/admin/accounts/user/add/", {"email": "new@example.org", "name": "New"})

    assert "invitations are neither sent nor accepted" in page.content.decode()
    assert not User.objects.filter(email="new@example.org").exists()
