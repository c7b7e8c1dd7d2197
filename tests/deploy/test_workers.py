"""Worker, beat and several web processes, run as in containers, on the PostgreSQL and Redis of this run."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from urllib.parse import urlsplit

import httpx
import pytest
from django.conf import settings
from django.db import connection

from accounts.models import OutgoingMail
from config.watch import metrics
from tests.deploy.conftest import HOST, ROOT, listens, production, running, web_command
from tests.deploy.jobs import take_a_while
from tests.factories import UserFactory
from tests.faults.proxy import Proxy
from tests.servers import LOOPBACK, free_ports, spawn, stop

pytestmark = [pytest.mark.redis, pytest.mark.postgres]
WORKER = "celery -A config worker -Q celery --include config.watch.liveness --concurrency 2"
SWEEP = "celery -A config worker -Q sweep --include config.watch.liveness --concurrency 2"
BEAT = "celery -A config beat --schedule {folder}/portal-beat"


def command_of(line):
    return [sys.executable, "-m", *line.split()]


def wait_for(is_true, seconds=60):
    end = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.05)


def verdict(kind, environment):
    """Run the container's health check; returns (exit status, what it says)."""
    command = [sys.executable, "deploy/healthcheck.py", kind]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    return done.returncode, done.stderr.strip()


@pytest.fixture
def environment(transactional_db, tmp_path):
    """The environment of production on this test's database, with a TMPDIR of its own, as in a container."""
    url = urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{connection.settings_dict['NAME']}").geturl()
    return production(tmp_path / "data", DATABASE_URL=url, REDIS_URL=os.environ["REDIS_URL"], TMPDIR=str(tmp_path))


@pytest.fixture
def start(environment, tmp_path):
    """start(line) runs a command of a container. The test ends by stopping it, as a container is stopped."""
    with contextlib.ExitStack() as stack:

        def start(line):
            process = spawn(command_of(line), log=tmp_path / "log", env=environment, cwd=ROOT)
            stack.callback(stop, process, seconds=60)
            return process

        yield start


def test_the_compose_file_runs_these_very_commands():
    compose = (ROOT / "compose.yaml").read_text(encoding="utf-8")

    assert f"command: {WORKER}\n" in compose
    assert f"command: {SWEEP}\n" in compose
    assert f"command: {BEAT.format(folder='/tmp')}\n" in compose  # noqa: S108 - a path in the container


def test_beat_and_worker_send_a_waiting_letter_and_show_signs_of_life(start, environment, tmp_path):
    user = UserFactory(email="waiting@example.org")
    # A row without a task, as after an outage of the broker: only beat finds it.
    OutgoingMail.objects.create(letter="account_exists", to=user.email, context={"user_id": str(user.pk)})
    assert verdict("worker", environment)[0] == verdict("beat", environment)[0] == 1

    start(WORKER)
    start(BEAT.format(folder=tmp_path))

    wait_for(lambda: list((tmp_path / "data" / "mail").glob("*.eml")))
    wait_for(lambda: verdict("worker", environment) == (0, ""))
    assert verdict("beat", environment) == (0, "")


def test_a_silent_worker_is_found_out(environment, tmp_path):
    (tmp_path / "portal-worker-alive").touch()
    assert verdict("worker", environment) == (0, "")

    past = time.time() - 700
    os.utime(tmp_path / "portal-worker-alive", (past, past))

    status, word = verdict("worker", environment)
    assert status == 1
    assert word.startswith("silent for 70")


def test_a_worker_told_to_stop_finishes_what_it_began(start, tmp_path):
    worker = start(f"{WORKER} --include tests.deploy.jobs")
    take_a_while.delay(str(tmp_path), 3)
    wait_for((tmp_path / "begun").exists)
    take_a_while.delay(str(tmp_path / "next"), 0)

    worker.send_signal(signal.SIGTERM)

    assert worker.wait(60) == 0
    assert (tmp_path / "ended").exists()


def test_long_jobs_wait_for_a_worker_of_their_own(start, tmp_path):
    for name in ("long", "short"):
        (tmp_path / name).mkdir()
    take_a_while.apply_async((str(tmp_path / "long"), 0), queue="sweep")
    start(f"{WORKER} --include tests.deploy.jobs")
    take_a_while.delay(str(tmp_path / "short"), 0)
    wait_for((tmp_path / "short" / "ended").exists)
    alone = metrics.queue_lengths()

    start(f"{SWEEP} --include tests.deploy.jobs --hostname sweep@%h")
    wait_for((tmp_path / "long" / "ended").exists)

    assert alone == {("celery",): 0, ("sweep",): 1}


def test_a_worker_told_of_no_queue_serves_both(start, tmp_path):
    """Older deployments may still use a command from before there were two queues."""
    for name in settings.CELERY_TASK_QUEUES:
        (tmp_path / name).mkdir()
        take_a_while.apply_async((str(tmp_path / name), 0), queue=name)

    start("celery -A config worker --concurrency 2 --include tests.deploy.jobs")

    for name in settings.CELERY_TASK_QUEUES:
        wait_for((tmp_path / name / "ended").exists)


def test_worker_and_beat_wait_for_a_broker_that_is_away(start, environment, tmp_path):
    user = UserFactory(email="waiting@example.org")
    OutgoingMail.objects.create(letter="account_exists", to=user.email, context={"user_id": str(user.pk)})
    broker = urlsplit(environment["REDIS_URL"])
    line = Proxy((broker.hostname, broker.port or 6379))
    line.cut()
    environment["REDIS_URL"] = broker._replace(netloc=f"{LOOPBACK}:{line.port}").geturl()
    said = tmp_path / "log"

    worker, beat = start(WORKER), start(BEAT.format(folder=tmp_path))
    wait_for(lambda: "consumer: Cannot connect" in said.read_text() and "beat: Connection error" in said.read_text())
    line.restore()

    wait_for(lambda: list((tmp_path / "data" / "mail").glob("*.eml")))
    assert (worker.poll(), beat.poll()) == (None, None)
    line.cut()


def test_several_web_processes_answer_and_stop_in_order(environment, tmp_path):
    (port,) = free_ports(1)
    environment |= {"PORT": str(port), "WEB_WORKERS": "2"}
    log = tmp_path / "log"
    (tmp_path / "data").mkdir()

    with running(web_command(), environment=environment, log=log, is_ready=lambda: listens(port)) as web:
        ready = httpx.get(f"http://127.0.0.1:{port}/readyz", headers={"Host": HOST}, timeout=60)
        well = verdict("web", environment)
        web.send_signal(signal.SIGTERM)
        ended = web.wait(60)

    assert (ready.status_code, ready.json()["database"], ready.json()["cache"]) == (200, "ok", "ok")
    assert well == (0, "")
    assert ended == 0
    assert verdict("web", environment)[0] == 1
