"""A super exports or erases the data of a person who asked by letter."""

import io
import json

import pytest
from django.core.exceptions import PermissionDenied
from django.core.management import CommandError, call_command
from django.http import Http404

from accounts.contributions.actions import Action
from accounts.models import User
from accounts.privacy import subject_rights
from audit.models import Event
from config.errors import Refused
from fileshare import folders
from fileshare.models import File
from tests.factories import UserFactory, store_file

pytestmark = pytest.mark.django_db
WHY = "By letter of 3 May, known by passport."


@pytest.fixture
def asking(people):
    """The client, with a file of their own."""
    user = people["client"]
    store_file(user=user, folder=folders.personal_folder(user), filename="mine.docx")
    return user


def refusal(call, **facts):
    with pytest.raises(Refused) as refused:
        call(**facts)
    return refused.value.status, refused.value.code


def test_a_super_gets_the_copy_for_a_person(people, asking):
    blocks = subject_rights.export_for(by=people["super"], user_id=asking.pk, reason=WHY)

    data = json.loads(b"".join(blocks))
    assert data["account"]["email"] == "client@example.org"
    assert [row["filename"] for row in data["uploaded_files"]] == ["mine.docx"]
    event = Event.objects.get(action=Action.DATA_EXPORTED)
    told = (event.actor, event.target_id, event.detail)
    assert told == (people["super"], str(asking.pk), {"reason": WHY, "on_behalf": True})


def test_a_super_erases_at_once_for_a_person(people, asking, commits, monkeypatch):
    asked = []
    monkeypatch.setattr("config.outside.queue.app.send_task", lambda task, **options: asked.append(task))

    with commits():
        user = subject_rights.erase_now(by=people["super"], user_id=asking.pk, reason=WHY)
        assert not User.objects.get(pk=asking.pk).is_active
    assert subject_rights.erase_closed() == 1

    assert asked == ["accounts.tasks.erase_closed_accounts"]
    user.refresh_from_db()
    assert (user.email, user.name) == (f"closed-{user.pk}@invalid", "Closed account")
    assert not File.objects.filter(folder__owner=asking).exists()
    closed, erased = (Event.objects.get(action=action) for action in (Action.ACCOUNT_CLOSED, Action.ACCOUNT_ERASED))
    assert (closed.actor, closed.detail["reason"]) == (people["super"], WHY)
    assert (erased.actor, erased.target_id) == (None, str(asking.pk))
    assert Event.objects.filter(actor_email="client@example.org").exists(), "the log's copy of the address stays"


def test_nobody_but_a_super_and_nobody_without_a_reason(people, asking):
    for call in (subject_rights.export_for, subject_rights.erase_now):
        for who in ("uploader", "client", "off"):
            with pytest.raises(PermissionDenied):
                call(by=people[who], user_id=asking.pk, reason=WHY)
        for reason in ("", "  ", "x" * 2001):
            assert refusal(call, by=people["super"], user_id=asking.pk, reason=reason) == (400, "invalid")
        with pytest.raises(Http404):
            call(by=people["super"], user_id="nobody", reason=WHY)
    assert not Event.objects.filter(action__in=[Action.DATA_EXPORTED, Action.ACCOUNT_CLOSED]).exists()


def test_the_last_super_is_not_erased_and_another_one_is(people):
    facts = {"by": people["super"], "user_id": people["super"].pk, "reason": WHY}
    assert refusal(subject_rights.erase_now, **facts) == (409, "last_super")

    UserFactory(roles=["super"], is_superuser=True)

    assert not subject_rights.erase_now(**facts).is_active


def test_nothing_is_done_twice_to_an_erased_account(people, asking):
    facts = {"by": people["super"], "user_id": asking.pk, "reason": WHY}
    subject_rights.erase_now(**facts)
    subject_rights.erase_closed()

    assert refusal(subject_rights.erase_now, **facts) == (409, "account_erased")
    assert refusal(subject_rights.export_for, **facts) == (409, "account_erased")


def test_the_command_writes_the_copy(people, asking, tmp_path):
    out, path = io.StringIO(), tmp_path / "copy.json"
    facts = {"by": "super@example.org", "reason": WHY}

    call_command("personal_data", "export", "Client@example.org", stdout=out, **facts)
    call_command("personal_data", "export", "client@example.org", output=str(path), stdout=io.StringIO(), **facts)

    for text in (out.getvalue(), path.read_text()):
        assert json.loads(text)["account"]["email"] == "client@example.org"
    with pytest.raises(CommandError, match="exists"):
        call_command("personal_data", "export", "client@example.org", output=str(path), **facts)


def test_the_command_erases(people, asking):
    out = io.StringIO()

    call_command("personal_data", "erase", "client@example.org", by="super@example.org", reason=WHY, stdout=out)

    assert "Erased." in out.getvalue()
    asking.refresh_from_db()
    assert asking.erased_at is not None


@pytest.mark.parametrize(
    ("facts", "sentence"),
    [
        ({"email": "nobody@example.org"}, "no account of nobody@example.org"),
        ({"by": "nobody@example.org"}, "no account of nobody@example.org"),
        ({"by": "uploader@example.org"}, "no active super"),
        ({"reason": " "}, "Say why"),
    ],
)
@pytest.mark.parametrize("what", ["export", "erase"])
def test_the_command_says_what_is_wrong(what, facts, sentence, people, asking):
    facts = {"email": "client@example.org", "by": "super@example.org", "reason": WHY, **facts}

    with pytest.raises(CommandError, match=sentence):
        call_command("personal_data", what, facts.pop("email"), **facts)

    asking.refresh_from_db()
    assert asking.is_active
