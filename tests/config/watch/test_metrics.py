"""/metrics: what it tells, who may read it, and what it costs."""

import io
import re
import threading
import time
import uuid
from datetime import timedelta

import httpx
import pytest
from django.conf import settings as configured
from django.db import OperationalError, connection
from django.test import RequestFactory
from django.utils import timezone
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from accounts.contributions.actions import Action as AccountAction
from accounts.models import OutgoingMail
from audit import metrics as record_metrics
from audit.log import record
from config.watch import metrics
from fileshare.backups import shelf
from fileshare.contributions.actions import Action
from fileshare.storage import StoreUnavailable, get_store
from payments.models import Status, Transaction
from tests.deploy.conftest import production, web_command
from tests.factories import FolderFactory, PlanFactory, UserFactory, store_file
from tests.migrated import migrate
from tests.servers import LOOPBACK, free_ports, spawn, stop, wait_until

pytestmark = pytest.mark.both

TOKEN = "correct-horse-battery-staple-0123456789"
HERE = {"HTTP_HOST": "127.0.0.1:8000", "REMOTE_ADDR": "127.0.0.1"}


@pytest.fixture(autouse=True)
def fresh():
    """Forget the readings of an earlier test."""
    metrics.READINGS.forget()
    yield
    metrics.READINGS.forget()


def families(text):
    """{sample's name: {labels as a tuple of pairs: value}}"""
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(sorted(sample.labels.items()))] = sample.value
    return found


@pytest.fixture
def told(client):
    """told() is the present answer of /metrics."""

    def ask():
        metrics.READINGS.forget()
        response = client.get("/metrics", **HERE)
        assert response.status_code == 200
        return families(response.content.decode())

    return ask


# --- Who may read them -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("facts", "token", "allowed"),
    [
        ({}, "", True),
        ({"HTTP_HOST": "localhost"}, "", True),
        ({"HTTP_HOST": "[::1]:8000", "REMOTE_ADDR": "::1"}, "", True),
        ({"REMOTE_ADDR": "10.0.0.7"}, "", False),
        ({"HTTP_HOST": "portal.example.org"}, "", False),
        ({"HTTP_X_FORWARDED_FOR": "127.0.0.1"}, "", False),
        ({"HTTP_FORWARDED": "for=127.0.0.1"}, "", False),
        ({"HTTP_X_REAL_IP": "127.0.0.1"}, "", False),
        (
            {"REMOTE_ADDR": "10.0.0.7", "HTTP_HOST": "10.0.0.9:8000", "HTTP_AUTHORIZATION": f"Bearer {TOKEN}"},
            TOKEN,
            True,
        ),
        ({"REMOTE_ADDR": "10.0.0.7", "HTTP_AUTHORIZATION": f"bearer {TOKEN}"}, TOKEN, True),
        ({"REMOTE_ADDR": "10.0.0.7", "HTTP_AUTHORIZATION": f"Bearer {TOKEN}x"}, TOKEN, False),
        ({"REMOTE_ADDR": "10.0.0.7", "HTTP_AUTHORIZATION": f"Basic {TOKEN}"}, TOKEN, False),
        ({"REMOTE_ADDR": "10.0.0.7", "HTTP_AUTHORIZATION": "Bearer kräftig"}, TOKEN, False),
        ({"REMOTE_ADDR": "10.0.0.7", "HTTP_AUTHORIZATION": "Bearer "}, "", False),
        ({"HTTP_AUTHORIZATION": "Bearer wrong"}, TOKEN, False),
    ],
)
def test_only_this_machine_or_the_token_reads_them(facts, token, allowed, settings):
    settings.METRICS_TOKEN = token
    request = RequestFactory().get("/metrics", **{**HERE, **facts})

    assert metrics.may_read(request) is allowed


@pytest.mark.django_db
@pytest.mark.parametrize("who", [None, "client", "super"])
def test_for_everybody_else_there_is_nothing(who, client, people):
    if who:
        client.force_login(people[who])

    metrics_answer, nothing = client.get("/metrics"), client.get("/nowhere")

    assert (metrics_answer.status_code, nothing.status_code) == (404, 404)
    assert b"portal_" not in metrics_answer.content
    assert metrics_answer.headers["Content-Type"] == nothing.headers["Content-Type"]


@pytest.mark.django_db
def test_a_scrape_may_only_look(client):
    assert client.post("/metrics", **HERE).status_code == 405


# --- What they say -----------------------------------------------------------------------------------


@pytest.mark.django_db
def test_requests_are_counted_by_route_and_class_and_never_by_path(told, client, people):
    client.force_login(people["client"])
    before = told()["portal_requests_total"]

    for path in ("/files/", "/nowhere", f"/files/{uuid.uuid4()}/", "/share/" + "x" * 43, "/notifications/live"):
        client.get(path)
    client.generic("BREW", "/files/")

    after = told()["portal_requests_total"]
    grown = {key: value - before.get(key, 0) for key, value in after.items() if value != before.get(key, 0)}
    routes = {(labels["method"], labels["route"], labels["status"]) for labels in map(dict, grown)}
    assert {
        ("GET", "my-files", "2xx"),
        ("GET", "unmatched", "4xx"),
        ("GET", "file", "4xx"),
        ("GET", "share", "4xx"),
        ("GET", "notifications-live", "4xx"),
    } <= routes
    assert "other" in {method for method, *_rest in routes}


@pytest.mark.django_db
def test_nothing_is_under_way_when_all_is_answered_but_the_scrape_itself(told, client):
    # Other tests leave answers that they do not read to the end.
    metrics.IN_FLIGHT.clear()
    client.get("/login")

    assert sum(told()["portal_requests_in_flight"].values()) == 1


@pytest.mark.django_db
def test_no_label_tells_of_anybody(told, client, people, report, api_as):
    client.force_login(people["client"])
    client.get(f"/files/{report.pk}/")
    api_as("colleague").get(f"/api/files/{report.pk}/download")

    labels = {value for samples in told().values() for key in samples for _name, value in key}

    assert not [value for value in labels if "@" in value or "/" in value or re.search(r"[0-9a-f]{8}-", value)]
    assert len(labels) < 400


@pytest.mark.django_db
def test_answers_429_are_counted(told, client, settings, limits_on):
    settings.RATE_LIMITS = {**settings.RATE_LIMITS, "forgot_password": "1/h"}
    before = sum(told().get("portal_throttled_total", {}).values())

    for _time in range(3):
        client.post("/api/auth/forgot-password", {"email": "a@example.org"}, content_type="application/json")

    assert sum(told()["portal_throttled_total"].values()) == before + 2


@pytest.mark.django_db
def test_the_store_is_timed_by_operation_and_its_faults_counted(told, report, monkeypatch):
    store = get_store()
    before = told()

    store.head(report.object_key)
    b"".join(store.read_range(report.object_key, 0, 10))
    with pytest.raises(Exception, match="object_missing"):
        store.open("files/nowhere")
    with monkeypatch.context() as patch:

        def away(self, key):
            raise StoreUnavailable

        patch.setattr(type(store).__mro__[1], "head", away)
        with pytest.raises(StoreUnavailable):
            store.head(report.object_key)

    after = told()

    def grown(name, operation):
        key = (("operation", operation),)
        return after.get(name, {}).get(key, 0) - before.get(name, {}).get(key, 0)

    assert grown("portal_store_seconds_count", "head") == 2
    assert grown("portal_store_seconds_count", "read_range") == 1
    assert grown("portal_store_errors_total", "head") == 1
    assert grown("portal_store_errors_total", "open") == 0


@pytest.mark.django_db
def test_what_happened_is_counted_once_wherever_it_happened(told, people, company_folder, report, monkeypatch):
    told()  # the counting begins here
    record(Action.DOWNLOAD, user=people["client"], target=report, folder=company_folder, size_bytes=100)
    record(Action.DOWNLOAD, target=report, folder=company_folder, size_bytes=10, share="x")
    record(Action.DOWNLOAD, target=report, folder=company_folder, size_bytes=1, bulk="x")
    record(AccountAction.LOGIN_FAILED, email="a@example.org")
    before = told()["portal_events_total"]

    monkeypatch.setattr(record_metrics, "LATEST", timedelta(seconds=-5))
    first, second = told(), told()

    assert first["portal_events_total"] == second["portal_events_total"]

    def of(name, action, kind):
        return first[name].get((("action", action), ("kind", kind)), 0)

    kinds = ["file", "share", "archive"]
    assert set(before.values()) == {0}
    assert [of("portal_events_total", "download", kind) for kind in kinds] == [1, 1, 1]
    assert [of("portal_event_bytes_total", "download", kind) for kind in kinds] == [100, 10, 1]
    assert of("portal_events_total", "login_failed", "") == 1


@pytest.mark.django_db
def test_what_waits_is_told(told, people):
    user = people["client"]
    OutgoingMail.objects.create(letter="account_exists", to=user.email)
    OutgoingMail.objects.update(created_at=timezone.now() - timedelta(minutes=10))
    FolderFactory(name="Full", slug="full", quota_bytes=100)
    full = FolderFactory(name="Fuller", slug="fuller", quota_bytes=1000)
    type(full).objects.filter(pk=full.pk).update(used_bytes=800, reserved_bytes=101)
    plan = PlanFactory()
    for status in (Status.SUBMITTED, Status.NEEDS_REVIEW, Status.FAILED, Status.FAILED):
        last = Transaction.objects.create(
            user=user,
            plan=plan,
            plan_name=plan.name,
            folder=full,
            amount=10,
            extra_bytes=1,
            days=1,
            phone_number="254700000000",
            status=status,
        )
    Transaction.objects.filter(pk=last.pk).update(created_at=timezone.now() - timedelta(hours=25))

    now = told()

    assert now["portal_mail_waiting"][()] == 1
    assert 600 <= now["portal_mail_oldest_seconds"][()] < 700
    assert now["portal_folders_nearly_full"][()] == 1
    assert (now["portal_quota_used_bytes"][()], now["portal_quota_reserved_bytes"][()]) == (800, 101)
    assert now["portal_payments_open"][(("status", "needs_review"),)] == 1
    assert now["portal_payments_open"][(("status", "submitted"),)] == 1
    assert now["portal_payments_last_day"][(("status", "failed"),)] == 1
    assert set(now["portal_reader_failed"].values()) == {0}


@pytest.mark.django_db
def test_a_number_a_job_left_is_told(told):
    assert "portal_backup_age_seconds" not in told()

    metrics.remember("backup_made_at", time.time() - 100)
    metrics.remember("audit_faults", 0)

    now = told()
    assert 100 <= now["portal_backup_age_seconds"][()] < 200
    assert now["portal_audit_faults"][()] == 0


@pytest.mark.django_db
def test_a_number_is_told_no_longer_than_it_lives(told):
    metrics.remember("audit_faults", 0, lifetime=timedelta(days=1))
    assert told()["portal_audit_faults"][()] == 0

    metrics.remember("audit_faults", 0, lifetime=timedelta(0))

    assert "portal_audit_faults" not in told()


@pytest.mark.django_db
def test_a_backup_the_cache_forgot_is_found_on_the_shelf(told):
    store, key = get_store(), "backups/20260101T000000Z/backup.json"
    store.write(key, io.BytesIO(b"{}"), size_limit=2)

    try:
        found = told()
    finally:
        store.delete(key)

    assert 0 <= found["portal_backup_age_seconds"][()] < 600
    assert told()["portal_backup_age_seconds"][()] >= found["portal_backup_age_seconds"][()]


@pytest.mark.django_db
def test_a_shelf_that_cannot_be_seen_from_here_is_asked_once_in_a_while_and_is_no_fault(told, settings, monkeypatch):
    settings.BACKUP_TO, asked = "/nowhere/at/all", []
    open_shelf = shelf.open_shelf
    monkeypatch.setattr(shelf, "open_shelf", lambda place: asked.append(place) or open_shelf(place))

    answers = [told() for _time in range(3)]

    assert asked == ["/nowhere/at/all"]
    assert not any("portal_backup_age_seconds" in answer for answer in answers)
    assert set(answers[0]["portal_reader_failed"].values()) == {0}


# --- Cost --------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_a_scrape_asks_as_much_however_much_there_is(people, company_folder, django_assert_max_num_queries):
    def asked():
        metrics.READINGS.forget()
        with django_assert_max_num_queries(60) as queries:
            generate_latest(metrics._read)
        return len(queries)

    asked()
    few = asked()
    for number in range(5):
        store_file(user=people["uploader"], folder=company_folder, filename=f"{number}.docx")
        FolderFactory(name=f"F{number}", slug=f"f{number}")
        UserFactory()

    assert asked() == few


@pytest.mark.django_db
def test_scrapes_one_after_another_ask_once(django_assert_num_queries):
    generate_latest(metrics._read)

    with django_assert_num_queries(0):
        generate_latest(metrics._read)


@pytest.mark.once
def test_scrapes_do_not_pile_up_behind_one_that_hangs(monkeypatch):
    readings, hangs, goes_on = metrics.Readings(), threading.Event(), threading.Event()
    monkeypatch.setattr(metrics, "_readers", [lambda: [metrics.gauge("portal_first", "", 1)]])
    monkeypatch.setattr(metrics, "_bounded", lambda: metrics.contextlib.nullcontext())
    readings.collect()

    def hang():
        hangs.set()
        goes_on.wait(30)
        return []

    hang.__name__ = "hang"
    monkeypatch.setattr(metrics, "_readers", [hang])
    readings._until = 0
    first = threading.Thread(target=readings.collect)
    first.start()
    hangs.wait(30)

    meanwhile = [family.name for family in readings.collect()]

    goes_on.set()
    first.join()
    assert "portal_first" in meanwhile


@pytest.mark.django_db
def test_a_reader_that_fails_is_named_and_costs_the_others_nothing(told, monkeypatch):
    def fails():
        raise OperationalError("no")

    fails.__module__ = "payments.metrics"
    monkeypatch.setattr(metrics, "_readers", [*metrics._readers, fails])

    now = told()

    assert now["portal_reader_failed"][(("reader", "payments.fails"),)] == 1
    assert "portal_mail_waiting" in now


@pytest.mark.postgres
@pytest.mark.django_db
def test_no_query_of_a_scrape_runs_for_long(monkeypatch):
    monkeypatch.setattr(metrics, "READER_TIMEOUT_MS", 100)

    def slow():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_sleep(20)")
        return []

    monkeypatch.setattr(metrics, "_readers", [slow])

    ((_labels, value),) = [
        (sample.labels, sample.value) for family in metrics._ask_readers() for sample in family.samples
    ]
    with connection.cursor() as cursor:
        cursor.execute("SHOW statement_timeout")
        after = cursor.fetchone()[0]

    assert (value, after) == (1, "0")


# --- Several processes -------------------------------------------------------------------------------


@pytest.mark.redis
def test_several_processes_tell_one_sum(tmp_path):
    (port,) = free_ports(1)
    environment = production(
        tmp_path / "data", PORT=str(port), REDIS_URL=configured.REDIS_URL, WEB_WORKERS="3", WEB_THREADS="2"
    )
    url = f"http://{LOOPBACK}:{port}"
    migrate(environment)
    old = tmp_path / "data" / "metrics"

    def answers():
        try:
            return httpx.get(f"{url}/healthz").status_code == 200
        except httpx.TransportError:
            return False

    def asked():
        # Use a new connection each time, so that all processes get requests.
        return families(httpx.get(f"{url}/metrics", headers={"Host": "127.0.0.1"}).text)

    def count(told):
        found = told.get("portal_requests_total", {})
        return found.get((("method", "GET"), ("route", "healthz"), ("status", "2xx")), 0)

    server = spawn(web_command(), log=tmp_path / "log", env=environment, cwd=configured.BASE_DIR)
    try:
        wait_until(answers, process=server, log=tmp_path / "log", seconds=60)
        # A request is counted after its answer has gone.
        wait_until(lambda: count(asked()) > 0, process=server, log=tmp_path / "log", seconds=60)
        before, sent, wrote = count(asked()), 0, set()
        end = time.monotonic() + 60
        with httpx.Client(headers={"Connection": "close"}) as browser:
            # One process may take all requests for a while.
            while len(wrote) < 2 and time.monotonic() < end:
                for _time in range(60):
                    assert browser.get(f"{url}/healthz").status_code == 200
                sent += 60
                wrote = {path.stem.rsplit("_", 1)[1] for path in old.glob("*/counter_*.db")}
        wait_until(lambda: count(asked()) - before >= sent, process=server, log=tmp_path / "log", seconds=60)
        sums = {count(asked()) - before for _time in range(5)}
    finally:
        stop(server, seconds=30)

    assert sums == {sent}
    assert 2 <= len(wrote) <= 3


@pytest.mark.once
def test_the_counts_of_an_earlier_run_are_swept_out_and_a_dead_worker_is_not_under_way(settings, tmp_path):
    settings.DATA_DIR = tmp_path
    metrics.start_shared()
    folder = metrics.shared_folder()
    for name in ("counter_1.db", "gauge_livesum_1.db", "gauge_livesum_2.db"):
        (folder / name).touch()

    metrics.leave(1)
    left = {path.name for path in folder.iterdir()}
    metrics.start_shared()

    assert left == {"counter_1.db", "gauge_livesum_2.db"}
    assert list(folder.iterdir()) == []


@pytest.mark.once
def test_the_registry_holds_no_strangers():
    """Prometheus' own collectors would describe only one of several processes."""
    assert {metric.name for metric in metrics.REGISTRY.collect()} == {
        "portal_requests",
        "portal_request_seconds",
        "portal_response_bytes",
        "portal_requests_in_flight",
        "portal_throttled",
        "portal_store_seconds",
        "portal_store_errors",
    }
