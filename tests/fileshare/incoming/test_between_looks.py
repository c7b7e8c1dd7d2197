"""Another request completes the upload after each SQL statement of a call that completes or resumes it."""

from contextlib import suppress

import pytest
from django.db import connection

from config.errors import Conflict
from fileshare.incoming import completion, uploads
from fileshare.models import File, ReceivedFile
from fileshare.requests import senders
from tests.factories import UserFactory
from tests.fileshare.helpers import send
from tests.fileshare.requests.request_helpers import ask_for_files
from tests.guards.rows import a_super, an_upload

pytestmark = pytest.mark.both
BODY = b"some words"


class Interruption:
    """An execute_wrapper that calls `act` once, after the `number`th statement."""

    def __init__(self, number, act):
        self.left, self.act = number, act

    def __call__(self, execute, sql, params, many, facts):
        result = execute(sql, params, many, facts)
        self.left -= 1
        if self.left == 0:
            self.act()
        return result


def at_every_statement(make, act, other):
    """[(upload, act(upload))] with a new upload of make() for each statement of `act`, and other(upload) after it."""
    number, results = 0, []
    while True:
        number += 1
        upload = make()
        interruption = Interruption(number, lambda upload=upload: other(upload))
        with connection.execute_wrapper(interruption):
            results.append((upload, act(upload)))
        if interruption.left > 0:
            return results


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(completion, "PATIENCE_SECONDS", 0.01)
    monkeypatch.setattr(completion, "LOOK_EVERY_SECONDS", 0)


class OfUser:
    """Uploads of a user."""

    def __init__(self):
        self.user = a_super()

    def make(self):
        return an_upload(user=self.user)

    def complete(self, upload):
        return completion.complete(user=self.user, file_id=upload.pk)

    def resume(self, upload):
        return completion.resume(user=self.user, file_id=upload.pk)


class OfSender(OfUser):
    """Uploads to a file request; the sender has no account."""

    def __init__(self):
        self.sender, _cookie = senders.start(ask_for_files(UserFactory(), max_files=200))

    def make(self):
        upload = senders.initiate(sender=self.sender, filename="a.txt", size_bytes=len(BODY), content_type="")
        send(uploads.transfer(upload).url, BODY, upload.content_type)
        return upload

    def complete(self, upload):
        return senders.complete(sender=self.sender, file_id=upload.pk)

    def resume(self, upload):
        return senders.resume(sender=self.sender, file_id=upload.pk)


@pytest.fixture(params=[OfUser, OfSender])
def of(request, db, monkeypatch):
    monkeypatch.setattr(completion, "PATIENCE_SECONDS", 0.01)
    return request.param()


def completed_meanwhile(of):
    def act(upload):
        with suppress(Conflict):  # the interrupted request has claimed the upload
            of.complete(upload)

    return act


def test_a_completion_repeated_at_once_always_returns_the_file(of):
    results = at_every_statement(of.make, of.complete, completed_meanwhile(of))

    assert len(results) > 10
    assert all(file.pk == upload.pk for upload, file in results)
    assert File.objects.count() == len(results)


def test_an_upload_that_is_completed_while_it_is_resumed_is_found(of):
    results = at_every_statement(of.make, of.resume, completed_meanwhile(of))

    assert len(results) > 1
    assert isinstance(of.resume(results[0][0]), File | ReceivedFile)
