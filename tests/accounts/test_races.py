"""Two requests at the same instant, on real transactions."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from django.core.exceptions import PermissionDenied
from django.core.mail.backends.locmem import EmailBackend
from django.db import connection

from accounts.credentials import tokens
from accounts.models import OutgoingMail, RefreshToken, User
from accounts.notices import mail, mailed_links
from accounts.people import registration, roles
from config.errors import Refused
from tests.factories import PASSWORD, UserFactory

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.both]


def at_once(*calls):
    """Run each call in its own thread; returns their results, or the refusals that they raised."""
    barrier = Barrier(len(calls))

    def run(call):
        try:
            barrier.wait(timeout=10)
            return call()
        except (Refused, PermissionDenied) as refusal:
            return refusal
        finally:
            connection.close()

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(run, calls))


@pytest.mark.parametrize("turn", range(3))
def test_two_racing_refreshes_give_exactly_one_pair(turn):
    raw = tokens.open_family(UserFactory())["refresh"]

    answers = at_once(*[lambda: tokens.rotate(refresh=raw)] * 2)

    pairs = [answer for answer in answers if isinstance(answer, dict)]
    refused = [answer for answer in answers if isinstance(answer, Refused)]
    assert (len(pairs), [refusal.code for refusal in refused]) == (1, ["token_reused"])
    assert RefreshToken.objects.count() == 2
    assert not RefreshToken.objects.filter(revoked_at=None).exists(), "a copy ends the family"


def test_two_sign_ups_of_one_address_make_one_user():
    def sign_up(name):
        return lambda: registration.sign_up(email="amina@example.org", password=PASSWORD, name=name)

    answers = at_once(sign_up("First"), sign_up("Second"))

    assert all(isinstance(answer, str) for answer in answers)
    assert User.objects.count() == 1
    assert User.objects.get().groups.get().name == "client"


def test_two_verifications_by_one_link_let_one_through():
    user = UserFactory(is_active=False, email_verified_at=None)
    token = mailed_links.make_link_token(user, mailed_links.VERIFY)

    answers = at_once(*[lambda: registration.verify_email(token=token)] * 2)

    assert sorted(type(answer).__name__ for answer in answers) == ["LinkUsed", "User"]


def test_two_senders_send_one_letter(monkeypatch):
    sent = []
    monkeypatch.setattr(EmailBackend, "send_messages", lambda backend, messages: sent.extend(messages) or 1)
    user = UserFactory()
    letter = mail.post("password_changed", to=user.email, user_id=str(user.pk))

    answers = at_once(*[lambda: mail.send(letter.pk)] * 4)

    assert sorted(answers) == [False, False, False, True]
    assert len(sent) == 1
    assert OutgoingMail.objects.get().sent_at is not None


def test_two_supers_cannot_demote_each_other():
    first, second = (UserFactory(roles=["super"], is_superuser=True) for _n in range(2))

    answers = at_once(
        lambda: roles.change_user(by=first, user_id=second.pk, roles=["ops"]),
        lambda: roles.change_user(by=second, user_id=first.pk, roles=["ops"]),
    )

    assert sorted(type(answer).__name__ for answer in answers) == ["PermissionDenied", "User"], "no super by then"
    assert User.objects.filter(is_superuser=True).count() == 1
