"""Lists make a fixed number of queries, and their pages give every row once."""

import base64
import datetime as dt
import json
import uuid

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from rest_framework.serializers import ModelSerializer

from fileshare import folders
from fileshare.api.serializers import FileSerializer, TrashedFileSerializer
from fileshare.models import File, Folder, PermissionType, Subfolder, Tag, Upload
from tests.factories import CompanyFactory, UserFactory, grant, store_file
from tests.fileshare.helpers import content

API_LISTS = [
    "/api/fileshare/folders",
    "/api/fileshare/folders/{folder}/files",
    "/api/fileshare/folders/{folder}/files?subfolder_id=root",
    "/api/client/files",
    "/api/users/me/files",
    "/api/fileshare/uploads",
    "/api/files/trash",
    "/api/files/search?q=txt&type=txt",
    "/api/files/tags?q=tag",
]
PAGES = ["/", "/fileshare/", "/fileshare/baobab-files/", "/files/", "/files/trash/", "/search?q=txt"]
MOMENT = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)


def add_files(folder, count, *, user=None, at=None, subfolder=None, **facts):
    """Add files without bytes: a list reads rows only."""
    rows = []
    for number in range(count):
        pk = uuid.uuid4()
        rows.append(
            File(
                pk=pk,
                folder=folder,
                subfolder=subfolder,
                filename=f"{pk}.txt",
                size_bytes=1,
                content_type="text/plain",
                object_key=f"files/{folder.slug}/{pk}/a.txt",
                uploaded_by=user or UserFactory(),
                uploaded_at=at or MOMENT + dt.timedelta(seconds=number),
                **facts,
            )
        )
    return File.objects.bulk_create(rows)


def fill(count, people, folder):
    """Add `count` of everything that a list shows, each with related rows of its own."""
    user = people["uploader"]
    subfolders = [Subfolder.objects.create(folder=folder, name=f"S{n}", slug=f"s-{n}") for n in range(count)]
    tags = [Tag.objects.create(name=f"tag {number}") for number in range(3)]
    files = add_files(folder, count, user=user)
    files += add_files(folder, count)
    files += add_files(folder, count, user=user, subfolder=subfolders[0])
    now = timezone.now()
    trashed = add_files(folder, count, user=user, subfolder=subfolders[0], deleted_at=now, deleted_by=people["super"])
    # `count` versions of one name, and as many files with names of their own.
    for file in files[:count]:
        add_files(folder, 1, user=user)
        File.objects.filter(pk=file.pk).update(filename="same.txt")
    for file in files + trashed:
        file.tags.set(tags)
    for number in range(count):
        other = Folder.objects.create(name=f"F{number}", slug=f"f-{number}", company=CompanyFactory())
        grant(other, "download", user=user)
        grant(other, "upload", user=user)
        Subfolder.objects.create(folder=other, name="S", slug="s")
        add_files(other, 1, user=user)
        Upload.objects.create(
            folder=other,
            subfolder=other.subfolders.get(),
            filename="a.txt",
            size_bytes=1,
            content_type="text/plain",
            object_key=f"files/{other.slug}/a.txt",
            uploaded_by=user,
            expires_at=timezone.now() + dt.timedelta(hours=1),
        )


def queries_of(client, address):
    with CaptureQueriesContext(
        connection,
    ) as queries:
        answer = client.get(address)
        content(answer)
    assert answer.status_code == 200
    return [query["sql"] for query in queries if not query["sql"].startswith(("SAVEPOINT", "RELEASE"))]


@pytest.mark.parametrize("address", [*API_LISTS, *PAGES])
def test_a_list_asks_as_many_queries_for_thirty_rows_as_for_three(address, people, company_folder, api_as, page_as):
    folders.personal_folder(people["uploader"])
    client = api_as("uploader") if address in API_LISTS else page_as("uploader")
    address = address.format(folder=company_folder.pk)
    counted = []
    for count in (3, 30):
        for row in (Upload, File):
            row.objects.all().delete()
        Folder.objects.filter(slug__startswith="f-").delete()
        Subfolder.objects.filter(folder=company_folder).delete()
        Tag.objects.all().delete()
        fill(count, people, company_folder)
        counted.append(queries_of(client, address))

    few, many = counted
    assert len(few) == len(many), "\n".join(many)
    # One query finds the user of an API call; two find the session and the user of a page.
    most = 1 + 5 if client.__class__.__name__ == "APIClient" else 2 + 10
    assert len(many) <= most, "\n".join(many)


def test_where_people_only_upload_nobody_s_file_hides_another_s(page_as, people, inbox):
    grant(inbox, PermissionType.UPLOAD, user=people["stranger"])
    own = store_file(user=people["client"], folder=inbox, filename="offer.txt", content=b"first")
    store_file(user=people["stranger"], folder=inbox, filename="offer.txt", content=b"second")

    for path in (f"/fileshare/{inbox.slug}/", "/files/"):
        page = page_as("client").get(path).content.decode()
        assert str(own.pk) in page
        assert "versions" not in page


@pytest.mark.parametrize("kind", ["json", "page"])
def test_each_file_is_listed_whole(kind, people, company_folder, api_as, page_as):
    fill(3, people, company_folder)

    if kind == "json":
        rows = api_as("uploader").get(f"/api/fileshare/folders/{company_folder.pk}/files").json()["results"]
        assert len(rows) == 12
        assert {len(row["tags"]) for row in rows} == {0, 3}
        assert all(row["can_delete"] is (row["uploaded_by"]["id"] == str(people["uploader"].pk)) for row in rows)
    else:
        rows = page_as("uploader").get("/fileshare/baobab-files/").context["page"].results
        assert sorted(row.version_count for row in rows)[-1] == 3
        assert len(rows) == 1 + 3 + 3


@pytest.mark.parametrize("serializer", [FileSerializer, TrashedFileSerializer])
def test_a_row_is_spelled_out_as_its_fields_would(serializer, people, company_folder):
    fill(3, people, company_folder)
    rows = list(File.objects.with_details(people["uploader"]))
    fields = type(serializer.__name__, (serializer,), {"to_representation": ModelSerializer.to_representation})

    # The serializer leaves out `sent_as` and `note` when they are empty.
    spelled = [
        {name: value for name, value in row.items() if name not in ("sent_as", "note") or value}
        for row in fields(rows, many=True).data
    ]
    assert len(rows) > 10
    assert serializer(rows, many=True).data == spelled


# --- Pages --------------------------------------------------------------------------------------------


@pytest.fixture
def many(people, company_folder):
    """The ids of 23 files, newest first; eleven of them have the same time."""
    add_files(company_folder, 6)
    add_files(company_folder, 11, at=MOMENT + dt.timedelta(hours=1))
    add_files(company_folder, 6, at=None)
    return [str(pk) for pk in File.objects.order_by("-uploaded_at", "-pk").values_list("pk", flat=True)]


def walk(api, address, direction="next"):
    pages = []
    while address:
        answer = api.get(address)
        assert answer.status_code == 200
        pages.append(answer.json())
        address = pages[-1][direction]
        assert len(pages) < 100
    return pages


def ids(page):
    return [row["id"] for row in page["results"]]


@pytest.mark.both
@pytest.mark.parametrize("limit", [1, 2, 5, 22, 23, 24, 500])
@pytest.mark.parametrize("address", ["/api/fileshare/folders/{}/files", "/api/client/files?x={}"])
def test_walking_gives_every_row_once(address, limit, many, api_as, company_folder):
    address = address.format(company_folder.pk)
    address += f"{'&' if '?' in address else '?'}limit={limit}"

    pages = walk(api_as("colleague"), address)

    assert [pk for page in pages for pk in ids(page)] == many
    assert all(len(page["results"]) == limit for page in pages[:-1])
    assert pages[0]["previous"] is None
    assert pages[-1]["next"] is None


@pytest.mark.both
@pytest.mark.parametrize("limit", [1, 4, 11, 22])
def test_walking_back_gives_the_same_rows(limit, many, api_as, company_folder):
    api = api_as("colleague")
    there = walk(api, f"/api/fileshare/folders/{company_folder.pk}/files?limit={limit}")

    back = walk(api, there[-1]["previous"], "previous")

    seen = [pk for page in reversed(back) for pk in ids(page)]
    assert seen + ids(there[-1]) == many
    again = walk(api, back[-1]["next"])
    assert [pk for page in again for pk in ids(page)] == many[len(ids(back[-1])) :]


def test_new_rows_do_not_shift_the_pages(many, people, company_folder, api_as):
    api = api_as("colleague")
    first = api.get(f"/api/fileshare/folders/{company_folder.pk}/files?limit=10").json()
    fresh = add_files(company_folder, 3, at=MOMENT + dt.timedelta(days=1))
    File.objects.filter(pk=many[5]).delete()

    rest = walk(api, first["next"])

    assert [pk for page in rest for pk in ids(page)] == many[10:]
    newer = api.get(rest[0]["previous"]).json()
    assert set(ids(newer)).isdisjoint(many[10:])
    assert fresh


def test_the_neighbours_keep_the_other_parameters(many, company_folder, api_as):
    page = api_as("colleague").get(f"/api/fileshare/folders/{company_folder.pk}/files?limit=5&subfolder_id=root").json()

    assert "subfolder_id=root" in page["next"]
    assert "limit=5" in page["next"]
    assert page["next"].startswith("http://testserver/api/fileshare/folders/")


def test_a_list_has_a_hundred_rows_unless_asked_otherwise(people, company_folder, api_as):
    add_files(company_folder, 101)

    page = api_as("colleague").get("/api/client/files").json()

    assert len(page["results"]) == 100
    assert page["next"]


def cursor(*facts):
    return base64.urlsafe_b64encode(json.dumps(facts).encode()).decode().rstrip("=")


AT, PK = MOMENT.isoformat(), str(uuid.UUID(int=7))


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=501",
        "limit=-1",
        "limit=x",
        "limit=1.5",
        "limit=%D9%A3",
        "limit=99999999999",
        "limit=%00",
        "cursor=x",
        "cursor=%00",
        "cursor=%F0%9F%98%80",
        "cursor==",
        "cursor=" + "a" * 301,
        "cursor=" + "W" * 300,
        "cursor=" + cursor(),
        "cursor=" + cursor("x", AT, PK),
        "cursor=" + cursor("n", "soon", PK),
        "cursor=" + cursor("n", "2026-03-01T12:00:00", PK),
        "cursor=" + cursor("n", AT, "no id"),
        "cursor=" + cursor("n", AT, None),
        "cursor=" + cursor("n", AT, []),
        "cursor=" + cursor("n", AT, {}),
        "cursor=" + cursor("n", AT, -1),
        "cursor=" + cursor("n", 7, PK),
        "cursor=" + cursor("n", None, PK),
        "cursor=" + cursor([], AT, PK),
        "cursor=" + cursor("n", "0001-01-01T00:00:00+14:00", PK),
        "cursor=" + cursor("n", "9999-12-31T23:59:59-14:00", PK),
        "cursor=" + base64.urlsafe_b64encode(b'{"a": 1, "b": 2, "c": 3}').decode(),
        "cursor=" + base64.urlsafe_b64encode(b"7").decode(),
        "cursor=" + base64.urlsafe_b64encode(b"[" * 200).decode(),
    ],
)
def test_a_bad_cursor_or_limit_is_refused(query, company_folder, api_as):
    for address in (f"/api/fileshare/folders/{company_folder.pk}/files", "/api/client/files", "/api/fileshare/uploads"):
        answer = api_as("uploader").get(f"{address}?{query}")
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid")
