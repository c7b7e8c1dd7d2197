"""/healthz and /readyz: they tell within seconds which parts work, whichever part hangs."""

import socket
import threading
import time

import pytest
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder
from django.test import RequestFactory

from config.errors import Refused
from config.watch import health, own_parts, parts
from config.watch.parts import Part, State, degraded

pytestmark = pytest.mark.both

PROMPT_SECONDS = parts.PATIENCE_SECONDS + 2


@pytest.fixture(autouse=True)
def anew():
    """Forget the results of an earlier test."""
    parts.READINESS.forget()
    yield
    parts.READINESS.forget()


def ready(client):
    response = client.get("/readyz")
    return response.status_code, response.json()


NAMES = ("database", "cache", "broker", "store")


@pytest.fixture
def service(monkeypatch):
    """service(name, ask) replaces the check of a part. The only parts are those of NAMES, and all of them work."""
    replaced = {}
    monkeypatch.setattr(parts, "READINESS", parts.Readiness(replaced))

    def put(name, ask):
        replaced[name] = Part(ask, essential=name == "database")

    for each in NAMES:
        put(each, lambda: None)
    return put


@pytest.fixture
def mute():
    """The port of a server that accepts connections and never answers, as a frozen one does."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.mark.django_db(transaction=True)
def test_each_part_has_a_verdict_of_its_own(client, monkeypatch):
    monkeypatch.setattr(parts, "PATIENCE_SECONDS", 60)  # do not time out on a busy machine

    status, verdicts = ready(client)

    well = ("database", "migrations", "cache", "broker", "store", "clock", "disk", "mail", "audit log", "payments")
    assert status == 200
    assert {name: verdicts[name] for name in well} == dict.fromkeys(well, "ok")
    # A test runs without workers and schedule.
    silent = ("status", "schedule", "worker celery", "worker sweep", "job reconcile store and rows")
    assert {name: verdicts[name] for name in silent} == dict.fromkeys(silent, "degraded")


@pytest.mark.django_db
def test_a_migration_behind_is_named_and_makes_it_unavailable():
    assert own_parts.migrations() is None
    MigrationRecorder(connection).record_unapplied("payments", "0004_review_reason_words")

    verdict = own_parts.migrations()

    assert parts.PARTS["migrations"].essential
    assert (verdict.state, verdict.advice) == (State.UNAVAILABLE, "Run: manage.py migrate")
    assert verdict.said == "Migrations are not applied yet (1), the first is payments.0004_review_reason_words."


@pytest.mark.once
@pytest.mark.parametrize(
    ("name", "status", "word"),
    [
        ("database", 503, "unavailable"),
        ("cache", 200, "degraded"),
        ("broker", 200, "degraded"),
        ("store", 200, "degraded"),
    ],
)
@pytest.mark.parametrize("error", [OSError("refused"), Refused(503, "store_unavailable", "")])
def test_only_without_a_database_is_it_unavailable(name, status, word, error, client, service):
    def away():
        raise error

    service(name, away)

    answer = ready(client)

    assert answer == (
        status,
        {"status": word, "database": "ok", "cache": "ok", "broker": "ok", "store": "ok", name: "unavailable"},
    )


@pytest.mark.once
def test_a_service_that_hangs_is_unavailable_within_seconds_and_costs_one_thread(client, service):
    goes_on, asked = threading.Event(), []

    def hang():
        asked.append(True)
        goes_on.wait(60)

    service("store", hang)

    start = time.monotonic()
    first, second = ready(client), ready(client)
    seconds = time.monotonic() - start
    goes_on.set()

    assert first == second
    assert (first[0], first[1]["store"], first[1]["database"]) == (200, "unavailable", "ok")
    assert len(asked) == 1
    assert seconds < 2 * PROMPT_SECONDS

    # The store works again, and the next request says so.
    assert parts.READINESS._checks["store"]._run.done.wait(30)
    parts.READINESS._until = 0.0
    assert ready(client)[1]["store"] == "ok"


@pytest.mark.once
def test_who_asks_all_day_costs_the_services_one_question_a_second(client, service):
    asked = []
    for each in NAMES:
        service(each, lambda each=each: asked.append(each))

    answers = [ready(client) for _time in range(20)]
    in_the_first_second = sorted(asked)
    parts.READINESS._until = 0.0
    ready(client)

    assert answers == [answers[0]] * 20
    assert in_the_first_second == sorted(NAMES)
    assert sorted(asked) == sorted([*NAMES, *NAMES])


@pytest.mark.once
def test_while_one_waits_for_a_service_that_hangs_others_get_what_was_found_last(client, service):
    goes_on, asked = threading.Event(), threading.Event()

    def hang():
        asked.set()
        goes_on.wait(60)

    before = ready(client)
    service("store", hang)
    parts.READINESS._until = 0.0
    waiting = threading.Thread(target=parts.READINESS.verdicts)
    waiting.start()
    assert asked.wait(30)

    others = [ready(client) for _time in range(3)]
    held = waiting.is_alive()
    waiting.join(30)
    goes_on.set()

    assert held
    assert others == [before] * 3
    assert ready(client)[1]["store"] == "unavailable"


@pytest.mark.once
def test_a_frozen_database_is_unavailable_within_seconds(mute, client, service):
    """A real connection to a server that never answers; tests/faults has refused connections."""
    psycopg = pytest.importorskip("psycopg")

    def ask():
        try:
            psycopg.connect(f"postgres://portal@127.0.0.1:{mute}/portal", connect_timeout=5).close()
        except psycopg.Error as error:
            raise OSError from error

    service("database", ask)
    start = time.monotonic()

    status, verdicts = ready(client)

    assert (status, verdicts["database"]) == (503, "unavailable")
    assert time.monotonic() - start < PROMPT_SECONDS


@pytest.mark.once
def test_a_frozen_broker_is_unavailable_within_seconds(mute, client, service, settings):
    settings.CELERY_BROKER_URL = f"redis://127.0.0.1:{mute}/0"
    service("broker", own_parts.broker)
    start = time.monotonic()

    status, verdicts = ready(client)

    assert (status, verdicts["broker"]) == (200, "unavailable")
    assert time.monotonic() - start < PROMPT_SECONDS


@pytest.mark.once
def test_a_check_that_is_at_fault_hides_no_other_and_is_logged(client, service, caplog):
    service("store", lambda: 1 / 0)
    service("cache", lambda: degraded("slow", "wait"))

    status, verdicts = ready(client)

    assert (status, verdicts["store"], verdicts["cache"], verdicts["broker"]) == (200, "unavailable", "degraded", "ok")
    assert "ZeroDivisionError" in caplog.text


@pytest.mark.once
def test_parts_in_turn_take_one_connection_and_a_late_one_keeps_its_last_answer(monkeypatch):
    monkeypatch.setattr(parts, "PATIENCE_SECONDS", 0.5)
    lock, goes_on, asked = threading.Lock(), threading.Event(), []

    def alone():
        assert lock.acquire(blocking=False), "two at the same time"
        time.sleep(0.02)
        lock.release()

    def first_at_once():
        asked.append(True)
        if len(asked) > 1:
            goes_on.wait(60)

    registered = {f"part {number}": Part(alone, in_turn=True) for number in range(6)}
    registered["late"] = Part(first_at_once, essential=True, keeps_last=True)
    registered["fine"] = Part(lambda: asked.append("fine"), kept_when_fine_seconds=600)
    readiness = parts.Readiness(registered)

    before, after = readiness.ask(), readiness.ask()
    goes_on.set()

    assert before == after == dict.fromkeys(registered, parts.FINE)
    assert asked.count(True) == 2
    assert asked.count("fine") == 1
    in_turn = {name for name, part in parts.PARTS.items() if part.in_turn}
    assert in_turn >= {"migrations", "heartbeats", "mail", "audit log", "payments"}


@pytest.mark.once
def test_healthz_asks_nobody(client, service):
    asked = []
    for each in NAMES:
        service(each, lambda: asked.append(True))

    assert (client.get("/healthz").status_code, asked) == (200, [])


@pytest.mark.once
@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_probes_answer_under_any_host(path, service):

    response = health.ProbesMiddleware(lambda request: None)(RequestFactory().get(path, HTTP_HOST="10.1.2.3:8000"))

    assert response.status_code == 200
