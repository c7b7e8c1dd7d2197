"""Signing up: every address gets the same answer, and an account is active only after its address is verified."""

from datetime import timedelta

import pytest
import time_machine
from django.contrib.auth import hashers
from django.utils import timezone
from rest_framework.test import APIClient

from accounts.contributions.actions import Action
from accounts.models import OutgoingMail, User
from accounts.people import registration
from audit.models import Event
from tests.accounts.notices.letters import link_in, token_in

NEW = {"email": "amina@example.org", "password": "seven green boats", "name": "Amina"}
pytestmark = pytest.mark.django_db


@pytest.fixture
def anybody():
    return APIClient()


def sign_up(anybody, **changes):
    return anybody.post("/api/auth/signup", {**NEW, **changes})


def test_a_new_user_is_an_inactive_client_without_a_company(anybody):
    assert sign_up(anybody, email="Amina@Example.org").status_code == 201

    user = User.objects.get(email="amina@example.org")
    assert (user.is_active, user.is_verified, user.company) == (False, False, None)
    assert (user.is_staff, user.is_superuser) == (False, False)
    assert [group.name for group in user.groups.all()] == ["client"]
    assert user.password != NEW["password"]
    assert Event.objects.get(action=Action.SIGNUP).actor == user


def test_the_mailed_link_opens_the_page_and_names_no_password(anybody, outbox):
    sign_up(anybody)

    (message,) = outbox()
    assert message.to == ["amina@example.org"]
    assert link_in(message).startswith("http://127.0.0.1:8000/verify-email?token=")
    assert NEW["password"] not in message.body + str(message.alternatives)


def test_a_link_lies_in_no_table(anybody):
    sign_up(anybody)

    assert "token" not in str(OutgoingMail.objects.get().context)


@pytest.mark.parametrize("who", ["client", "off", "super"])
def test_a_taken_address_gets_the_same_answer_and_its_owner_a_letter(who, anybody, people, outbox):
    fresh = sign_up(anybody)
    before = User.objects.get(pk=people[who].pk)

    taken = sign_up(anybody, email=people[who].email.upper())

    assert (taken.status_code, taken.json()) == (fresh.status_code, fresh.json())
    after = User.objects.get(pk=people[who].pk)
    assert (after.password, after.name, after.is_active) == (before.password, before.name, before.is_active)
    messages = {message.to[0]: message for message in outbox()}
    assert "token=" not in messages[people[who].email].body


def test_a_taken_address_costs_a_hash_like_a_new_one(anybody, people, monkeypatch):
    hashed = []
    monkeypatch.setattr(
        "accounts.people.registration.make_password", lambda text: hashed.append(text) or hashers.make_password(text)
    )

    sign_up(anybody)
    sign_up(anybody, email=people["client"].email)

    assert hashed == [NEW["password"]] * 2


def test_signing_up_again_replaces_the_password_and_makes_the_earlier_link_stale(anybody, outbox):
    sign_up(anybody)
    earlier = token_in(outbox()[-1])
    sign_up(anybody, password="nine purple trains", name="Amina Again")
    later = token_in(outbox()[-1])

    refused = anybody.get("/api/auth/verify-email", {"token": earlier})
    assert (refused.status_code, refused.json()["code"]) == (410, "token_used")
    assert not User.objects.get(email=NEW["email"]).is_active

    assert anybody.get("/api/auth/verify-email", {"token": later}).status_code == 200
    user = User.objects.get(email=NEW["email"])
    assert user.name == "Amina Again"
    assert user.check_password("nine purple trains")
    assert not user.check_password(NEW["password"])


def test_who_signs_somebody_up_again_and_again_leaves_their_link_good(anybody, outbox, settings):
    settings.RATELIMIT_ENABLE = True
    settings.RATE_LIMITS = {**settings.RATE_LIMITS, "signup": "100/d", "unasked_letters": "2/d"}
    sign_up(anybody, password="stolen green boats")
    sign_up(anybody)
    token = token_in(outbox()[-1])

    answers = [sign_up(anybody, password="stolen green boats") for _time in range(3)]

    assert {(answer.status_code, str(answer.json())) for answer in answers} == {(201, str(answers[0].json()))}
    assert len(outbox()) == 2
    assert anybody.get("/api/auth/verify-email", {"token": token}).status_code == 200
    assert User.objects.get(email=NEW["email"]).check_password(NEW["password"])
    assert Event.objects.filter(action=Action.SIGNUP, detail={"taken": False, "mailed": False}).count() == 3


def test_a_sign_up_nobody_confirmed_is_forgotten_after_a_month(anybody, people):
    sign_up(anybody)
    for days, count in ((29, 0), (31, 1)):
        with time_machine.travel(timezone.now() + timedelta(days=days)):
            assert registration.forget_unconfirmed() == count

    assert not User.objects.filter(email=NEW["email"]).exists()
    assert Event.objects.get(action=Action.ACCOUNT_ERASED).target_name == NEW["email"]
    assert User.objects.filter(pk__in=[user.pk for user in people.values()]).count() == len(people)


def test_the_link_is_shown_only_where_settings_say_so(anybody, settings, people):
    settings.EXPOSE_VERIFICATION_LINK = False
    assert set(sign_up(anybody).json()) == {"message"}

    settings.EXPOSE_VERIFICATION_LINK = True
    new, taken = sign_up(anybody).json(), sign_up(anybody, email=people["client"].email).json()
    assert set(new) == set(taken) == {"message", "verification_link"}
    assert len(new["verification_link"]) == len(taken["verification_link"])


def test_the_shown_link_works_and_that_of_a_taken_address_opens_nothing(anybody, settings, people):
    settings.EXPOSE_VERIFICATION_LINK = True
    off = people["off"]
    new, taken = sign_up(anybody).json(), sign_up(anybody, email=off.email).json()

    def spend(answer):
        link = answer["verification_link"].replace("/verify-email", "/api/auth/verify-email")
        return anybody.get(link).status_code

    assert spend(taken) == 400
    assert not User.objects.get(pk=off.pk).is_active
    assert spend(new) == 200
    assert User.objects.get(email=NEW["email"]).is_active


@pytest.mark.parametrize(
    "password", ["short", "1234567890123", "password123", "amina@example.org", "x" * 257, "   ", ""]
)
def test_a_weak_password_is_told_by_field_and_nothing_is_stored(password, anybody):
    response = sign_up(anybody, password=password)

    assert response.status_code == 400
    assert response.json()["code"] == "invalid"
    assert list(response.json()["errors"]) == ["password"]
    assert not User.objects.exists()
    assert not OutgoingMail.objects.exists()
    assert not Event.objects.exists()


def test_a_password_of_spaces_and_any_script_is_kept_as_typed(anybody, outbox):
    password = "  sieben grüne Boote 七艘绿船  "
    sign_up(anybody, password=password)
    anybody.get("/api/auth/verify-email", {"token": token_in(outbox()[0])})

    answers = [
        anybody.post("/api/auth/login", {"email": NEW["email"], "password": text}).status_code
        for text in (password, password.strip())
    ]
    assert answers == [200, 401]


@pytest.mark.parametrize(
    "extra",
    ["is_superuser", "is_staff", "is_active", "roles", "groups", "company", "company_id", "email_verified_at", "id"],
)
def test_a_field_that_would_raise_rights_is_refused_and_nothing_is_stored(extra, anybody):
    response = sign_up(anybody, **{extra: True})

    assert response.status_code == 400
    assert list(response.json()["errors"]) == [extra]
    assert not User.objects.exists()


@pytest.mark.parametrize("missing", ["email", "password", "name"])
def test_every_field_is_needed(missing, anybody):
    response = anybody.post("/api/auth/signup", {name: text for name, text in NEW.items() if name != missing})

    assert response.status_code == 400
    assert list(response.json()["errors"]) == [missing]


@pytest.mark.parametrize(
    "email",
    ["", "amina", "amina@", "@example.org", "a@b@c.org", "amina@example.org\nBcc: x@y.org", "a" * 250 + "@x.org"],
)
def test_what_is_no_address_is_refused(email, anybody):
    assert sign_up(anybody, email=email).status_code == 400
    assert not User.objects.exists()


def test_a_name_of_several_lines_adds_no_header_to_the_mail(anybody, outbox):
    sign_up(anybody, name="Amina\r\nBcc: everybody@example.org")

    (message,) = outbox()
    assert "\n" not in message.subject
    assert message.recipients() == ["amina@example.org"]
