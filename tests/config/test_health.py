"""/healthz and /readyz: who is well, said within seconds, whatever hangs."""

import socket
import threading
import time

import pytest
from django.test import RequestFactory

from config import health
from config.errors import Refused

PROMPT_SECONDS = health.PATIENCE_SECONDS + 2


@pytest.fixture(autouse=True)
def anew():
    """What an earlier test found is not this one's."""
    health.READINESS.forget()
    yield
    health.READINESS.forget()


def ready(client):
    response = client.get("/readyz")
    return response.status_code, response.json()


@pytest.fixture
def service(monkeypatch):
    """service(name, ask) puts another service in the place of one."""

    def put(name, ask):
        monkeypatch.setitem(health.CHECKS, name, health.Check(name, ask))

    return put


@pytest.fixture
def mute():
    """The port of a server that takes connections and never says a word, as a frozen one does."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.mark.django_db(transaction=True)
def test_each_service_has_a_verdict_of_its_own(client, monkeypatch):
    monkeypatch.setattr(health, "PATIENCE_SECONDS", 60)  # a busy machine is no verdict

    assert ready(client) == (
        200,
        {"status": "ok", "database": "ok", "cache": "ok", "broker": "ok", "store": "ok"},
    )


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

    for each in health.CHECKS:
        service(each, lambda: None)
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

    for each in health.CHECKS:
        service(each, hang if each == "store" else lambda: None)

    start = time.monotonic()
    first, second = ready(client), ready(client)
    seconds = time.monotonic() - start
    goes_on.set()

    assert first == second
    assert (first[0], first[1]["store"], first[1]["database"]) == (200, "unavailable", "ok")
    assert len(asked) == 1
    assert seconds < 2 * PROMPT_SECONDS

    # It is back: the next who asks is told.
    run = health.CHECKS["store"]._run
    assert run.done.wait(30)
    health.READINESS.forget()
    assert ready(client)[1]["store"] == "ok"


@pytest.mark.once
def test_who_asks_all_day_costs_the_services_one_question_a_second(client, service):
    asked = []
    for each in health.CHECKS:
        service(each, lambda each=each: asked.append(each))

    answers = [ready(client) for _time in range(20)]
    in_the_first_second = sorted(asked)
    health.READINESS._until = 0.0
    ready(client)

    assert answers == [answers[0]] * 20
    assert in_the_first_second == sorted(health.CHECKS)
    assert sorted(asked) == sorted([*health.CHECKS, *health.CHECKS])


@pytest.mark.once
def test_while_one_waits_for_a_service_that_hangs_others_get_what_was_found_last(client, service):
    goes_on, asked = threading.Event(), threading.Event()

    def hang():
        asked.set()
        goes_on.wait(60)

    for each in health.CHECKS:
        service(each, lambda: None)
    before = ready(client)
    service("store", hang)
    health.READINESS._until = 0.0
    waiting = threading.Thread(target=health.READINESS.verdicts)
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
    """A real connection to what never answers; refused connections are what tests/faults has."""
    psycopg = pytest.importorskip("psycopg")
    for each in ("cache", "broker", "store"):
        service(each, lambda: None)

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
    for each in ("database", "cache", "store"):
        service(each, lambda: None)
    settings.CELERY_BROKER_URL = f"redis://127.0.0.1:{mute}/0"
    service("broker", health._broker)
    start = time.monotonic()

    status, verdicts = ready(client)

    assert (status, verdicts["broker"]) == (200, "unavailable")
    assert time.monotonic() - start < PROMPT_SECONDS


@pytest.mark.once
def test_a_fault_of_ours_is_no_verdict(service):
    def broken():
        raise ZeroDivisionError

    service("store", broken)

    with pytest.raises(ZeroDivisionError):
        health.CHECKS["store"].begin().verdict(30)


@pytest.mark.once
def test_healthz_asks_nobody(client, service):
    asked = []
    for each in health.CHECKS:
        service(each, lambda: asked.append(True))

    assert (client.get("/healthz").status_code, asked) == (200, [])


@pytest.mark.once
@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_probes_answer_under_any_host(path, service):
    for each in health.CHECKS:
        service(each, lambda: None)

    response = health.ProbesMiddleware(lambda request: None)(RequestFactory().get(path, HTTP_HOST="10.1.2.3:8000"))

    assert response.status_code == 200
