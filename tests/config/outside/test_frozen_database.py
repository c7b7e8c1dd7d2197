"""A query fails within seconds when PostgreSQL takes connections and never answers. A slow query does not fail."""

import os
import resource
import time

import pytest
from celery import signals
from django.db import OperationalError, connection

from config.outside import frozen
from config.outside.postgresql import base
from tests.faults.proxy import Proxy

pytestmark = pytest.mark.postgres


@pytest.fixture
def line(db, monkeypatch):
    """(a Proxy before the test's database, a connection of the portal through it), with short time limits."""
    monkeypatch.setattr(base, "PATIENCE_SECONDS", 0.3)
    monkeypatch.setattr(frozen._Watching, "on", True)
    proxy = Proxy((connection.settings_dict["HOST"], int(connection.settings_dict["PORT"] or 5432)))
    through = connection.copy("through")
    through.settings_dict = {**connection.settings_dict, "HOST": "127.0.0.1", "PORT": str(proxy.port)}
    yield proxy, through
    base.outage.ended()
    through.close()
    proxy.cut()


def ask(through, query="SELECT 1"):
    with through.cursor() as cursor:
        cursor.execute(query)
        return cursor.fetchone()


def test_a_frozen_server_costs_an_error_within_seconds_and_is_used_again_when_it_is_back(line):
    proxy, through = line
    ask(through)
    proxy.freeze()
    start = time.monotonic()

    with pytest.raises(OperationalError, match="does not answer"):
        ask(through)
    found = time.monotonic()
    # A new connection fails at once: it does not wait for another time-out.
    through.close()
    with pytest.raises(OperationalError, match="a moment ago"):
        ask(through)

    assert found - start < 9
    assert time.monotonic() - found < 1
    proxy.restore()
    base.outage.ended()
    assert ask(through) == (1,)


def test_one_second_connection_without_an_answer_ends_no_query(line, monkeypatch):
    """The first check gets no answer, the second does, on a descriptor above those that select() accepts."""
    _proxy, through = line
    ask(through)
    real, asked = base._answers, []

    def answers(*arguments):
        asked.append(len(asked) > 0 and real(*arguments))
        return asked[-1]

    monkeypatch.setattr(base, "_answers", answers)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, hard), hard))
    high = [os.open(os.devnull, os.O_RDONLY) for _ in range(1100)]
    try:
        assert ask(through, "SELECT 1 FROM pg_sleep(1.5)") == (1,)
    finally:
        for each in high:
            os.close(each)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    assert asked[:2] == [False, True]


def test_only_web_processes_and_workers_watch(line, monkeypatch):
    """A command does not watch: a restore or a migration waits for a slow server."""
    _proxy, through = line
    monkeypatch.setattr(frozen._Watching, "on", False)
    monkeypatch.setattr(base, "_answers", lambda *arguments: False)

    assert ask(through, "SELECT 1 FROM pg_sleep(1)") == (1,)
    assert frozen.watch in [receiver() for _key, receiver in signals.worker_init.receivers]
    frozen.watch()
    assert frozen.is_watched()


def test_a_query_that_takes_long_goes_on_while_the_server_answers_others(line):
    _proxy, through = line

    assert ask(through, "SELECT 1 FROM pg_sleep(1.2)") == (1,)
