"""The portal knows its own state: signs of life, what is late, and what `manage.py doctor` and the page report."""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from collections import namedtuple
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest
from celery.schedules import crontab
from django.conf import settings as configured
from django.db import OperationalError
from django.db.models.functions import Now
from django.test import Client
from django.utils import timezone

from accounts import parts as of_accounts
from accounts.models import OutgoingMail
from audit import chain, verifying
from audit import parts as of_audit
from audit.log import record
from config.celery import app
from config.contributions import schedule
from config.models import Heartbeat
from config.watch import clocks, heartbeats, lateness, own_parts, parts
from tests.migrated import migrate
from tests.plugin import ROOT
from tests.servers import free_ports, spawn, stop, wait_until

BACK_UP = "fileshare.tasks.back_up"


def portal(data, **more):
    """The environment of a portal of one process on this machine, which keeps its backups in a folder."""
    inherited = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR") if name in os.environ}
    own = {"ENV_FILE": os.devnull, "DATA_DIR": str(data), "BACKUP_TO": str(data / "backups"), "DEMO": "0"}
    return inherited | own | {"PYTHONPATH": str(ROOT), **more}


def alive(data):
    """What has given a sign of life: the queues of workers, and the names of the schedule and of the jobs."""
    with closing(sqlite3.connect(data / "portal.sqlite3", timeout=20)) as database:
        rows = database.execute("SELECT name, kind, queues FROM config_heartbeat WHERE seen_at IS NOT NULL").fetchall()
    return {queues if kind == "worker" else name for name, kind, queues in rows}


def doctor(environment):
    """(exit status, {part: state, sentence, cure}) of the command."""
    command = [sys.executable, "manage.py", "doctor", "--json"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    return done.returncode, json.loads(done.stdout)


@pytest.mark.sqlite
@pytest.mark.both
@pytest.mark.local
def test_a_portal_of_one_process_backs_up_without_any_request_and_says_that_it_is_well(tmp_path):
    """gunicorn really starts the portal with its workers, schedule and jobs. No client sends a request."""
    (port,) = free_ports(1)
    data = tmp_path / "data"
    environment = portal(data, PORT=str(port))
    log = tmp_path / "log"
    (data / "backups").mkdir(parents=True)
    none_yet, before = doctor(environment)
    migrate(environment)
    command = ["-m", "gunicorn", "--config", "python:tests.config.watch.hurried", "config.wsgi:application"]

    process = spawn([sys.executable, *command], log=log, env=environment, cwd=ROOT)
    try:
        wanted = {"schedule", "celery", "sweep", BACK_UP}
        wait_until(lambda: alive(data) >= wanted, process=process, log=log, seconds=90)
        status, found = doctor(environment)
    finally:
        stop(process)

    assert none_yet == 1
    assert before["migrations"]["sentence"] == "The database has no tables."
    assert before["migrations"]["cure"] == "Run: manage.py migrate"
    assert {name: part for name, part in found.items() if part["state"] != "ok"} == {}
    assert status == 0
    assert "Served by: sweep@" in found["worker sweep"]["sentence"]
    assert list((data / "backups").rglob("database*")), "it made its backup"


# --- Signs of life ------------------------------------------------------------------------------

HOUR = timedelta(hours=1)
CHECKSUMS = "fileshare.tasks.complete_checksums"


def seen(name, kind, ago=timedelta(), **facts):
    """Write a sign of life that is `ago` old, by the database's clock."""
    times = {column: Now() - age for column, age in facts.items() if column.endswith("_at")}
    facts = {"seen_at": Now() - ago, "created_at": Now() - 100 * HOUR, "own_clock": timezone.now() - ago, **facts}
    Heartbeat.objects.update_or_create(name=name, defaults={"kind": kind, **facts, **times})


def everything_lives():
    seen("schedule", "schedule")
    for queue in configured.CELERY_TASK_QUEUES:
        seen(f"{queue}@here", "worker", queues=queue)
    for entry in schedule.JOBS.values():
        seen(entry["task"], "job")


def nothing_ever_ran():
    Heartbeat.objects.all().delete()


# Case: (what happens, {part: how its message begins} of all parts that are not well).
LIVES = {
    "all is well": (lambda: None, {}),
    "the long queue's worker was killed": (
        lambda: seen("sweep@here", "worker", timedelta(minutes=10), queues="sweep"),
        {"worker sweep": "No worker serves the queue sweep: sweep@here has been silent for 10 minutes."},
    ),
    "one worker was killed, and another serves both queues": (
        lambda: (
            seen("sweep@here", "worker", timedelta(minutes=10), queues="sweep"),
            seen("celery@there", "worker", queues="celery,sweep"),
        ),
        {},
    ),
    "no worker was ever there for mail": (
        lambda: Heartbeat.objects.filter(name="celery@here").delete(),
        {"worker celery": "No worker serves the queue celery."},
    ),
    "beat is gone": (
        lambda: seen("schedule", "schedule", timedelta(minutes=7)),
        {"schedule": "The schedule has been silent for 7 minutes"},
    ),
    "a job of every two minutes is dropped": (
        lambda: seen(CHECKSUMS, "job", HOUR),
        {"job complete checksums": "It last ran on "},
    ),
    "it waits behind a long one": (
        lambda: (
            seen(CHECKSUMS, "job", HOUR),
            seen("fileshare.tasks.reconcile_store", "job", 20 * HOUR, begun_at=HOUR),
        ),
        {},
    ),
    "the long one was killed": (
        lambda: (
            seen(CHECKSUMS, "job", 14 * HOUR),
            seen("fileshare.tasks.reconcile_store", "job", 20 * HOUR, begun_at=13 * HOUR),
        ),
        {"job complete checksums": "It last ran on "},
    ),
    "a nightly job was missed": (
        lambda: seen("fileshare.tasks.recalculate_quotas", "job", 49 * HOUR),
        {"job recalculate quotas": "It last ran on "},
    ),
    "a job failed": (
        lambda: seen("payments.tasks.settle_payments", "job", HOUR, failed_at=timedelta(0), fault="KeyError"),
        {"job settle payments": "Its last run failed on "},
    ),
    "a job is new": (
        lambda: Heartbeat.objects.filter(name="audit.tasks.verify").update(seen_at=None, created_at=Now()),
        {},
    ),
    "a job never ran": (
        lambda: Heartbeat.objects.filter(name="audit.tasks.seal").update(seen_at=None),
        {"job place rows of the audit log": "It should have run, and never has."},
    ),
    "nothing was ever started": (
        nothing_ever_ran,
        {
            "schedule": "The schedule has never run",
            "worker celery": "No worker serves the queue celery.",
            "worker sweep": "No worker serves the queue sweep.",
            **{f"job {name}": "It waits for the schedule." for name in schedule.JOBS},
        },
    ),
}


@pytest.mark.both
@pytest.mark.django_db
@pytest.mark.parametrize("case", LIVES)
def test_what_is_silent_or_late_is_named_with_a_cure(case, django_assert_num_queries):
    happens, expected = LIVES[case]
    everything_lives()
    happens()

    with django_assert_num_queries(1):
        found = lateness.ask()

    wrong = {name: verdict.said for name, verdict in found.items() if not verdict.is_ok}
    # Depending on the time of day, the long job that was killed is late as well.
    if "killed" in case and "job reconcile store and rows" not in expected:
        wrong.pop("job reconcile store and rows", None)
    assert set(wrong) == set(expected)
    assert all(wrong[name].startswith(text) for name, text in expected.items()), wrong
    assert all(verdict.advice for verdict in found.values() if not verdict.is_ok)


@pytest.mark.once
@pytest.mark.parametrize(
    ("when", "at", "late"),
    [
        (crontab(hour=1, minute=30), (30, 1, 44), False),
        (crontab(hour=1, minute=30), (30, 1, 46), True),
        (crontab(day_of_week=0, hour=1, minute=10), (30, 12, 0), False),
        (timedelta(seconds=10), (29, 1, 45), False),
        (timedelta(seconds=10), (29, 1, 47), True),
        (timedelta(hours=1), (29, 5, 30), False),
        (timedelta(hours=1), (29, 5, 32), True),
    ],
)
def test_from_when_on_a_job_is_late(when, at, late):
    """Every job last ran on Sunday, 29 November, at 01:31."""
    since, now = datetime(2026, 11, 29, 1, 31, tzinfo=UTC), datetime(2026, 11, *at, tzinfo=UTC)

    assert lateness.is_late({"schedule": when}, since, now) == late


def refused(*arguments, **facts):
    raise OperationalError("the database is away")


@pytest.mark.both
@pytest.mark.django_db
def test_runs_of_a_job_are_kept_once_a_minute_and_each_failure(monkeypatch, django_assert_num_queries):
    heartbeats._Written.forget()
    name = "payments.tasks.forget_old_callbacks"
    job = app.tasks[name] if name in app.tasks else app.loader.import_default_modules() or app.tasks[name]

    with monkeypatch.context() as away:
        away.setattr(heartbeats, "note", refused)
        heartbeats.job_ended(job)
    # The write failed, so the next run writes.
    heartbeats.job_ended(job)
    with django_assert_num_queries(0):
        heartbeats.job_ended(job)
    row = Heartbeat.objects.get(name=name)
    assert (row.kind, bool(row.seen_at), row.failed_at) == ("job", True, None)
    created = row.created_at
    heartbeats.job_failed(job, exception=KeyError("not to be shown"))
    heartbeats.job_ended(job)

    row.refresh_from_db()
    assert (row.fault, row.created_at, row.failed_at <= row.seen_at) == ("KeyError", created, True)


@pytest.mark.once
@pytest.mark.django_db
def test_the_schedule_gives_each_of_its_jobs_a_row_and_forgets_those_it_has_no_more():
    seen("gone.tasks.nothing", "job")
    seen(CHECKSUMS, "job", HOUR)

    heartbeats.begin_jobs()

    names = set(Heartbeat.objects.values_list("name", flat=True))
    assert names == {entry["task"] for entry in schedule.JOBS.values()}
    assert Heartbeat.objects.get(name=CHECKSUMS).seen_at, "one that ran keeps what is known of it"


# --- Clocks, disk, mail, keys -------------------------------------------------------------------


@pytest.mark.both
@pytest.mark.django_db
def test_clocks_that_are_hours_apart_are_named(monkeypatch):
    assert clocks.ask().state == "ok"
    silent = threading.Event()
    monkeypatch.setitem(clocks.CLOCKS._values, "a silent server", lambda: silent.wait(60) and None)
    monkeypatch.setitem(clocks.CLOCKS._values, "the bucket", lambda: timezone.now() - 2 * HOUR)
    seen("celery@there", "worker", queues="celery", own_clock=timezone.now() + 2 * HOUR)

    begun = time.monotonic()
    verdict = clocks.ask()
    silent.set()

    # All clocks are one part, and its name names no machine: /readyz shows the names to every client.
    assert verdict.said == ("These clocks differ from this machine's: celery@there +7200 s, the bucket -7200 s.")
    assert time.monotonic() - begun < parts.PATIENCE_SECONDS


@pytest.mark.once
@pytest.mark.parametrize(
    ("free_mib", "state", "said"),
    [(0, "unavailable", "is full"), (900, "degraded", "is nearly full"), (50_000, "ok", "It works.")],
)
def test_a_full_disk_is_called_full(monkeypatch, free_mib, state, said):
    usage = namedtuple("usage", "total used free")
    total = 100_000 * 2**20
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(total, total - free_mib * 2**20, free_mib * 2**20))

    verdict = own_parts.disk() or parts.FINE

    assert verdict.state == state
    assert said in verdict.said


@pytest.mark.both
@pytest.mark.django_db
def test_letters_that_wait_are_told_and_those_of_a_wrong_clock(settings):
    def letter(**facts):
        row = OutgoingMail.objects.create(letter="verify_email", to="a@example.org", context={}, **facts)
        OutgoingMail.objects.filter(pk=row.pk).update(created_at=facts.get("created_at", timezone.now()))

    letter()
    assert of_accounts.outbox() is None
    letter(next_try_at=timezone.now() - HOUR, created_at=timezone.now() - HOUR)
    waiting = of_accounts.outbox()
    letter(next_try_at=timezone.now() + 2 * HOUR)

    assert waiting.said.startswith("Letters wait (1), the oldest since ")
    assert of_accounts.outbox().said == "Letters are due only in the future (1): the clock of a machine is ahead."


@pytest.mark.once
def test_brevo_is_not_said_to_work(settings):
    settings.EMAIL_BACKEND_KIND = "brevo"

    assert of_accounts.server().said.startswith("Brevo cannot be asked without a letter.")


@pytest.mark.both
@pytest.mark.django_db
def test_a_changed_key_is_named_beside_forgery(people, settings):
    record("login", user=people["super"])
    chain.seal()
    assert of_audit.log() is None
    old, settings.SECRET_KEY = settings.SECRET_KEY, "another key of more than fifty characters, as the portal asks for"

    verdict = of_audit.log()
    faults = [fault.text for fault in verifying.verify().faults]
    settings.SECRET_KEY_FALLBACKS = [old]
    assert not verifying.verify().faults

    assert "SECRET_KEY: the key was changed, or the log was forged" in verdict.said
    assert "SECRET_KEY_FALLBACKS" in verdict.advice
    assert any("SECRET_KEY was changed" in text for text in faults)
    assert of_audit.log() is None


# --- The page -----------------------------------------------------------------------------------


@pytest.mark.both
@pytest.mark.django_db(transaction=True)
def test_the_super_sees_what_is_wrong_first_and_what_to_do(people, monkeypatch):
    monkeypatch.setattr(parts, "PATIENCE_SECONDS", 60)
    parts.READINESS.forget()
    everything_lives()
    seen("sweep@here", "worker", timedelta(minutes=10), queues="sweep")
    client = Client()
    client.force_login(people["super"])

    page = client.get("/state/").content.decode()

    parts.READINESS.forget()
    assert "No worker serves the queue sweep" in page
    assert page.index("worker sweep") < page.index("worker celery")
    assert "Start it" in page or "Start the portal anew" in page
