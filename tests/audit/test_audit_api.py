"""Reading the log by API: supers only, with filters, in pages."""

from datetime import UTC, datetime

import pytest
from django.db.models import Q

from accounts.contributions.actions import Action
from audit import addresses, triggers
from audit.actions import ACTIONS
from audit.log import record
from audit.models import Event
from fileshare.contributions.actions import FILE_ACTIONS
from fileshare.contributions.actions import Action as FileAction
from fileshare.outgoing import archives
from tests.factories import store_file

pytestmark = pytest.mark.django_db
ALL, FILES = "/api/admin/logs", "/api/fileshare/audit-logs"
BOTH = pytest.mark.parametrize("path", [ALL, FILES])


@pytest.fixture
def boss(api_as):
    return api_as("super")


@pytest.fixture
def downloads(people, company_folder):
    """One download a day from 1 to 5 March 2026 at noon UTC, by uploader and colleague in turn; oldest first."""
    rows = []
    for day in range(1, 6):
        user = people[("colleague", "uploader")[day % 2]]
        row = record(FileAction.DOWNLOAD, user=user, folder=company_folder if day < 5 else None, size_bytes=day)
        rows.append(row)
    with triggers.lifted():
        for day, row in enumerate(rows, start=1):
            Event.objects.filter(pk=row.pk).update(created_at=datetime(2026, 3, day, 12, tzinfo=UTC))
    return rows


def days(boss, path=ALL, **filters):
    """The days of the rows in the answer, in its order."""
    response = boss.get(path, filters)
    assert response.status_code == 200, response.json()
    return [row["size_bytes"] for row in response.json()["results"]]


@BOTH
def test_newest_first_with_all_that_is_known(path, boss, downloads, people):
    body = boss.get(path).json()

    assert [row["size_bytes"] for row in body["results"]] == [5, 4, 3, 2, 1]
    assert set(body["results"][0]) == {
        *("id", "action", "user_email", "target_type", "target_id", "target_name", "folder_slug", "size_bytes"),
        *("subfolder_slug", "detail", "ip_address", "user_agent", "request_id", "created_at", "seq", "hash"),
    }
    assert body["results"][0]["user_email"] == "uploader@example.org"


@BOTH
@pytest.mark.parametrize("who", ["client", "colleague", "ops", "uploader"])
def test_only_a_super_reads_it(path, who, api_as, downloads):
    response = api_as(who).get(path)

    assert (response.status_code, response.json()["code"]) == (403, "permission_denied")


def test_the_one_shows_every_action_the_other_those_about_files(boss, people):
    for action in ACTIONS:
        record(action)

    def actions(path):
        return {row["action"] for row in boss.get(path, {"limit": 500}).json()["results"]}

    assert actions(ALL) == set(ACTIONS)
    assert actions(FILES) == set(FILE_ACTIONS)
    assert Action.LOGIN not in actions(FILES)


@BOTH
@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ({"user_email": "colleague@example.org"}, [4, 2]),
        ({"user_email": " COLLEAGUE@Example.org "}, [4, 2]),
        ({"user_email": "COLLEAGUE"}, [4, 2]),
        ({"user_email": "@example.org"}, [5, 4, 3, 2, 1]),
        ({"user_email": "colleague@example.orgs"}, []),
        ({"user_email": "_olleague"}, []),
        ({"user_email": "%"}, []),
        ({"user_email": "c!"}, []),
        ({"action": "download"}, [5, 4, 3, 2, 1]),
        ({"action": "upload"}, []),
        ({"folder_slug": "baobab-files"}, [4, 3, 2, 1]),
        ({"folder_slug": "nowhere"}, []),
        ({"start_date": "2026-03-04"}, [5, 4]),
        ({"end_date": "2026-03-02"}, [2, 1]),
        ({"start_date": "2026-03-02", "end_date": "2026-03-03"}, [3, 2]),
        ({"start_date": "2026-03-03T12:00:00Z"}, [5, 4, 3]),
        ({"end_date": "2026-03-03T12:00:00Z"}, [2, 1]),
        ({"end_date": "2026-03-03T15:00:01+03:00"}, [3, 2, 1]),
        ({"end_date": "2026-03-03T12:00:00"}, [2, 1]),
        ({"start_date": "2026-03-05", "end_date": "2026-03-01"}, []),
        ({"user_email": "colleague@example.org", "folder_slug": "baobab-files", "start_date": "2026-03-03"}, [4]),
        ({"user_email": "", "action": "", "start_date": "", "end_date": ""}, [5, 4, 3, 2, 1]),
        ({"start_date": "0001-01-01", "end_date": "9999-12-30"}, [5, 4, 3, 2, 1]),
        ({"user_email": "' OR 1=1 --"}, []),
    ],
    ids=str,
)
def test_filters_narrow_and_the_end_day_is_included(path, filters, found, boss, downloads):
    assert days(boss, path, **filters) == found


@pytest.mark.both
@BOTH
@pytest.mark.parametrize(("most", "listed"), [(20_000, 20), (20_000, 1), (2, 20)], ids=["few", "many", "strangers"])
def test_a_part_of_an_address_finds_the_same_rows_however_many_have_it(
    path, most, listed, boss, downloads, monkeypatch
):
    monkeypatch.setattr(addresses, "MOST_LISTED", listed)
    monkeypatch.setattr(addresses, "MOST_LOOKED_AT", most)

    assert days(boss, path, user_email="oader@") == [5, 3, 1]
    assert days(boss, path, user_email="e@example.org", action="download") == [4, 2]
    assert days(boss, path, user_email="r", action="download") == [5, 4, 3, 2, 1]


def test_a_whole_address_is_found_by_the_index_however_many_there_are(downloads, monkeypatch):
    monkeypatch.setattr(addresses, "MOST_LOOKED_AT", 2)

    assert addresses.containing("uploader@example.org", using="default") == Q(actor_email="uploader@example.org")
    assert addresses.containing("oader@example", using="default") == Q(actor_email__contains="oader@example")


@BOTH
def test_bulk_download_finds_the_downloads_in_a_zip(path, api_as, boss, people, report, company_folder):
    notes = store_file(user=people["uploader"], folder=company_folder)
    archives.make(user=people["uploader"], file_ids=[report.pk, notes.pk])
    downloads_of_one = record(FileAction.DOWNLOAD, user=people["uploader"], target=report)

    found = boss.get(path, {"action": "bulk_download"}).json()["results"]
    every = boss.get(path, {"action": "download"}).json()["results"]

    assert {row["target_id"] for row in found} == {str(report.pk), str(notes.pk)}
    assert {row["id"] for row in every} == {str(downloads_of_one.pk), *(row["id"] for row in found)}


def test_a_plus_that_became_a_space_is_forgiven(boss, downloads):
    response = boss.get(f"{ALL}?end_date=2026-03-03T15:00:01+03:00")

    assert [row["size_bytes"] for row in response.json()["results"]] == [3, 2, 1]


@BOTH
@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("start_date", "yesterday"),
        ("start_date", "2026-02-30"),
        ("start_date", "2026-13-01"),
        ("start_date", "2026-03-01T25:00:00Z"),
        ("start_date", "0001-01-01T00:00:00+14:00"),
        ("end_date", "9999-12-31T23:59:59-14:00"),
        ("end_date", "9999-12-31"),
        ("end_date", "1"),
        ("end_date", "2026-03-01\x00"),
        ("end_date", "x" * 10_000),
        ("action", "fly"),
        ("action", "DOWNLOAD"),
        ("user_email", "\x00"),
        ("user_email", "x" * 255),
        ("folder_slug", "x" * 101),
        ("limit", "0"),
        ("limit", "501"),
        ("limit", "-1"),
        ("limit", "1.5"),
        ("limit", "ten"),
        ("limit", "٣"),
        ("offset", "-1"),
        ("offset", "1000001"),
        ("offset", "9" * 30),
        ("offset", "x"),
    ],
)
def test_a_filter_that_makes_no_sense_is_named(path, field, value, boss, downloads):
    response = boss.get(path, {field: value})

    assert (response.status_code, response.json()["code"]) == (400, "invalid")
    assert list(response.json()["errors"]) == [field]


def test_pages_by_limit_and_offset_keep_the_filters(boss, downloads):
    url, seen = f"{ALL}?limit=2&action=download", []
    while url:
        body = boss.get(url).json()
        seen.append([row["size_bytes"] for row in body["results"]])
        last, url = body, body["next"]
    assert seen == [[5, 4], [3, 2], [1]]
    assert "action=download" in last["previous"]
    assert [row["size_bytes"] for row in boss.get(last["previous"]).json()["results"]] == [3, 2]
    assert days(boss, limit=2, offset=1, action="download") == [4, 3]
    assert days(boss, offset=1_000_000) == []


def test_no_row_comes_twice_though_each_reading_is_a_row_too(boss, downloads):
    url, seen = f"{ALL}?limit=2", []
    while url:
        body = boss.get(url).json()
        seen += [row["id"] for row in body["results"]]
        url = body["next"]

    assert len(seen) == len(set(seen)) >= 5
    assert Event.objects.filter(action="log_read").count() >= 3


def test_a_hundred_rows_unless_told_and_at_most_five_hundred(boss, people):
    Event.objects.bulk_create([Event(action=Action.LOGIN) for _row in range(501)])

    assert len(boss.get(ALL).json()["results"]) == 100
    assert len(boss.get(ALL, {"limit": 500}).json()["results"]) == 500
