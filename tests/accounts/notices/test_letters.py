"""What mail servers and mail programs get: well-formed addresses, ids and greetings."""

import socket
import threading
from email import message_from_bytes, policy

import pytest
from django.core.mail import EmailMessage, get_connection

from accounts import checks
from accounts.notices import letters, mail
from tests.environments import reason_of, settings_of
from tests.plugin import ROOT

pytestmark = pytest.mark.once
NAMES = [
    "Portal",
    "Otieno, Mwangi & Co",
    'Otieno "Files" <Nairobi>',
    "Ng’endo; Mūgo: Wakili (Advocates)",
    "مكتب المحاماة",
    "a@b.example",
    "Ends with a backslash \\",
    "=?utf-8?q?not_encoded?=",
    "One very long name of a firm of advocates " * 4,
]


def sender_of(values):
    """(name, address) of the sender of a message sent with these settings, as a mail program reads it."""
    message = EmailMessage("Subject", "Text", values.DEFAULT_FROM_EMAIL, ["client@example.org"]).message()
    (address,) = message_from_bytes(message.as_bytes(), policy=policy.default)["From"].addresses
    return address.display_name, address.addr_spec


@pytest.mark.parametrize("name", NAMES)
def test_any_name_of_the_portal_is_the_senders_name(name, tmp_path):
    values = settings_of(tmp_path, SITE_NAME=name)
    if not name.startswith("=?"):
        assert sender_of(values) == (name.strip(), "portal@portal.example.org")
    assert sender_of(values)[1] == "portal@portal.example.org"


@pytest.mark.parametrize(
    ("given", "name", "address"),
    [
        ("files@example.org", "", "files@example.org"),
        ("<files@example.org>", "", "files@example.org"),
        ("Otieno, Mwangi & Co <files@example.org>", "Otieno, Mwangi & Co", "files@example.org"),
        ('"Otieno, Mwangi & Co" <files@example.org>', "Otieno, Mwangi & Co", "files@example.org"),
        (r'"The \"Files\"" <files@example.org>', 'The "Files"', "files@example.org"),
    ],
)
def test_a_senders_name_needs_no_quotes_and_may_have_them(given, name, address, tmp_path):
    assert sender_of(settings_of(tmp_path, DEFAULT_FROM_EMAIL=given)) == (name, address)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DEFAULT_FROM_EMAIL", "Portal"),
        ("DEFAULT_FROM_EMAIL", "Portal <portal>"),
        ("DEFAULT_FROM_EMAIL", "Portal <a@example.org> more"),
        ("DEFAULT_FROM_EMAIL", "Por\ntal <a@example.org>"),
        ("EMAIL_HELO_NAME", "portal example"),
        ("EMAIL_HELO_NAME", "x\r\nMAIL FROM:<a@example.org>"),
    ],
)
def test_a_sender_or_a_greeting_that_is_none_stops_the_start(name, value, tmp_path):
    assert name in reason_of(tmp_path, **{name: value})


@pytest.mark.parametrize(
    ("url", "domain"),
    [
        ("https://portal.example.org", "portal.example.org"),
        ("https://files.münchen.example", "files.xn--mnchen-3ya.example"),
        ("https://192.0.2.7:8443", "[192.0.2.7]"),
        ("https://[2001:db8::7]", "[IPv6:2001:db8::7]"),
    ],
)
def test_mail_is_of_the_host_of_site_url(url, domain, tmp_path):
    values = settings_of(tmp_path, SITE_URL=url)

    assert values.MAIL_DOMAIN == values.EMAIL_HELO_NAME == domain
    assert sender_of(values)[1] == f"portal@{domain}"
    assert settings_of(tmp_path, SITE_URL=url, EMAIL_HELO_NAME="out.example.org").EMAIL_HELO_NAME == "out.example.org"


def test_the_mail_server_is_greeted_by_the_portals_name(settings):
    said = []

    def serve(listening):
        peer, _address = listening.accept()
        with peer, peer.makefile("rwb", buffering=0) as lines:
            lines.write(b"220 ready\r\n")
            for line in lines:
                said.append(line.decode().strip())
                lines.write(b"250 good\r\n" if not line.startswith(b"QUIT") else b"221 bye\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serve, args=[listening], daemon=True)
        thread.start()
        settings.EMAIL_HELO_NAME = "portal.example.org"
        connection = get_connection(
            "config.outside.mail_backends.NamedSMTPBackend",
            host="127.0.0.1",
            port=listening.getsockname()[1],
            use_tls=False,
        )
        connection.open()
        connection.connection.ehlo()
        connection.close()
        thread.join(5)

    assert said[0] == "ehlo portal.example.org"


@pytest.mark.django_db
def test_a_letter_says_that_a_machine_wrote_it_and_keeps_its_id(people, mailoutbox, settings):
    settings.MAIL_DOMAIN = "portal.example.org"
    row = mail.post("password_changed", to="client@example.org", user_id=str(people["client"].pk))
    mail.send(row.pk)

    (message,) = mailoutbox
    written = message_from_bytes(message.message().as_bytes(), policy=policy.default)
    assert written["Auto-Submitted"] == "auto-generated"
    # A second try has the same id, so that the mail server can drop the duplicate.
    assert written["Message-ID"] == f"<{row.pk}@portal.example.org>"
    assert "List-Unsubscribe" not in written


# --- manage.py check --deploy -----------------------------------------------------------------------


def test_each_kind_of_letter_is_built_by_the_check():
    kinds = {path.name.removesuffix(".subject.txt") for path in (ROOT / "templates/mail").glob("*.subject.txt")}

    assert kinds == set(letters.SAMPLES)
    assert checks.letters_can_be_built(None) == []


def test_the_check_builds_what_a_providers_api_gets(settings):
    settings.EMAIL_BACKEND = "anymail.backends.brevo.EmailBackend"
    settings.ANYMAIL = {"BREVO_API_KEY": "x"}
    settings.DEFAULT_FROM_EMAIL = '"Otieno, Mwangi & Co" <portal@example.org>'
    assert checks.letters_can_be_built(None) == []

    settings.DEFAULT_FROM_EMAIL = "Otieno, Mwangi & Co <portal@example.org>"
    assert [each.id for each in checks.letters_can_be_built(None)] == ["accounts.E001"]


def test_the_check_names_the_letters_and_the_reason(settings, monkeypatch):
    settings.DEFAULT_FROM_EMAIL = "Otieno, Mwangi & Co <portal@example.org>"
    found = checks.letters_can_be_built(None)
    assert found
    assert all("verify_email" in each.msg and "share_link" in each.msg for each in found)

    settings.DEFAULT_FROM_EMAIL = "Portal <portal@example.org>"
    monkeypatch.setitem(letters.SAMPLES._values, "digest", dict)
    (one,) = checks.letters_can_be_built(None)
    assert one.msg.startswith("Letters cannot be built: digest.")
