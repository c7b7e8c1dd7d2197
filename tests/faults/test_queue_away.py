"""Redis does not answer: calls with a rate limit are refused for now, all others work, and no letter is lost."""

import os

import httpx
import pytest
import redis

from tests.faults.portal import (
    PART_SIZE,
    begun,
    complete,
    eventually,
    listed,
    new_folder,
    promise,
    readiness,
    refusal,
    send,
    text_of,
    uploaded,
)

pytestmark = [pytest.mark.postgres, pytest.mark.redis, pytest.mark.s3]
LARGE = PART_SIZE + 1000


@pytest.fixture
def api(apart):
    with apart.signed_in() as client:
        yield client


def reader_of(apart):
    """The id of a new user, who may open no folder yet."""
    seed = "from accounts.models import User; print(User.objects.create_user(email='reader@example.org').pk)"
    return apart.shell(seed).strip()


def sign_up(api, name):
    """The answer to a sign-up of name@example.org."""
    facts = {"email": f"{name}@example.org", "password": "seven green boats", "name": name}
    return api.post("/api/auth/signup", json=facts)


def test_what_is_counted_waits_and_the_rest_goes_on(apart, api):
    folder, bodies = new_folder(api), [text_of(1000), text_of(LARGE)]
    file = uploaded(api, folder, text_of(500))
    link = api.get(f"/api/client/download/{file['id']}").json()["download-link"]
    waiting = [begun(api, folder, body) for body in bodies]
    reader = reader_of(apart)

    apart.lines["queue"].cut()

    assert refusal(promise(api, folder, text_of(10))).code == "cache_unavailable"
    assert refusal(api.post(f"/api/fileshare/download/{file['id']}")).code == "cache_unavailable"
    assert refusal(sign_up(api, "too-early")).code == "cache_unavailable"
    login = {"email": "super@example.org", "password": "seven green boats"}
    assert refusal(api.post("/api/auth/login", json=login)).code == "cache_unavailable"
    assert [each["id"] for each in listed(api, folder)] == [file["id"]]
    assert api.get("/api/users/me").status_code == 200
    redirection = api.get(link)
    assert redirection.status_code == 302, redirection.text
    assert httpx.get(redirection.headers["Location"]).status_code == 200
    for transfer, body in zip(waiting, bodies, strict=True):
        assert complete(api, transfer, send(transfer, body)).status_code == 200
    assert refusal(api.patch("/api/users/me", json={"email": "other@example.org"})).code == "cache_unavailable"
    grant = {"user_id": reader, "permission_type": "download"}
    assert api.post(f"/api/fileshare/folders/{folder}/permissions", json=grant).status_code == 201
    readiness(api, 200, status="degraded", cache="unavailable")

    apart.lines["queue"].restore()

    assert sign_up(api, "in-time").status_code == 201
    # The first letter was not queued, so beat finds its row. The second goes by the queue or by beat.
    eventually(lambda: apart.mail.to("reader@example.org") and apart.mail.to("in-time@example.org"))
    for transfer in waiting:
        eventually(lambda file_id=transfer["file_id"]: api.get(f"/api/files/{file_id}").json())
    with apart.signed_in() as again:
        assert promise(again, folder, text_of(10)).status_code == 201
    assert apart.space(folder) == (500 + 1000 + LARGE, 10)


def test_a_redis_that_forgot_everything_costs_no_letter(apart, api):
    """A Redis without data on a disk is started again: its queues and its listeners are lost."""
    apart.lines["queue"].cut()
    with redis.Redis.from_url(os.environ["REDIS_URL"]) as server:
        server.flushdb()
    apart.lines["queue"].restore()

    assert sign_up(api, "after-the-flood").status_code == 201
    eventually(lambda: apart.mail.to("after-the-flood@example.org"))

    # The queue also works without the schedule, as before.
    folder, body = new_folder(api), text_of(LARGE)
    file = uploaded(api, folder, body)
    eventually(lambda: api.get(f"/api/files/{file['id']}").json()["sha256"])
