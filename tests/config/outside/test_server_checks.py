"""The checks find wrong set-ups of the database and of Redis, and say how to correct them."""

import contextlib
import secrets

import pytest
from django.core import checks
from django.db import DatabaseError, connection

from config.outside import server_checks
from config.outside.server_checks import database_fits, redis_faults, redis_fits

GOOD_REDIS = {
    "role": "master",
    "redis_mode": "standalone",
    "rdb_last_bgsave_status": "ok",
    "maxmemory": 1000,
    "used_memory": 500,
    "maxmemory_policy": "noeviction",
    "aof_enabled": 1,
    "save": "",
}


def ids(found):
    return [each.id.removeprefix("config.") for each in found]


@pytest.mark.both
@pytest.mark.django_db
def test_the_database_of_the_tests_is_fit():
    assert [each for each in database_fits(None, databases=["default"]) if isinstance(each, checks.Error)] == []
    assert database_fits(None, databases=None) == []


@pytest.mark.once
def test_checks_of_servers_are_left_to_those_who_ask_for_them():
    every = checks.registry.registry
    assert database_fits in every.get_checks()
    assert redis_fits not in every.get_checks()
    assert checks.run_checks(tags=[checks.Tags.database], include_deployment_checks=True) == []


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_a_database_that_does_not_fit_is_told_with_the_cure():
    name = f"unfit_{secrets.token_hex(4)}"
    plain = "LOCALE_PROVIDER libc LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {name} ENCODING 'SQL_ASCII' {plain}")
        cursor.execute(f"ALTER DATABASE {name} SET default_transaction_isolation = 'serializable'")
        cursor.execute(f"ALTER DATABASE {name} SET statement_timeout = '5s'")
    other = connection.copy("other")
    other.settings_dict = {**other.settings_dict, "NAME": name}
    try:
        found = server_checks._of_postgresql(other)
        assert set(ids(found)) >= {"E012", "E014", "W023"}
        assert all(each.hint for each in found)
        with connection.cursor() as cursor:
            other.close()
            cursor.execute(f"DROP DATABASE {name}")
            cursor.execute(f"CREATE DATABASE {name} ENCODING 'UTF8' {plain}")
            cursor.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
        assert set(ids(server_checks._of_postgresql(other))) >= {"E013", "W021"}
    finally:
        other.close()
        with connection.cursor() as cursor:
            cursor.execute(f"DROP DATABASE IF EXISTS {name}")


@pytest.mark.postgres
@pytest.mark.django_db
def test_a_pooler_that_shares_connections_is_recognised():
    with contextlib.closing(connection.copy("other")) as other:
        assert not server_checks.shares_a_server(connection, other)
        assert server_checks.shares_a_server(other, other)


@pytest.mark.once
def test_a_database_that_is_away_is_a_warning_without_its_password(monkeypatch):
    def away(connection):
        raise DatabaseError("connection to server at 127.0.0.1 failed: refused\nmore lines")

    monkeypatch.setattr(server_checks, "_of_sqlite", away)
    (found,) = database_fits(None, databases=["default"])

    assert found.id == "config.W020"
    assert "more lines" not in found.msg


@pytest.mark.once
@pytest.mark.parametrize(
    ("change", "number"),
    [
        ({}, None),
        ({"maxmemory": 0, "used_memory": 500, "maxmemory_policy": "allkeys-lru"}, None),
        ({"maxmemory_policy": "allkeys-lru"}, "W031"),
        ({"maxmemory_policy": "volatile-ttl"}, "W031"),
        ({"used_memory": 950}, "W032"),
        ({"aof_enabled": 0}, "W033"),
        ({"aof_enabled": 0, "save": "3600 1"}, None),
        ({"role": "slave"}, "E017"),
        ({"redis_mode": "cluster"}, "E018"),
        ({"rdb_last_bgsave_status": "err"}, "E019"),
    ],
)
def test_what_redis_says_of_itself(change, number):
    assert ids(redis_faults({**GOOD_REDIS, **change})) == ([number] if number else [])


@pytest.mark.redis
def test_redis_is_asked():
    assert "W030" not in ids(redis_fits(None, databases=["default"]))


@pytest.mark.once
def test_a_redis_that_is_away_is_a_warning(settings):
    settings.REDIS_URL = "redis://:a-password@127.0.0.1:1/0"

    (found,) = redis_fits(None, databases=["default"])

    assert found.id == "config.W030"
    assert "a-password" not in str(found)
