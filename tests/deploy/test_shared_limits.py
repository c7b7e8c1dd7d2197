"""Two web servers of one portal count rate limits and failed sign-ins together, in the Redis of this run."""

import contextlib
import os
from urllib.parse import urlsplit

import httpx
import pytest
import redis
from django.db import connection

from tests.deploy.conftest import HOST, listens, production, running, web_command
from tests.factories import PASSWORD, UserFactory
from tests.servers import free_ports

pytestmark = [pytest.mark.redis, pytest.mark.postgres]
EMAIL = "owner@example.org"


@pytest.fixture
def servers(transactional_db, tmp_path, settings):
    """The addresses of two gunicorns on this test's database, with empty counters."""
    # The servers have the hashers of production, which cannot check the fast hashes of tests.
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.Argon2PasswordHasher"]
    UserFactory(email=EMAIL)
    url = urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{connection.settings_dict['NAME']}").geturl()
    redis.Redis.from_url(os.environ["REDIS_URL"]).flushdb()
    with contextlib.ExitStack() as stack:
        addresses = []
        for name in ("first", "second"):
            (port,) = free_ports(1)
            (tmp_path / name).mkdir()
            environment = production(
                tmp_path / name,
                DATABASE_URL=url,
                REDIS_URL=os.environ["REDIS_URL"],
                PORT=str(port),
                RATELIMIT_ENABLE="1",
                LOGIN_LOCKOUT_FAILURES="6",
                # The servers of one portal share their keys.
                LINK_KEYS="c2V2ZW4gZ3JlZW4gYm9hdHMgYW5kIG9uZSBvYXIhISE=",
            )
            log = tmp_path / f"{name}.log"
            stack.enter_context(
                running(web_command(), environment=environment, log=log, is_ready=lambda port=port: listens(port))
            )
            addresses.append(f"http://127.0.0.1:{port}")
        yield addresses


def log_in(server, *, address, password="wrong", email=EMAIL):  # noqa: S107
    """Sign in, with the headers of a proxy that saw the client at `address`."""
    headers = {"Host": HOST, "X-Forwarded-For": f"198.51.100.66, {address}", "X-Forwarded-Proto": "https"}
    return httpx.post(
        f"{server}/api/auth/login", json={"email": email, "password": password}, headers=headers, timeout=60
    )


def test_a_rate_limit_counts_both(servers):
    statuses = [
        log_in(servers[turn % 2], address="203.0.113.1", email="x@example.org").status_code for turn in range(6)
    ]
    locked_by_count = log_in(servers[0], address="203.0.113.1", email="x@example.org")
    forgotten = [
        httpx.post(
            f"{servers[turn % 2]}/api/auth/forgot-password",
            json={"email": EMAIL},
            headers={"Host": HOST, "X-Forwarded-For": "203.0.113.2", "X-Forwarded-Proto": "https"},
            timeout=60,
        ).status_code
        for turn in range(6)
    ]

    assert statuses == [401] * 6
    assert locked_by_count.json()["code"] == "login_locked"
    assert forgotten == [202] * 5 + [429]


def test_a_lock_holds_on_both_and_the_owners_place_is_known_to_both(servers):
    owner = log_in(servers[0], address="192.0.2.7", password=PASSWORD).status_code

    guesses = [log_in(servers[turn % 2], address=f"203.0.113.{turn}").status_code for turn in range(8)]

    assert owner == 200
    assert guesses == [401] * 6 + [429] * 2
    assert [log_in(server, address="203.0.113.99", password=PASSWORD).status_code for server in servers] == [429] * 2
    assert [log_in(server, address="192.0.2.7", password=PASSWORD).status_code for server in servers] == [200] * 2
