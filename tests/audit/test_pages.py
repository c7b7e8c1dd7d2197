"""The log's page, its exports and the history of a file: who sees them, how many rows, and with how many queries."""

import csv
import io
import json
import re
from datetime import UTC, datetime, timedelta
from itertools import combinations

import pytest
import time_machine
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.contributions.actions import Action
from audit import chain, reading, triggers
from audit.log import record
from audit.models import Event
from fileshare.contributions.actions import FILE_ACTIONS
from fileshare.contributions.actions import Action as FileAction
from fileshare.outgoing import downloads
from tests.factories import FolderFactory, store_file
from tests.fileshare.helpers import content

pytestmark = pytest.mark.django_db


@pytest.fixture
def boss(people):
    client = Client()
    client.force_login(people["super"])
    return client


@pytest.fixture
def as_user(people):
    def client_of(who):
        client = Client()
        client.force_login(people[who])
        return client

    return client_of


def queries(client, address):
    with CaptureQueriesContext(connection) as asked:
        assert client.get(address).status_code == 200
    return len(asked)


def test_it_shows_who_did_what_with_its_place_in_the_chain(boss, people, company_folder):
    record(FileAction.DOWNLOAD, user=people["colleague"], folder=company_folder, size_bytes=2048, one_time=True)
    chain.seal()

    text = boss.get("/audit/").content.decode()

    for words in ("Downloaded", "colleague@example.org", "baobab-files", "one_time", "True"):
        assert words in text
    assert Event.objects.get(action="download").hash in text


@pytest.mark.both
@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("user_email=Colleague@example.org", {"login"}),
        ("action=upload", {"upload"}),
        ("folder_slug=baobab-files", {"upload"}),
        ("start_date=2000-01-01&end_date=2000-01-02", set()),
        ("action=upload&user_email=colleague@example.org", set()),
    ],
)
def test_filters(query, shown, boss, people, company_folder):
    record(Action.LOGIN, user=people["colleague"])
    record(FileAction.UPLOAD, user=people["uploader"], folder=company_folder)

    text = boss.get(f"/audit/?{query}").content.decode()

    table = text[text.index('id="events"') :]
    assert set(re.findall(r'href="\?action=(\w+)"', table)) - {"log_read"} == shown


def test_what_happened_to_one_thing(boss, report, people):
    record(FileAction.DOWNLOAD, user=people["colleague"], target=report)
    record(
        FileAction.DOWNLOAD, user=people["colleague"], target=store_file(user=people["uploader"], folder=report.folder)
    )

    text = boss.get(f"/audit/?target_id={report.pk}").content.decode()

    assert text.count('href="?action=download"') == 1


@pytest.mark.parametrize(
    "query",
    [
        "start_date=yesterday",
        "end_date=2026-13-01",
        "start_date=0001-01-01T00:00:00%2B14:00",
        "action=<script>",
        "user_email=" + "x" * 300,
        "folder_slug=" + "x" * 101,
        "target_id=" + "x" * 65,
        "cursor=nonsense",
        "limit=0",
        "limit=1e9",
    ],
)
def test_filters_that_make_no_sense_are_told(query, boss):
    answer = boss.get(f"/audit/?{query}")

    assert answer.status_code == 400
    assert "<script>" not in answer.content.decode().partition("<main")[2].replace("&lt;script&gt;", "")


@pytest.mark.parametrize("query", ["user_email=%00", "folder_slug=%00a", "target_id=%00", "user_email=%ED%A0%80"])
@pytest.mark.parametrize("path", ["/audit/", "/audit/export.csv", "/audit/export.json"])
def test_no_text_is_a_fault(path, query, boss):
    assert boss.get(f"{path}?{query}").status_code in (200, 400)


@pytest.mark.parametrize("offset", ["999999999999999999999", "-1", "1e9", "1000001", "٣"])
def test_a_huge_offset_is_refused(offset, api_as):
    answer = api_as("super").get("/api/admin/logs", {"offset": offset})

    assert (answer.status_code, answer.json()["code"]) == (400, "invalid")


@pytest.mark.both
@pytest.mark.parametrize("end", ["0001-01-05", "9999-12-31T23:59:59Z", "1999-01-01", "2990-01-01"])
def test_no_end_of_time_is_a_fault(end, boss):
    assert boss.get(f"/audit/?end_date={end}").status_code == 200


def test_reading_is_a_row_itself(boss, people, api_as):
    boss.get("/audit/?action=login")
    boss.get("/audit/export.csv")
    content(boss.get("/audit/export.json"))
    api_as("super").get("/api/admin/logs", {"user_email": "a@example.org"})
    api_as("client").get("/api/admin/logs")

    rows = Event.objects.filter(action__in=["log_read", "log_exported"]).order_by("created_at")
    assert [(row.action, row.detail["way"], row.detail["filters"]) for row in rows] == [
        ("log_read", "page", {"action": "login"}),
        ("log_exported", "csv", {}),
        ("log_exported", "json", {}),
        ("log_read", "api", {"user_email": "a@example.org"}),
    ]
    assert {row.actor_email for row in rows} == {"super@example.org"}


def test_reading_in_the_admin_is_a_row_too(boss):
    assert boss.get("/admin/audit/event/").status_code == 200

    assert Event.objects.get(action="log_read").detail["way"] == "admin"


def test_what_is_asked_of_the_admin_never_breaks_its_row(boss):
    assert boss.get("/admin/audit/event/?q=%00&x=%ED%A0%80").status_code in (200, 302)
    assert boss.get("/admin/audit/event/?%00=1&%ED%A0%80=2").status_code in (200, 302)
    assert boss.get("/admin/audit/event/?q=Super@Example.org").status_code == 200


def test_looking_at_one_row_in_the_admin_is_a_row(boss, people):
    row = record(Action.LOGIN, user=people["client"])

    for number, page in enumerate(("change", "history"), start=1):
        assert boss.get(f"/admin/audit/event/{row.pk}/{page}/").status_code == 200
        assert Event.objects.filter(action="log_read", detail__filters__id=str(row.pk)).count() == number


def test_the_csv_holds_every_row_and_no_formula(boss, people):
    for number in range(3):
        record(Action.LOGIN_FAILED, email=f'=cmd|"{number}"!A1', size=number)

    rows = list(
        csv.DictReader(io.StringIO(content(boss.get("/audit/export.csv?action=login_failed")).decode("utf-8-sig")))
    )

    assert len(rows) == 3
    assert {row["actor_email"][:2] for row in rows} == {"'="}
    assert [json.loads(row["detail"])["size"] for row in rows] == [2, 1, 0]


def test_the_json_is_enough_to_check_the_chain(boss, people):
    for _time in range(3):
        record(Action.LOGIN, user=people["client"])
    chain.seal()

    rows = json.loads(content(boss.get("/audit/export.json")))

    placed = sorted((row for row in rows if row["seq"]), key=lambda row: row["seq"])
    assert len(placed) >= 3
    for row in placed:
        assert chain.hash_of(row, row["prev_hash"]) == row["hash"]


@pytest.mark.both
def test_exports_stream(boss):
    assert boss.get("/audit/export.csv").streaming
    assert boss.get("/audit/export.json").streaming


@pytest.mark.both
def test_activity_by_day(people):
    record(Action.LOGIN, user=people["client"])
    late = record(Action.LOGIN, user=people["client"])
    now = timezone.now()
    with triggers.lifted():
        Event.objects.filter(pk=late.pk).update(created_at=now - timedelta(days=3))

    rows = reading.activity(Event.objects.filter(action="login"))

    assert len(rows) == reading.DAYS
    assert {row["day"]: row["count"] for row in rows if row["count"]} == {
        now.astimezone(UTC).date(): 1,
        (now - timedelta(days=3)).astimezone(UTC).date(): 1,
    }


def test_the_last_day_of_the_activity_is_the_last_of_the_filter(boss):
    end = datetime(2026, 11, 21, tzinfo=UTC)

    rows = reading.activity(Event.objects.all(), end=end)

    assert [rows[0]["day"].isoformat(), rows[-1]["day"].isoformat()] == ["2026-10-22", "2026-11-20"]


def test_as_many_queries_for_many_rows(boss, people):
    record(Action.LOGIN, user=people["client"])
    few = queries(boss, "/audit/")
    for number in range(40):
        record(Action.LOGIN, user=people["client"], number=number)

    assert queries(boss, "/audit/") == few <= 16


# --- The history of a file --------------------------------------------------------------------------


def test_a_file_shows_its_history_to_whoever_it_belongs_to(as_user, report, people):
    downloads.link_for(user=people["colleague"], file_id=report.pk)
    record(FileAction.DOWNLOAD, user=people["colleague"], target=report)

    theirs = as_user("uploader").get(f"/files/{report.pk}/").content.decode()
    everything = as_user("super").get(f"/files/{report.pk}/").content.decode()
    others = as_user("colleague").get(f"/files/{report.pk}/").content.decode()

    assert "Downloaded" in theirs
    assert people["colleague"].name in theirs
    assert "colleague@example.org" not in theirs, "a name is enough for them"
    assert "colleague@example.org" in everything
    assert 'id="history"' not in others


def test_the_history_of_another_file_of_the_same_name_is_not_mixed_in(as_user, report, people):
    other = store_file(user=people["uploader"], folder=FolderFactory(), filename="report.docx")
    record(FileAction.DELETE, user=people["super"], target=other)

    assert "Deleted" not in as_user("super").get(f"/files/{report.pk}/").content.decode()


def test_a_long_history_costs_as_many_queries(as_user, report, people):
    client = as_user("super")
    few = queries(client, f"/files/{report.pk}/")
    for _time in range(70):
        record(FileAction.DOWNLOAD, user=people["colleague"], target=report)

    assert queries(client, f"/files/{report.pk}/") == few


# --- Indexes ----------------------------------------------------------------------------------------


@pytest.fixture
def many(people):
    """20,000 rows over a year: fifty users, twenty folders, ten kinds; half of the rows are about files."""
    now = timezone.now()
    others = list(Action)
    actions = [*others[:5], *FILE_ACTIONS[-5:]]
    rows = [
        Event(
            action=actions[number % 10],
            actor_email=f"person{number % 50}@example.org",
            folder_slug=f"folder-{number % 20}",
            target_id=f"target-{number % 4000}",
        )
        for number in range(20_000)
    ]
    for number in range(20):
        with time_machine.travel(now - timedelta(days=18 * number), tick=False):
            Event.objects.bulk_create(rows[number * 1000 : (number + 1) * 1000])
    # An installation on SQLite never runs ANALYZE.
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE audit_event")


def assert_every_filter_walks_an_index():
    for facts in (
        {},
        {"user_email": "person7@example.org"},
        {"action": "login"},
        {"folder_slug": "folder-3"},
        {"target_id": "target-77"},
        {"start": datetime(2020, 1, 1, tzinfo=UTC)},
        {"end": datetime(2090, 1, 1, tzinfo=UTC)},
    ):
        plan = Event.objects.matching(**facts)[:51].explain()

        assert re.search(r"event_(newest|by_)", plan), plan
        assert not re.search(r"Seq Scan on audit_event|SCAN audit_event(?! USING)", plan), plan
        # The index gives the order by time. Only rows of the same instant are sorted, by id.
        assert "TEMP B-TREE FOR ORDER BY" not in plan, plan


FILTERS = {
    "user_email": "person7@example.org",
    "action": FILE_ACTIONS[-3].value,
    "folder_slug": "folder-3",
    "target_id": "target-77",
    "start_date": (timezone.now() - timedelta(days=200)).date().isoformat(),
    "end_date": (timezone.now() - timedelta(days=20)).date().isoformat(),
}
# A page reads at most about 2,000 of the 20,000 rows: those of one filter, those of the chart's 30 days, or the
# newest until it is full.
FEW = 3_000


def selects(client, address, query):
    """The SELECT statements on the log that a page sends."""
    with CaptureQueriesContext(connection) as asked:
        assert client.get(address, query).status_code == 200
    statements = [one["sql"] for one in asked.captured_queries]
    return [sql for sql in statements if sql.lstrip("(").startswith("SELECT") and 'FROM "audit_event"' in sql]


def faults_on_sqlite(sql):
    """The faults of a statement's query plan."""
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN QUERY PLAN {sql}")
        lines = [row[3] for row in cursor.fetchall()]
    # The index gives the order by time. Only rows of the same instant are sorted ("FOR RIGHT PART OF ORDER BY").
    faults = [line for line in lines if "SCAN audit_event" in line or "B-TREE FOR ORDER BY" in line]
    if "UNION ALL" in sql:
        # The chart's counts: each one must search its day by the index.
        faults += [line for line in lines if "audit_event" in line and "created_at>? AND created_at<?" not in line]
    return faults


def faults_on_postgresql(sql):
    """The faults of the plan on PostgreSQL, which also tells how many rows the statement read."""
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) {sql}")
        nodes, looked_at, faults = [cursor.fetchone()[0][0]["Plan"]], 0, []
    while nodes:
        node = nodes.pop()
        nodes += node.get("Plans", [])
        if "Relation Name" in node:
            left_out = node.get("Rows Removed by Filter", 0) + node.get("Rows Removed by Index Recheck", 0)
            looked_at += (node["Actual Rows"] + left_out) * node["Actual Loops"]
            faults += ["Seq Scan"] if node["Node Type"] == "Seq Scan" else []
    return [*faults, *([f"{looked_at} rows"] if looked_at > FEW else [])]


@pytest.mark.both
def test_every_filter_and_pair_of_filters_is_served_by_an_index_wherever_it_is_asked(many, boss):
    assert_every_filter_walks_an_index()
    faults_of = faults_on_sqlite if connection.vendor == "sqlite" else faults_on_postgresql
    faults = {}
    # The page sends one query for its rows and one for the chart's thirty days.
    for address, count in (("/audit/", 2), ("/api/admin/logs", 1), ("/api/fileshare/audit-logs", 1)):
        for names in [pair for size in range(3) for pair in combinations(FILTERS, size)]:
            statements = selects(boss, address, {name: FILTERS[name] for name in names})
            assert len(statements) == count
            if found := [fault for sql in statements for fault in faults_of(sql)]:
                faults[address, *names] = found

    assert faults == {}
