"""The portal's languages: chosen by the browser, by a cookie, or by the signed-in user."""

import pytest
from django.urls import reverse

from accounts.models import User
from accounts.notices import mail
from tests.factories import PASSWORD

pytestmark = pytest.mark.django_db


def language_of(response):
    return response.content.decode().split('<html lang="', 1)[1].split('"', 1)[0]


@pytest.mark.parametrize(
    ("asked", "spoken"),
    [("sw", "sw"), ("sw-KE,sw;q=0.9,en;q=0.5", "sw"), ("en-GB", "en"), ("fr", "en"), ("%%%", "en")],
)
def test_a_browser_is_answered_in_the_language_it_asks_for(asked, spoken, client):
    assert language_of(client.get("/", headers={"Accept-Language": asked})) == spoken


def test_a_choice_counts_before_what_the_browser_says(client):
    chosen = client.post(reverse("language"), {"language": "sw", "next": "/signup"})

    assert (chosen.status_code, chosen["Location"]) == (302, "/signup")
    assert chosen.cookies["language"]["httponly"]
    assert chosen.cookies["language"]["samesite"] == "Lax"
    assert language_of(client.get("/signup", headers={"Accept-Language": "en"})) == "sw"


def test_the_choice_of_somebody_signed_in_is_kept_with_the_account(client, people):
    client.force_login(people["client"])

    client.post(reverse("language"), {"language": "sw"})

    assert User.objects.get(pk=people["client"].pk).language == "sw"


def test_a_log_in_brings_the_chosen_language_along(client, people):
    User.objects.filter(pk=people["client"].pk).update(language="sw")

    client.post(reverse("login"), {"email": people["client"].email, "password": PASSWORD})

    assert language_of(client.get("/profile", headers={"Accept-Language": "en"})) == "sw"


def test_mail_is_written_in_the_language_of_its_reader(people, mailoutbox):
    User.objects.filter(pk=people["client"].pk).update(language="sw")

    mail.post("password_changed", to=people["client"].email, user_id=str(people["client"].pk))
    mail.post("password_changed", to=people["ops"].email, user_id=str(people["ops"].pk))
    mail.send_waiting()

    languages = {message.to[0]: message.alternatives[0][0].split('lang="', 1)[1][:2] for message in mailoutbox}
    assert languages == {people["client"].email: "sw", people["ops"].email: "en"}


@pytest.mark.parametrize("language", ["", "fr", "sw<script>", "SW", "en\x00", "s" * 5000])
def test_an_unknown_language_changes_nothing(language, client, people):
    client.force_login(people["client"])

    refused = client.post(reverse("language"), {"language": language})

    assert refused.status_code == 400
    assert "language" not in refused.cookies
    assert User.objects.get(pk=people["client"].pk).language == ""


@pytest.mark.parametrize(
    "target", ["https://evil.example/", "//evil.example", "login", "foo", "a.b", "/\\evil.example"]
)
def test_choosing_leads_to_a_page_of_this_portal(target, client):
    response = client.post(reverse("language"), {"language": "sw", "next": target})

    assert (response.status_code, response["Location"]) == (302, "/")
