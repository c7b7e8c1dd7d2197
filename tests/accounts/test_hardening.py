"""Attacks that once worked."""

import pytest

from accounts.credentials import passwords, tokens
from accounts.models import OutgoingMail, RefreshToken, User
from accounts.notices import mailed_links
from tests.factories import PASSWORD

pytestmark = pytest.mark.django_db


def test_a_log_in_proved_before_a_new_password_does_not_outlive_it(people, api_as):
    proved = passwords.authenticate(email="client@example.org", password=PASSWORD)
    passwords.change(user=people["client"], current_password=PASSWORD, new_password="eight yellow boats")

    # The row is written only now, after the password change has ended every family that existed.
    pair = tokens.open_family(proved)

    assert RefreshToken.objects.get(user=proved, revoked_at=None)
    with pytest.raises(tokens.TokenInvalid):
        tokens.rotate(refresh=pair["refresh"])
    client = api_as(None)
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {pair['access']}")
    assert client.get("/api/users/me").status_code == 401


@pytest.mark.parametrize(
    "email",
    [
        "a@" + ".".join(["İ" * 18] * 11) + ".com",
        "a@" + "x" * 64 + ".com",
        "a@b",
        "a b@example.org",
        "a@example.org\nBcc: b@c.de",
    ],
    ids=["grows in lower case", "label too long", "no top level", "a space", "a header"],
)
def test_an_address_no_mail_would_reach_is_refused_everywhere(api_as, email):
    facts, people = {"email": email, "password": PASSWORD, "name": "Amina"}, User.objects.count()

    for call, body in (
        ("/api/auth/signup", facts),
        ("/api/auth/forgot-password", {"email": email}),
    ):
        assert api_as(None).post(call, body).status_code == 400, call
    assert User.objects.count() == people
    assert not OutgoingMail.objects.exists()


@pytest.mark.parametrize(
    "name",
    ["Amina\r\nClick here", "see https://evil.example", "WWW.evil.example", "Evil.Example/reset", "\u202ename", " "],
)
def test_a_name_carries_no_message_into_other_peoples_mail(api_as, name):
    response = api_as(None).post("/api/auth/signup", {"email": "amina@example.org", "password": PASSWORD, "name": name})

    kept = User.objects.filter(email="amina@example.org").values_list("name", flat=True)
    assert (response.status_code, list(kept)) in [(400, []), (201, ["Amina Click here"])]


def test_a_letter_to_an_unproved_address_holds_nothing_its_sender_wrote(api_as, outbox):
    api_as(None).post("/api/auth/signup", {"email": "amina@example.org", "password": PASSWORD, "name": "Win a prize"})

    (letter,) = outbox()
    html, _kind = letter.alternatives[0]
    assert "Win a prize" not in letter.body + html + letter.subject


def test_asking_for_the_headers_of_a_verification_link_spends_nothing(api_as):
    api_as(None).post("/api/auth/signup", {"email": "amina@example.org", "password": PASSWORD, "name": "Amina"})
    user = User.objects.get(email="amina@example.org")
    token = mailed_links.make_link_token(user, mailed_links.VERIFY)

    assert api_as(None).head(f"/api/auth/verify-email?token={token}").status_code == 405
    assert api_as(None).get(f"/api/auth/verify-email?token={token}").status_code == 200
