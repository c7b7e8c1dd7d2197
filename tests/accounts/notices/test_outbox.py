"""Mail: an operation's transaction writes a row, and after the commit the portal tries until the mail is sent."""

from datetime import timedelta
from email import message_from_bytes
from pathlib import Path
from smtplib import SMTPServerDisconnected

import pytest
import time_machine
from django.core.mail.backends.locmem import EmailBackend
from django.db import transaction
from django.utils import timezone

from accounts import tasks
from accounts.models import OutgoingMail
from accounts.notices import letters, mail, mailed_links
from tests.factories import UserFactory

pytestmark = pytest.mark.django_db
START = timezone.now().replace(microsecond=0)


@pytest.fixture
def letter(people):
    return mail.post("password_changed", to="client@example.org", user_id=str(people["client"].pk))


@pytest.fixture
def server_down(monkeypatch):
    """The mail server refuses until server_down.clear()."""
    down, send = [True], EmailBackend.send_messages

    def send_messages(backend, messages):
        if down:
            raise SMTPServerDisconnected
        return send(backend, messages)

    monkeypatch.setattr(EmailBackend, "send_messages", send_messages)
    return down


def row(letter):
    return OutgoingMail.objects.get(pk=letter.pk)


def test_a_letter_we_cannot_write_is_our_fault_and_waits(letter, mailoutbox, monkeypatch, caplog):
    def breaks(*args):
        raise KeyError("nobody thought of this")

    monkeypatch.setattr(letters, "render_to_string", breaks)
    assert not mail.send(letter.pk)

    (line,) = [line for line in caplog.records if line.name == "accounts.notices.mail"]
    assert (line.levelname, line.exc_info[0]) == ("ERROR", KeyError)
    assert row(letter).next_try_at > timezone.now()
    monkeypatch.undo()
    with time_machine.travel(START + timedelta(hours=1)):
        assert mail.send(letter.pk)
    assert len(mailoutbox) == 1


@pytest.mark.both
def test_a_letter_goes_once(letter, mailoutbox):
    assert [mail.send(letter.pk), mail.send(letter.pk), mail.send_waiting()] == [True, False, 0]

    assert len(mailoutbox) == 1
    assert row(letter).sent_at is not None


@pytest.mark.parametrize(
    "letter",
    [
        "verify_email",
        "account_exists",
        "reset_password",
        "password_changed",
        "change_email",
        "email_changed",
        "invitation",
    ],
)
def test_every_letter_has_a_subject_a_text_and_a_page(letter, people, mailoutbox):
    user = people["client"]
    user.name, user.pending_email = "Amina <script>", "new@example.org"
    if letter in ("verify_email", "invitation"):
        user.is_active, user.email_verified_at = False, None
    if letter == "invitation":
        user.set_unusable_password()
    user.save()
    to = user.pending_email if letter == "change_email" else user.email

    mail.send(mail.post(letter, to=to, user_id=str(user.pk)).pk)

    (message,) = mailoutbox
    assert message.subject
    assert "\n" not in message.subject
    html = message.alternatives[0][0]
    assert "<script>" not in html
    if letter in mail.LINK_PAGES:
        assert "?token=" in message.body
        assert "?token=" in html


@pytest.mark.both
def test_a_letter_is_queued_after_the_commit_only(people, monkeypatch, django_capture_on_commit_callbacks):
    sent = []
    monkeypatch.setattr(
        "config.outside.queue.app.send_task", lambda task, **options: sent.append((task, options["kwargs"]))
    )

    with django_capture_on_commit_callbacks(execute=True):
        letter = mail.post("password_changed", to="client@example.org", user_id=str(people["client"].pk))
        assert sent == []
    assert sent == [("accounts.tasks.send_mail", {"mail_id": str(letter.pk)})]


def test_a_promise_taken_back_sends_nothing(people, mailoutbox):
    with transaction.atomic():
        mail.post("password_changed", to="client@example.org", user_id=str(people["client"].pk))
        transaction.set_rollback(True)

    assert mail.send_waiting() == 0
    assert mailoutbox == []


@pytest.mark.parametrize("fault", [ConnectionRefusedError, TimeoutError])
def test_a_broker_that_is_down_costs_nothing(fault, people, monkeypatch, api_as, commits, outbox):
    def send_task(*args, **kwargs):
        raise fault

    monkeypatch.setattr("config.outside.queue.app.send_task", send_task)

    with commits():
        response = api_as(None).post("/api/auth/forgot-password", {"email": "client@example.org"})

    assert response.status_code == 202
    assert len(outbox()) == 1


def test_what_a_server_refused_is_delivered_later_and_once(letter, server_down, mailoutbox):
    with time_machine.travel(START, tick=False) as clock:
        OutgoingMail.objects.update(next_try_at=START)
        assert mail.send(letter.pk) is False
        assert (row(letter).tries, row(letter).sent_at) == (1, None)
        assert mail.send_waiting() == 0, "not before its time"

        server_down.clear()
        clock.move_to(START + timedelta(minutes=5))
        assert tasks.send_waiting_mail() == 1
        clock.move_to(START + timedelta(days=2))
        assert tasks.send_waiting_mail() == 0
    assert len(mailoutbox) == 1


def test_one_letter_that_fails_holds_up_no_other(people, mailoutbox, monkeypatch):
    bad = mail.post("no_such_letter", to="client@example.org", user_id=str(people["client"].pk))
    good = mail.post("password_changed", to="ops@example.org", user_id=str(people["ops"].pk))

    assert mail.send_waiting() == 1

    assert [message.to for message in mailoutbox] == [["ops@example.org"]]
    assert (row(bad).sent_at, row(bad).tries) == (None, 1)
    assert row(good).sent_at is not None


def test_waits_grow_and_a_letter_is_given_up_in_the_end(letter, server_down, mailoutbox):
    waits, now = [], START
    with time_machine.travel(START, tick=False) as clock:
        OutgoingMail.objects.update(next_try_at=START)
        while row(letter).failed_at is None:
            mail.send(letter.pk)
            waits.append(row(letter).next_try_at - now)
            now = row(letter).next_try_at
            clock.move_to(now)
        server_down.clear()
        clock.move_to(now + timedelta(days=9))
        assert mail.send_waiting() == 0

    assert len(waits) == mail.MAX_TRIES
    assert waits == sorted(waits)
    assert now - START >= timedelta(days=1), "a day without a mail server loses nothing"
    assert mailoutbox == []


def test_a_server_that_is_away_is_not_tried_with_every_letter(server_down, mailoutbox):
    """The worker stops after some failures: each try could last EMAIL_TIMEOUT, and other tasks wait."""
    for number in range(10):
        mail.post("password_changed", to=f"{number}@example.org")

    assert mail.send_waiting() == 0
    assert OutgoingMail.objects.filter(tries=1).count() == mail.FAILURES_IN_A_ROW
    server_down.clear()
    assert mail.send_waiting() == 10 - mail.FAILURES_IN_A_ROW


@pytest.mark.parametrize("letter", ["reset_password", "verify_email", "invitation", "change_email"])
def test_a_link_goes_to_no_mailbox_that_is_not_the_users(letter, people, mailoutbox):
    """The letter was written to an address that the user has replaced since."""
    waiting = mail.post(letter, to="former@example.org", user_id=str(people["client"].pk))

    mail.send(waiting.pk)

    assert mailoutbox == []
    assert row(waiting).sent_at


@pytest.mark.both
def test_a_sender_killed_in_between_leaves_the_letter_to_be_tried_again(letter, mailoutbox, monkeypatch):
    monkeypatch.setattr(EmailBackend, "send_messages", lambda *args: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        mail.send(letter.pk)
    monkeypatch.undo()

    assert mail.send_waiting() == 0
    with time_machine.travel(timezone.now() + timedelta(minutes=6)):
        assert mail.send_waiting() == 1
    assert len(mailoutbox) == 1


def test_the_link_is_made_when_the_letter_goes(mailoutbox):
    user = UserFactory(is_active=False, email_verified_at=None)
    letter = mail.post("verify_email", to=user.email, user_id=str(user.pk))
    user.set_password("ten yellow planes")
    user.save()

    mail.send(letter.pk)

    token = mailoutbox[0].body.split("token=")[1].split()[0].replace("%3A", ":")
    assert mailed_links.read_link_token(token, mailed_links.VERIFY) == user


@pytest.mark.both
def test_old_letters_are_forgotten_and_waiting_ones_kept(people):
    facts = {"to": "client@example.org", "user_id": str(people["client"].pk)}
    sent, failed, waiting, recent = (mail.post("password_changed", **facts) for _n in range(4))
    long_ago = timezone.now() - timedelta(days=31)
    OutgoingMail.objects.exclude(pk=recent.pk).update(created_at=long_ago)
    OutgoingMail.objects.filter(pk__in=[sent.pk, recent.pk]).update(sent_at=long_ago)
    OutgoingMail.objects.filter(pk=failed.pk).update(failed_at=long_ago)

    tasks.forget_expired()

    assert set(OutgoingMail.objects.all()) == {waiting, recent}


def test_the_file_backend_writes_each_message_whole_and_for_its_owner_alone(letter, settings, tmp_path):
    settings.EMAIL_BACKEND = "config.outside.mail_backends.OneFileEachBackend"
    settings.EMAIL_FILE_PATH = str(tmp_path / "mail")
    OutgoingMail.objects.update(to="../../etc/x@example.org")

    mail.send(letter.pk)

    (path,) = Path(settings.EMAIL_FILE_PATH).iterdir()
    assert path.suffix == ".eml"
    assert path.stat().st_mode & 0o777 == 0o600
    assert message_from_bytes(path.read_bytes())["Subject"]
