"""A new e-mail address takes effect when the user confirms the link in the letter to it."""

from datetime import timedelta

import pytest
import time_machine
from django.utils import timezone

from accounts.contributions.actions import Action
from accounts.models import User
from accounts.notices import mailed_links
from audit.models import Event
from tests.accounts.notices.letters import token_in
from tests.factories import UserFactory, proved

pytestmark = pytest.mark.django_db
NEW = "new@example.org"


@pytest.fixture
def asks(api_as):
    """asks(email) requests a new address for the client, by API."""
    return lambda email=NEW: api_as("client").patch("/api/users/me", {"email": email})


def confirm(client, token):
    return client.post("/change-email", {"token": token})


def email_of(user):
    return User.objects.get(pk=user.pk).email


def test_the_old_address_stays_until_the_link_is_opened(asks, client, people, outbox):
    assert asks(" NEW@Example.org ").json()["email"] == "client@example.org"
    message, notice = outbox()
    assert message.to == [NEW]
    assert notice.to == ["client@example.org"], "the old address hears of it at once"
    assert User.objects.get(pk=people["client"].pk).pending_email == NEW

    assert confirm(client, token_in(message)).status_code == 200

    assert email_of(people["client"]) == NEW
    assert User.objects.get(pk=people["client"].pk).pending_email == ""
    assert outbox()[-1].to == ["client@example.org"], "the old address is told"
    assert Event.objects.get(action=Action.EMAIL_CHANGED).detail == {"old_email": "client@example.org"}


def test_the_profile_page_asks_for_the_same(client, people, outbox):
    proved(client, people["client"])

    assert client.post("/profile", {"form": "email", "email": NEW}).status_code == 302

    assert outbox()[0].to == [NEW]
    assert NEW in client.get("/profile").content.decode()


def test_a_browser_left_open_changes_no_address_by_the_api_either(client, people, outbox):
    client.force_login(people["client"])

    refused = client.patch("/api/users/me", {"email": NEW}, content_type="application/json")

    assert (refused.status_code, refused.json()["code"]) == (403, "confirmation_needed")
    assert outbox() == []
    assert client.patch("/api/users/me", {"name": "Other"}, content_type="application/json").status_code == 200
    proved(client, people["client"])
    assert client.patch("/api/users/me", {"email": NEW}, content_type="application/json").status_code == 200


def test_a_changed_profile_is_in_the_log(api_as, people):
    api = api_as("client")

    api.patch("/api/users/me", {"name": people["client"].name})
    assert not Event.objects.filter(action=Action.PROFILE_CHANGED).exists()
    api.patch("/api/users/me", {"name": "Another Name", "bio": "New"})

    event = Event.objects.get(action=Action.PROFILE_CHANGED)
    assert (event.actor, event.detail) == (people["client"], {"changed": ["name", "bio"]})


def test_a_letter_proves_no_mailbox_but_its_own(asks, client, people, outbox):
    asks("mine@example.org")
    asks("victim@example.org")

    messages = {message.to[0]: message for message in outbox() if "?token=" in message.body}

    assert set(messages) == {"victim@example.org"}
    assert confirm(client, token_in(messages["victim@example.org"])).status_code == 200


def test_an_address_that_a_sign_up_never_proved_is_free(asks, client, people, outbox):
    UserFactory(email=NEW, is_active=False, email_verified_at=None, roles=["client"])
    asks()

    assert confirm(client, token_in(outbox()[0])).status_code == 200

    assert [user.pk for user in User.objects.filter(email=NEW)] == [people["client"].pk]


def test_the_wish_for_an_address_is_in_the_log(asks, people):
    asks()

    event = Event.objects.get(action=Action.PROFILE_CHANGED)
    assert (event.actor, event.detail) == (people["client"], {"changed": ["pending_email"]})


def test_opening_the_page_changes_nothing(asks, client, people, outbox):
    asks()

    assert client.get("/change-email", {"token": token_in(outbox()[0])}).status_code == 200
    assert email_of(people["client"]) == "client@example.org"


def test_a_taken_address_shows_only_to_its_owner(asks, people, outbox):
    free = asks()
    taken = asks("stranger@example.org")

    assert taken.status_code == free.status_code
    assert set(taken.json()) == set(free.json())
    assert email_of(people["client"]) == "client@example.org"
    (letter,) = [message for message in outbox() if message.to == ["stranger@example.org"]]
    assert "token=" not in letter.body


def test_an_address_taken_meanwhile_is_not_stolen(asks, client, people, outbox):
    asks()
    token = token_in(outbox()[0])
    owner = UserFactory(email=NEW)

    assert confirm(client, token).status_code == 410
    assert email_of(people["client"]) == "client@example.org"
    assert email_of(owner) == NEW


def test_a_later_wish_makes_the_earlier_link_stale(asks, client, people, outbox):
    asks()
    # Send the letter now: its link is made when it is sent.
    earlier = token_in(outbox()[0])
    asks("newer@example.org")
    (letter,) = [message for message in outbox() if message.to == ["newer@example.org"]]

    assert confirm(client, earlier).status_code == 410
    assert confirm(client, token_in(letter)).status_code == 200
    assert email_of(people["client"]) == "newer@example.org"


def test_a_link_works_once_and_for_a_day(asks, client, people, outbox):
    asks()
    token = token_in(outbox()[0])
    with time_machine.travel(timezone.now() + timedelta(hours=24, seconds=5)):
        assert confirm(client, token).status_code == 410
    assert confirm(client, token).status_code == 200
    assert confirm(client, token).status_code == 410


def test_a_user_switched_off_meanwhile_changes_no_address(asks, client, people, outbox):
    asks()
    token = token_in(outbox()[0])
    User.objects.filter(pk=people["client"].pk).update(is_active=False)

    assert confirm(client, token).status_code in (400, 410)
    assert email_of(people["client"]) == "client@example.org"


def test_a_new_password_makes_a_pending_change_stale(asks, client, people, outbox):
    """An attacker may have requested the change before the owner set the new password."""
    asks()
    token = token_in(outbox()[0])
    user = User.objects.get(pk=people["client"].pk)
    client.post(
        "/reset-password",
        {"token": mailed_links.make_link_token(user, mailed_links.RESET), "new_password": "nine purple trains"},
    )

    assert User.objects.get(pk=user.pk).pending_email == "", "the profile waits for it no longer"
    assert confirm(client, token).status_code == 410
    assert email_of(people["client"]) == "client@example.org"


def test_ones_own_address_is_no_change(client, people, outbox):
    proved(client, people["client"])

    response = client.post("/profile", {"form": "email", "email": "Client@Example.org"})

    assert response.status_code == 400
    assert outbox() == []


@pytest.mark.parametrize("token", ["", "nonsense"])
def test_what_is_no_link_is_refused(token, client, people):
    assert confirm(client, token).status_code == 400
    assert client.get("/change-email", {"token": token}).status_code == 400
