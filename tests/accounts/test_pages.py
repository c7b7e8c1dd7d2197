"""The pages about accounts, in a browser without JavaScript."""

import re

import pytest
from django.contrib.auth import SESSION_KEY
from django.test import Client

from accounts.contributions.actions import Action
from accounts.models import OutgoingMail, User
from audit.models import Event
from tests.accounts.notices.letters import link_in, token_in
from tests.factories import PASSWORD

pytestmark = pytest.mark.django_db
NEW = {"email": "amina@example.org", "password": "seven green boats", "name": "Amina"}
LOGIN = {"email": "client@example.org", "password": PASSWORD}


def is_signed_in(client):
    return SESSION_KEY in client.session


# --- Signing up -------------------------------------------------------------------------------------


def test_sign_up_says_the_same_for_every_address(client, people):
    new, taken = client.post("/signup", NEW), client.post("/signup", {**NEW, "email": "client@example.org"})

    assert (new.status_code, taken.status_code) == (200, 200)
    pages = [re.sub(rb'(csrfmiddlewaretoken" value=")[^"]+', rb"\1", answer.content) for answer in (new, taken)]
    assert pages[0].replace(b"amina@", b"client@") == pages[1]


def test_sign_up_shows_the_link_only_where_settings_say_so(client, settings):
    assert client.post("/signup", NEW).context["verification_link"] is None

    settings.EXPOSE_VERIFICATION_LINK = True
    response = client.post("/signup", {**NEW, "email": "b@example.org"})
    assert client.get(response.context["verification_link"]).context["state"] == "ask"


@pytest.mark.parametrize(
    ("field", "value"),
    [("password", "short"), ("email", "nobody"), ("name", ""), ("password", ""), ("name", "x" * 151)],
)
def test_a_form_with_a_mistake_comes_back_with_what_was_typed(field, value, client):
    response = client.post("/signup", {**NEW, field: value})

    assert response.status_code == 400
    assert response.context["form"].errors[field]
    assert NEW["password"] not in response.content.decode()
    assert not User.objects.filter(email=NEW["email"]).exists()


# --- Logging in -------------------------------------------------------------------------------------


def test_log_in_and_out(client, people):
    response = client.post("/login", LOGIN)
    assert (response.status_code, response["Location"]) == (302, "/")
    assert is_signed_in(client)

    response = client.post("/logout")
    assert (response.status_code, response["Location"]) == (302, "/")
    assert not is_signed_in(client)
    actions = Event.objects.order_by("created_at").values_list("action", flat=True)
    assert list(actions) == [Action.LOGIN, Action.LOGOUT]


def test_logging_in_changes_the_session_key(client, people):
    client.get("/login")
    client.session["before"] = True
    session = client.session
    session["before"] = True
    session.save()
    before = session.session_key

    client.post("/login", LOGIN)

    assert client.session.session_key != before


def test_logout_takes_a_post(client, people):
    client.force_login(people["client"])

    assert b"<button" in client.get("/logout").content
    assert is_signed_in(client)
    client.post("/logout")
    assert not is_signed_in(client)
    assert client.get("/logout")["Location"] == "/"


@pytest.mark.parametrize(
    ("email", "password"),
    [("nobody@example.org", PASSWORD), ("client@example.org", "wrong"), ("off@example.org", PASSWORD), ("x", "y")],
)
def test_a_refused_log_in_says_one_thing(email, password, client, people):
    response = client.post("/login", {"email": email, "password": password})

    assert response.status_code == 401
    assert response.context["form"].non_field_errors() == ["The address or the password is not right."]
    assert not is_signed_in(client)


@pytest.mark.parametrize("target", ["/files/", "/fileshare/x/?page=2", "/profile"])
def test_log_in_goes_where_one_was_going(target, client, people):
    assert client.post("/login", {**LOGIN, "next": target})["Location"] == target


@pytest.mark.parametrize(
    "target",
    [
        "https://elsewhere.example/",
        "//elsewhere.example/",
        "///elsewhere.example",
        "/\\elsewhere.example",
        "\\\\elsewhere.example",
        "http:elsewhere.example",
        "javascript:alert(1)",
        "data:text/html,x",
        "https://testserver@elsewhere.example/",
        " //elsewhere.example",
        "\x08//elsewhere.example",
        "ftp://testserver/",
    ],
)
@pytest.mark.parametrize("signed_in", [False, True])
def test_log_in_leads_to_no_other_site(target, signed_in, client, people):
    if signed_in:
        client.force_login(people["client"])
        response = client.get("/login", {"next": target})
    else:
        assert target not in client.get("/login", {"next": target}).content.decode()
        response = client.post("/login", {**LOGIN, "next": target})

    assert (response.status_code, response["Location"]) == (302, "/")


def test_a_page_that_needs_a_log_in_comes_back_to_itself(client, people):
    response = client.get("/notifications?limit=5")
    assert response["Location"] == "/login?next=/notifications%3Flimit%3D5"

    page = client.get(response["Location"])
    assert client.post("/login", {**LOGIN, "next": page.context["next"]})["Location"] == "/notifications?limit=5"


@pytest.mark.parametrize("path", ["/login", "/signup"])
def test_who_is_signed_in_needs_neither(path, client, people):
    client.force_login(people["client"])

    assert client.get(path)["Location"] == "/"


# --- Forgotten passwords ----------------------------------------------------------------------------


@pytest.mark.parametrize("email", ["client@example.org", "nobody@example.org", "off@example.org"])
def test_forgot_password_says_the_same_for_every_address(email, client, people):
    response = client.post("/forgot-password", {"email": email})

    assert (response.status_code, response.context["sent"]) == (200, True)
    assert email not in response.content.decode()
    assert OutgoingMail.objects.count() == 1


def test_a_mistyped_address_is_told(client):
    response = client.post("/forgot-password", {"email": "nobody"})

    assert response.context["form"].errors["email"]
    assert not response.context["sent"]


def test_from_the_mail_to_a_new_password(client, people, outbox):
    client.post("/forgot-password", {"email": "client@example.org"})
    page = client.get(link_in(outbox()[0]))
    token = page.context["form"]["token"].value()
    assert token == token_in(outbox()[0])

    response = client.post("/reset-password", {"token": token, "new_password": "nine purple trains"})

    assert (response.status_code, response.context["state"]) == (200, "done")
    assert client.post("/login", {**LOGIN, "password": "nine purple trains"}).status_code == 302


@pytest.mark.parametrize("path", ["/verify-email", "/change-email", "/reset-password"])
def test_a_link_leaks_by_no_referrer_and_is_kept_in_no_cache(path, client):
    response = client.get(path, {"token": "x"})

    assert response["Referrer-Policy"] == "same-origin"
    assert "no-store" in response["Cache-Control"]


# --- Forms from other sites -------------------------------------------------------------------------

POSTS = [
    ("/signup", NEW),
    ("/login", LOGIN),
    ("/logout", {}),
    ("/verify-email", {"token": "x"}),
    ("/change-email", {"token": "x"}),
    ("/forgot-password", {"email": "client@example.org"}),
    ("/reset-password", {"token": "x", "new_password": "nine purple trains"}),
    ("/profile", {"form": "profile", "name": "Other"}),
    ("/notifications/mark-read", {"all": "1"}),
]


@pytest.mark.parametrize(("path", "data"), POSTS)
def test_a_form_without_its_token_does_nothing(path, data, people):
    client = Client(enforce_csrf_checks=True)
    if path in ("/logout", "/profile", "/notifications/mark-read"):
        client.force_login(people["client"])
    before = (User.objects.count(), Event.objects.count(), OutgoingMail.objects.count())

    response = client.post(path, data)

    assert response.status_code == 403
    assert response.context["code"] == "csrf_failed"
    assert (User.objects.count(), Event.objects.count(), OutgoingMail.objects.count()) == before


@pytest.mark.parametrize(
    ("path", "data"), [post for post in POSTS if post[0] in ("/signup", "/login", "/forgot-password")]
)
def test_the_pages_own_form_carries_its_token(path, data, people):
    client = Client(enforce_csrf_checks=True)
    assert b"csrfmiddlewaretoken" in client.get(path).content

    response = client.post(path, {**data, "csrfmiddlewaretoken": client.cookies["csrftoken"].value})

    assert response.status_code in (200, 302)


def test_the_api_by_session_needs_the_token_too(people):
    client = Client(enforce_csrf_checks=True)
    client.force_login(people["client"])
    assert client.get("/api/users/me").status_code == 200

    refused = client.patch("/api/users/me", {"name": "Other"}, content_type="application/json")
    assert (refused.status_code, refused.json()["code"]) == (403, "csrf_failed")
    assert User.objects.get(pk=people["client"].pk).name != "Other"

    client.get("/profile")
    token = client.cookies["csrftoken"].value
    taken = client.patch(
        "/api/users/me", {"name": "Other"}, content_type="application/json", headers={"X-CSRFToken": token}
    )
    assert taken.status_code == 200


def test_text_of_other_people_is_escaped(client, people):
    User.objects.filter(pk=people["client"].pk).update(name="<script>alert(1)</script>", bio="</textarea><b>")
    client.force_login(people["client"])

    page = client.get("/profile").content.decode()

    assert "<script>alert" not in page
    assert "</textarea><b>" not in page


@pytest.mark.parametrize("path", ["/signup", "/login", "/forgot-password", "/verify-email", "/reset-password"])
def test_other_methods_are_refused(path, client):
    assert client.put(path).status_code == 405
    assert client.delete(path).status_code == 405


@pytest.mark.parametrize("target", ["foo", "login", "//evil.example/x", "javascript:alert(1)"])
def test_next_is_a_path_of_this_portal_or_nothing(target, client, people):
    client.force_login(people["client"])

    answer = client.get("/login", {"next": target})

    assert (answer.status_code, answer["Location"]) == (302, "/")


def test_another_address_is_given_by_somebody_who_just_proved_who_they_are(client, people):
    client.force_login(people["client"])
    facts = {"form": "email", "email": "new@example.org"}

    answer = client.post("/profile", facts)

    assert answer["Location"].startswith("/profile/security/confirm?next=")
    assert not User.objects.get(pk=people["client"].pk).pending_email
    client.post("/profile/security/confirm", {"password": PASSWORD})
    client.post("/profile", facts)
    assert User.objects.get(pk=people["client"].pk).pending_email == "new@example.org"
