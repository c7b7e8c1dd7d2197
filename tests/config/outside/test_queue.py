"""Queueing tasks: quick when the broker is away, only to a trusted broker, and never behind jobs of hours."""

import json
import socket
import ssl
import subprocess
import sys
import threading
from contextlib import contextmanager
from datetime import timedelta

import pytest
from django.conf import settings

from config import embedded
from config.celery import app
from config.contributions import schedule
from config.outside import queue
from config.watch import metrics
from tests.deploy.conftest import ROOT, certificate, production
from tests.servers import LOOPBACK, free_ports

pytestmark = pytest.mark.both


def in_a_process(tmp_path, code, **environment):
    """What `code` prints as JSON, run with the settings of a portal of its own."""
    done = subprocess.run(
        [sys.executable, "-c", f"import django\ndjango.setup()\n{code}"],
        cwd=ROOT,
        env=production(tmp_path / "data", DJANGO_SETTINGS_MODULE="config.settings", **environment),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


# --- A broker that is away ----------------------------------------------------------------------------

SEND_FIVE = """
import json, sys
from config.outside import queue

queue.outage.seconds = 3600
tries = []

def count(event, facts):
    if event == "socket.connect" and facts[1][1] == {port}:
        tries.append(event)

sys.addaudithook(count)
for _ in range(5):
    queue._send("accounts.tasks.send_waiting_mail", {{}})
print(json.dumps(len(tries)))
"""


@contextmanager
def refusing():
    yield free_ports(1)[0]


@contextmanager
def mute():
    with socket.create_server((LOOPBACK, 0)) as server:
        yield server.getsockname()[1]


@pytest.mark.once
@pytest.mark.parametrize("broker", [refusing, mute])
def test_a_broker_that_is_away_is_asked_once(broker, tmp_path):
    with broker() as port:
        tries = in_a_process(tmp_path, SEND_FIVE.format(port=port), REDIS_URL=f"redis://{LOOPBACK}:{port}/0")

    assert tries == 1


def test_after_an_outage_the_next_task_finds_out(monkeypatch):
    sent, away = [], [ConnectionRefusedError()]

    def send_task(task, **options):
        if away:
            raise away.pop()
        sent.append(task)

    monkeypatch.setattr("config.outside.queue.app.send_task", send_task)
    monkeypatch.setattr(queue.outage, "seconds", 3600)
    queue._send("tests.first", {})
    queue._send("tests.during", {})
    monkeypatch.setattr(queue.outage, "seconds", 0)
    queue.outage.began()

    for name in ("tests.after", "tests.then"):
        queue._send(name, {})

    assert sent == ["tests.after", "tests.then"]


# --- A broker behind TLS ------------------------------------------------------------------------------

ASK = """
import json
from django.core.cache import cache
from config.celery import app

def ask_cache():
    cache._cache.get_client("any").connection_pool.get_connection()

for ask in (lambda: app.connection_for_write().default_channel, lambda: app.connection_for_read().connect(), ask_cache):
    try:
        ask()
    except Exception:
        pass
print(json.dumps(None))
"""


@pytest.fixture
def stranger(tmp_path):
    """A TLS server with an untrusted certificate: (port, what was sent to it, connection by connection)."""
    certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "tls.crt", tmp_path / "tls.key")
    said = []

    def serve(listener):
        while True:
            try:
                near, _address = listener.accept()
            except OSError:
                return
            try:
                with context.wrap_socket(near, server_side=True) as line:
                    said.append(line.recv(4096))
            except OSError:
                said.append(b"")

    with socket.create_server((LOOPBACK, 0)) as listener:
        threading.Thread(target=serve, args=[listener], daemon=True).start()
        yield listener.getsockname()[1], said
        listener.shutdown(socket.SHUT_RDWR)


@pytest.mark.once
def test_to_a_redis_with_a_strange_certificate_nothing_is_said(stranger, tmp_path):
    port, said = stranger

    in_a_process(tmp_path, ASK, REDIS_URL=f"rediss://:zK4mQ9xW2rTb@{LOOPBACK}:{port}/0")

    assert len(said) >= 3
    assert set(said) == {b""}


@pytest.mark.once
def test_a_redis_with_a_certificate_of_the_operators_own_authority_is_spoken_to(stranger, tmp_path):
    port, said = stranger
    url = f"rediss://:zK4mQ9xW2rTb@{LOOPBACK}:{port}/0?ssl_ca_certs={tmp_path}/tls.crt"

    in_a_process(tmp_path, ASK, REDIS_URL=url)

    assert len(said) >= 3
    assert b"" not in said


# --- Two queues ---------------------------------------------------------------------------------------


@pytest.fixture
def empty_queues():
    """Empty the queues before and after the test."""

    def purge():
        with app.connection_for_write() as broker:
            for name in settings.CELERY_TASK_QUEUES:
                broker.default_channel.queue_purge(name)

    purge()
    yield
    purge()


@pytest.mark.parametrize(
    ("task", "name"),
    [
        ("audit.tasks.verify", "sweep"),
        ("fileshare.tasks.back_up", "sweep"),
        ("payments.tasks.process_callback", "celery"),
        ("accounts.tasks.send_mail", "celery"),
        ("audit.tasks.seal", "celery"),
        ("fileshare.tasks.refresh_expiry", "celery"),
    ],
)
def test_what_takes_hours_waits_apart_and_is_counted_apart(task, name, empty_queues):
    queue._send(task, {})

    assert metrics.queue_lengths() == {("celery",): int(name == "celery"), ("sweep",): int(name == "sweep")}


@pytest.mark.once
def test_only_tasks_that_there_are_have_a_place_and_every_queue_has_a_worker():
    app.loader.import_default_modules()

    assert {entry["task"] for entry in schedule.JOBS.values()} | set(schedule.LONG_TASKS) <= set(app.tasks)
    assert set(schedule.LONG_TASKS.values()) <= set(settings.CELERY_TASK_QUEUES)
    assert set(embedded.THREADS) == set(settings.CELERY_TASK_QUEUES)


IN_ONE_PROCESS = """
import json, os, threading, time
from celery import shared_task
from config import embedded
from config.celery import app

begun, noted, go_on = [], [], threading.Event()

@shared_task(name="tests.hold")
def hold():
    begun.append(1)
    go_on.wait()

@shared_task(name="tests.note")
def note():
    noted.append(1)

def wait_until(is_true):
    end = time.monotonic() + 60
    while not is_true() and time.monotonic() < end:
        time.sleep(0.02)

app.conf.beat_schedule = {}
embedded.start()
for _ in range(5):
    app.send_task("tests.hold", queue="sweep")
wait_until(lambda: begun)
# One after the other, so that the long jobs have had every chance to take each thread.
for number in range(1, 11):
    app.send_task("tests.note")
    wait_until(lambda: len(noted) == number)
    if len(noted) < number:
        break
meanwhile = [len(begun), len(noted)]
go_on.set()
wait_until(lambda: len(begun) == 5)
print(json.dumps([*meanwhile, len(begun)]), flush=True)
os._exit(0)
"""


@pytest.mark.once
def test_in_one_process_long_jobs_take_no_thread_from_the_others(tmp_path):
    assert in_a_process(tmp_path, IN_ONE_PROCESS) == [1, 10, 5]


KNOWN_AT_FIRST_THREAD = """
import json, threading
from config import embedded
from config.contributions import schedule
from config.celery import app

known = []
threading.Thread.start = lambda thread: known.append(set(app._tasks or ()))
embedded.start()
wanted = {job["task"] for job in schedule.JOBS.values()}
print(json.dumps([len(wanted), *sorted(wanted - known[0])]), flush=True)
"""


@pytest.mark.once
def test_workers_of_one_process_know_every_job_before_the_first_thread_starts(tmp_path):
    number, *unknown = in_a_process(tmp_path, KNOWN_AT_FIRST_THREAD)

    assert number > 10
    assert unknown == []


# --- The schedule -------------------------------------------------------------------------------------


def test_what_comes_again_soon_does_not_pile_up():
    """Runs expire: otherwise 360 runs of a job of every ten seconds would wait behind a job of an hour."""
    entries = app.conf.beat_schedule.values()
    often = [entry for entry in entries if isinstance(entry["schedule"], timedelta)]

    assert often
    assert len(often) < len(entries)
    for entry in often:
        assert 60 <= entry["options"]["expires"] <= max(60, entry["schedule"].total_seconds())
