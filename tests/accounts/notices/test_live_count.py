"""The number of unread notices that open pages ask for: from the cache alone, and only the user's own."""

import uuid

import pytest
from django.core import signing
from django.core.cache import cache

from accounts.notices import live_count
from accounts.notices.notifications import mark_read, notify, notify_many
from tests.accounts.test_races import at_once

pytestmark = [pytest.mark.django_db, pytest.mark.both]
URL = "/notifications/live"


@pytest.fixture
def ask(client):
    """ask(user) is the answer to a page of that user; ask(token="...") is the answer to that token."""

    def asked(user=None, token=None, **headers):
        return client.get(URL, headers={"X-Notices-Token": token or live_count.token_of(user), **headers})

    return asked


@pytest.fixture
def user(people):
    return people["client"]


def test_a_warm_answer_touches_no_database_and_no_session(ask, user, django_assert_num_queries):
    notify(user, "folder_granted", folder="x")
    token = live_count.token_of(user)
    with django_assert_num_queries(1):
        first = ask(token=token)
    with django_assert_num_queries(0):
        second = ask(token=token)

    assert first.json() == second.json()
    assert first.json()["unread"] == 1
    assert not second.cookies
    assert second["Cache-Control"] == "private, no-store"


def test_nothing_new_is_a_304(ask, user, django_assert_num_queries):
    etag = ask(user)["ETag"]
    token = live_count.token_of(user)

    with django_assert_num_queries(0):
        response = ask(token=token, **{"If-None-Match": etag})

    assert (response.status_code, response.content) == (304, b"")


@pytest.mark.parametrize("token", ["", "x", "a:b:c", "\x00", "x" * 5000, "é"])
def test_no_token_of_ours_is_a_401(token, ask, django_assert_num_queries):
    with django_assert_num_queries(0):
        response = ask(token=token or " ")

    assert (response.status_code, response.json()["code"]) == (401, "not_authenticated")


def test_a_token_for_something_else_or_of_last_month_is_a_401(ask, user, settings):
    token = signing.dumps([user.pk.hex, "x"], salt="accounts.verify-email")
    assert ask(token=token).status_code == 401
    forged = signing.dumps([user.pk.hex, "0" * 16], salt=live_count.SALT)
    assert ask(token=forged).status_code == 401

    token = live_count.token_of(user)
    settings.SESSION_COOKIE_AGE = -1
    assert ask(token=token).status_code == 401


def test_the_token_opens_nothing_else(user, client):
    token = live_count.token_of(user)

    for headers in ({"Authorization": f"Bearer {token}"}, {"X-Notices-Token": token}):
        assert client.get("/api/notifications", headers=headers).status_code == 401
    assert client.get("/notifications", headers={"X-Notices-Token": token}).status_code == 302


def test_each_sees_their_own_count(ask, people):
    for _turn in range(3):
        notify(people["stranger"], "folder_granted", folder="x")

    counts = [(who, ask(people[who]).json()["unread"]) for who in ("client", "stranger", "super", "client")]

    assert counts == [("client", 0), ("stranger", 3), ("super", 0), ("client", 0)]


def test_every_change_is_in_the_next_answer(ask, user, commits):
    def seen():
        answer = ask(user).json()
        return answer["unread"], answer["newest"]

    start = seen()
    with commits():
        notice = notify(user, "folder_upload", about="f", filename="a", count=1)
    one = seen()
    with commits():
        notify(user, "folder_upload", about="f", filename="b", count=1)
    told_anew = seen()
    with commits():
        notify_many([user], "folder_upload", about="g", since=notice.created_at, payload_of=lambda *_both: {"count": 1})
    two = seen()
    with commits():
        mark_read(user=user, ids=[notice.pk])
    read = seen()

    assert [start[0], one[0], told_anew[0], two[0], read[0]] == [0, 1, 1, 2, 1]
    assert one[1] != told_anew[1] != two[1]


def test_a_count_read_before_a_commit_is_not_kept_after_it(user, monkeypatch):
    count = live_count._count

    def overtaken(user_id):
        counts = count(user_id)
        cache.set(live_count._version_key(user_id), "the writer's", 60)  # as a commit in between does
        return counts

    monkeypatch.setattr(live_count, "_count", overtaken)
    live_count.counted(user.pk.hex)
    monkeypatch.undo()
    notify(user, "folder_granted", folder="x")

    assert live_count.counted(user.pk.hex)[1] == 1


@pytest.mark.django_db(transaction=True)
def test_whatever_races_the_last_answer_is_right(user):
    def tell():
        for _turn in range(5):
            notify(user, "folder_granted", folder="x")

    def look():
        for _turn in range(20):
            live_count.counted(user.pk.hex)

    at_once(tell, look, tell, look)

    assert live_count.counted(user.pk.hex)[1] == 10


def test_who_is_switched_off_or_gone_is_told_nothing(ask, people, user):
    token = live_count.token_of(user)
    user.is_active = False
    user.save()
    assert ask(token=token).status_code == 401
    nobody = signing.dumps([uuid.uuid4().hex, "x"], salt=live_count.SALT)
    assert ask(token=nobody).status_code == 401


def test_a_new_password_ends_the_tokens_of_old_pages_and_none_of_new_ones(ask, user):
    token = live_count.token_of(user)
    assert ask(token=token).status_code == 200
    user.set_password("eleven grey boats")
    user.save()

    assert ask(user).status_code == 200
    assert ask(token=token).status_code == 401
    assert ask(user).status_code == 200


def test_a_cache_that_is_away_is_a_503_and_not_a_query(ask, user, monkeypatch, django_assert_num_queries):
    def away(*args, **kwargs):
        raise ConnectionRefusedError

    token = live_count.token_of(user)
    monkeypatch.setattr(live_count.cache, "get_many", away)
    with django_assert_num_queries(0):
        response = ask(token=token)

    assert (response.status_code, response["Retry-After"]) == (503, "60")


@pytest.mark.parametrize("method", ["post", "put", "delete", "patch"])
def test_it_is_only_asked(method, client):
    assert getattr(client, method)(URL).status_code == 405


def test_every_page_of_somebody_signed_in_can_ask(user, client):
    client.force_login(user)
    page = client.get("/profile").content.decode()

    assert 'data-module="notices"' in page
    assert f'data-live-url="{URL}"' in page
