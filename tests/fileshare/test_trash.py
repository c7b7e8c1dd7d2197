"""The trash: a deleted file is out of reach, counted, restored within its days, and then purged."""

import datetime as dt
import uuid

import pytest
from django.db import connection
from django.utils import timezone

from audit.models import Event
from fileshare import files, folders, tasks
from fileshare.models import File, FolderPermission
from fileshare.outgoing import downloads
from fileshare.storage import get_store
from tests.factories import FolderFactory, SubfolderFactory, store_file
from tests.fileshare.helpers import REAL_TRANSACTIONS, at_once, content, refusal, space

START = dt.datetime(2031, 5, 1, 12, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)
TRASH = "/api/files/trash"
JSON = {"Accept": "application/json"}


def in_trash_of(api):
    return [row["id"] for row in api.get(TRASH).json()["results"]]


def restore_by_page(client, pk):
    return client.post(f"/files/{pk}/restore")


def restore_by_api(client, pk):
    return client.post(f"/api/files/{pk}/restore")


def purge_by_page(client, pk):
    return client.post(f"/files/{pk}/purge")


def purge_by_api(client, pk):
    return client.delete(f"{TRASH}/{pk}")


RESTORE = [restore_by_page, restore_by_api]
PURGE = [purge_by_page, purge_by_api]


@pytest.fixture
def deleted(people, report):
    """The report, in the trash."""
    return files.delete(user=people["uploader"], file_id=report.pk)


# --- Out of reach -------------------------------------------------------------------------------------


def test_a_deleted_file_is_there_for_nobody_and_still_counts(people, company_folder, deleted, api_as, page_as):
    for who in ("uploader", "colleague", "super"):
        api = api_as(who)
        assert api.get(f"/api/files/{deleted.pk}").status_code == 404
        assert api.patch(f"/api/files/{deleted.pk}", {"filename": "new.docx"}).status_code == 404
        assert api.get(f"/api/files/{deleted.pk}/download").status_code == 404
        assert api.get(f"/api/client/download/{deleted.pk}").status_code == 404
        assert api.post(f"/api/fileshare/download/{deleted.pk}").status_code == 404
        assert api.get("/api/client/files").json()["results"] == []
        assert api.get(f"/api/fileshare/folders/{company_folder.pk}/files").json()["results"] == []
        assert page_as(who).get(f"/files/{deleted.pk}/").status_code == 404
        assert list(page_as(who).get("/").context["recent_files"]) == []
    assert page_as("uploader").get("/files/").context["page"].results == []
    assert api_as("uploader").get("/api/users/me/files").json()["results"] == []
    assert get_store().head(deleted.object_key) is not None
    assert space(company_folder) == (deleted.size_bytes, 0)
    row = File.objects.get()
    assert row.deleted_by == people["uploader"]


@pytest.mark.local
def test_links_die_with_the_file_and_live_again_after_its_return(people, report, page_as, api_as):
    reader = page_as("colleague")
    link = downloads.link_for(user=people["colleague"], file_id=report.pk)
    url = downloads.presigned_url(user=people["colleague"], file_id=report.pk)
    whole = content(reader.get(link))
    assert content(reader.get(url)) == whole

    files.delete(user=people["uploader"], file_id=report.pk)
    assert refusal(reader.get(link, headers=JSON)) == (404, "not_found")
    assert refusal(reader.get(url, headers=JSON)) == (404, "not_found")
    files.restore(user=people["uploader"], file_id=report.pk)

    assert content(reader.get(link)) == whole
    assert content(reader.get(url)) == whole


def test_an_archive_takes_nothing_from_the_trash(people, company_folder, report, api_as):
    kept = store_file(user=people["uploader"], folder=company_folder, filename="kept.txt", content=b"kept")
    api, body = api_as("colleague"), {"file_ids": [str(report.pk), str(kept.pk)]}
    first = api.post("/api/fileshare/download/bulk", body)
    again = first["Link"].split(">")[0].lstrip("<").removeprefix("http://testserver")
    content(first)
    files.delete(user=people["uploader"], file_id=report.pk)

    answer = api.post("/api/fileshare/download/bulk", body)

    assert refusal(answer) == (404, "not_found")
    assert answer.json()["errors"] == {"file_ids": [str(report.pk)]}
    assert refusal(api.get(again)) == (404, "not_found")
    partial = api.post("/api/fileshare/download/bulk", {**body, "partial": True})
    assert str(report.pk).encode() in content(partial)


def test_an_uploader_does_not_put_back_what_a_super_took_out(api_as, people, report):
    files.delete(user=people["super"], file_id=report.pk)

    assert api_as("uploader").post(f"/api/files/{report.pk}/restore").status_code == 404
    assert api_as("uploader").get("/api/files/trash").json()["results"] == []
    assert api_as("super").post(f"/api/files/{report.pk}/restore").status_code == 200


def test_a_version_in_the_trash_is_no_version(people, company_folder, page_as):
    old, middle, new = (
        store_file(user=people["uploader"], folder=company_folder, filename="plan.txt", content=b"%d" % number)
        for number in range(3)
    )
    browser = page_as("colleague")

    files.delete(user=people["uploader"], file_id=new.pk)
    line = browser.get("/fileshare/baobab-files/").context["page"].results
    assert [(row.pk, row.version_count) for row in line] == [(middle.pk, 2)]
    assert [row.pk for row in browser.get(f"/files/{old.pk}/").context["versions"]] == [middle.pk, old.pk]
    files.restore(user=people["uploader"], file_id=new.pk)

    line = browser.get("/fileshare/baobab-files/").context["page"].results
    assert [(row.pk, row.version_count) for row in line] == [(new.pk, 3)]


# --- Restored -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("ask", RESTORE)
@pytest.mark.parametrize(
    ("who", "status"),
    [("uploader", None), ("super", None), ("colleague", 404), ("stranger", 404), ("client", 404), ("ops", 404)],
)
def test_a_file_is_restored_by_whoever_may_delete_it(ask, who, status, deleted, page_as, company_folder, people):
    response = ask(page_as(who), deleted.pk)

    row = File.objects.get()
    if status:
        assert response.status_code == status
        assert row.deleted_at is not None
    else:
        assert response.status_code in (200, 302)
        assert (row.deleted_at, row.deleted_by) == (None, None)
        event = Event.objects.get(action="restore")
        assert (event.actor, event.target_id, event.folder_slug) == (people[who], str(deleted.pk), "baobab-files")
    assert row.expires_at == deleted.expires_at
    assert space(company_folder) == (deleted.size_bytes, 0)


def test_a_restored_file_is_shown_as_it_was(report, api_as):
    api = api_as("uploader")
    before = api.get(f"/api/files/{report.pk}").json()
    api.delete(f"/api/files/{report.pk}")

    assert api.post(f"/api/files/{report.pk}/restore").json() == before
    assert api.get(f"/api/files/{report.pk}").json() == before
    assert in_trash_of(api) == []


@pytest.mark.parametrize("ask", [restore_by_api, purge_by_api])
@pytest.mark.parametrize(
    ("who", "answer"),
    [
        ("uploader", (409, "not_in_trash")),
        ("super", (409, "not_in_trash")),
        ("colleague", (403, "permission_denied")),
        ("stranger", (404, "not_found")),
        (None, (401, "not_authenticated")),
    ],
)
def test_a_file_that_was_not_deleted_is_not_in_the_trash(ask, who, answer, report, api_as):
    assert refusal(ask(api_as(who), report.pk)) == answer
    assert File.objects.kept().get() == report


@pytest.mark.parametrize("ask", [restore_by_api, purge_by_api])
@pytest.mark.parametrize("pk", ["00000000-0000-4000-8000-000000000000", "no-id", "1", "%00", "a" * 300])
def test_ids_of_no_file(ask, pk, api_as):
    assert refusal(ask(api_as("super"), pk)) == (404, "not_found")


def test_who_lost_the_folder_restores_no_more(people, company_folder, deleted, api_as):
    FolderPermission.objects.filter(user=people["uploader"]).delete()

    assert in_trash_of(api_as("uploader")) == []
    assert refusal(restore_by_api(api_as("uploader"), deleted.pk)) == (404, "not_found")
    assert refusal(purge_by_api(api_as("uploader"), deleted.pk)) == (404, "not_found")


def test_the_owner_of_a_personal_folder_restores_what_a_super_deleted(people, api_as):
    folder = folders.personal_folder(people["client"])
    file = store_file(user=people["client"], folder=folder, filename="notes.txt", content=b"words")
    files.delete(user=people["super"], file_id=file.pk)

    assert in_trash_of(api_as("client")) == [str(file.pk)]
    assert restore_by_api(api_as("client"), file.pk).status_code == 200


@REAL_TRANSACTIONS
def test_restored_many_times_at_once_it_comes_back_once(people, report, api_as):
    files.delete(user=people["uploader"], file_id=report.pk)
    apis = [api_as("uploader") for _ in range(5)]

    answers = at_once(5, lambda number: restore_by_api(apis[number], report.pk).status_code)

    assert sorted(answers) == [200] + [409] * 4
    assert Event.objects.filter(action="restore").count() == 1


# --- Deleted for good ---------------------------------------------------------------------------------


@pytest.mark.parametrize("ask", PURGE)
@pytest.mark.parametrize(
    ("who", "status"), [("uploader", None), ("super", None), ("colleague", 404), ("stranger", 404), ("ops", 404)]
)
def test_a_file_is_purged_by_whoever_may_delete_it(ask, who, status, deleted, page_as, company_folder, people, commits):
    with commits():
        response = ask(page_as(who), deleted.pk)

    if status:
        assert response.status_code == status
        assert File.objects.filter(pk=deleted.pk).exists()
        assert get_store().head(deleted.object_key) is not None
        assert space(company_folder) == (deleted.size_bytes, 0)
    else:
        assert response.status_code in (204, 302)
        assert not File.objects.exists()
        assert get_store().head(deleted.object_key) is None
        assert space(company_folder) == (0, 0)
        event = Event.objects.get(action="purge")
        assert (event.actor, event.target_id, event.size_bytes) == (people[who], str(deleted.pk), deleted.size_bytes)
        assert refusal(restore_by_api(page_as(who), deleted.pk)) == (404, "not_found")
        assert refusal(purge_by_api(page_as(who), deleted.pk)) == (404, "not_found")


@REAL_TRANSACTIONS
def test_purged_and_restored_at_once_one_of_both_happens(people, company_folder, api_as):
    rows = [
        files.delete(
            user=people["uploader"],
            file_id=store_file(user=people["uploader"], folder=company_folder, filename="a.txt", content=b"a").pk,
        )
        for _ in range(4)
    ]
    apis = [api_as("uploader") for _ in range(8)]

    def act(number):
        ask = restore_by_api if number % 2 else purge_by_api
        return ask(apis[number], rows[number // 2].pk).status_code

    answers = at_once(8, act)

    for purged, restored in zip(answers[::2], answers[1::2], strict=True):
        assert (purged, restored) in ((204, 404), (409, 200))
    kept = File.objects.count()
    assert kept == answers.count(200)
    assert space(company_folder) == (kept, 0)
    assert len(list(get_store().list())) == kept


# --- After its days -----------------------------------------------------------------------------------


@pytest.mark.local
def test_after_seven_days_it_is_gone(people, company_folder, api_as, time_machine, commits):
    time_machine.move_to(START, tick=False)
    file = store_file(user=people["uploader"], folder=company_folder)
    files.delete(user=people["uploader"], file_id=file.pk)
    time_machine.move_to(START + 7 * DAY - dt.timedelta(seconds=1), tick=False)
    assert tasks.remove_expired_files() == 0
    assert in_trash_of(api_as("uploader")) == [str(file.pk)]
    time_machine.move_to(START + 7 * DAY, tick=False)

    # It is out of the trash before a worker has purged it.
    assert in_trash_of(api_as("uploader")) == []
    assert refusal(restore_by_api(api_as("uploader"), file.pk)) == (404, "not_found")
    with commits():
        assert tasks.remove_expired_files() == 1
        assert tasks.remove_expired_files() == 0

    assert not File.objects.exists()
    assert get_store().head(file.object_key) is None
    assert space(company_folder) == (0, 0)
    event = Event.objects.get(action="purge")
    assert (event.actor, event.target_name) == (None, file.filename)


def test_the_days_are_a_setting(people, report, time_machine, settings):
    settings.TRASH_LIFETIME = 2 * DAY
    time_machine.move_to(timezone.now(), tick=False)
    files.delete(user=people["uploader"], file_id=report.pk)
    time_machine.shift(2 * DAY)

    assert tasks.remove_expired_files() == 1


@pytest.mark.local
def test_its_own_day_comes_in_the_trash_as_well(people, company_folder, api_as, time_machine, commits):
    time_machine.move_to(START, tick=False)
    file = store_file(user=people["uploader"], folder=company_folder)
    time_machine.move_to(START + 28 * DAY, tick=False)
    api = api_as("uploader")
    api.delete(f"/api/files/{file.pk}")
    (row,) = api.get(TRASH).json()["results"]
    assert row["purge_at"] == row["expires_at"] == "2031-05-31T12:00:00Z"
    time_machine.move_to(START + 30 * DAY, tick=False)
    api = api_as("uploader")

    assert in_trash_of(api) == []
    assert refusal(restore_by_api(api, file.pk)) == (404, "not_found")
    with commits():
        assert tasks.remove_expired_files() == 1
    assert space(company_folder) == (0, 0)
    assert [event.action for event in Event.objects.filter(target_id=str(file.pk))][:2] == ["expired", "delete"]


@pytest.mark.local
def test_a_restored_file_keeps_its_day(people, company_folder, time_machine):
    time_machine.move_to(START, tick=False)
    file = store_file(user=people["uploader"], folder=company_folder)
    files.delete(user=people["uploader"], file_id=file.pk)
    time_machine.move_to(START + 5 * DAY, tick=False)

    assert files.restore(user=people["uploader"], file_id=file.pk).expires_at == START + 30 * DAY
    time_machine.move_to(START + 30 * DAY, tick=False)
    assert tasks.remove_expired_files() == 1


@REAL_TRANSACTIONS
def test_two_workers_purge_each_file_once(people, company_folder):
    """Four files were in the trash long enough, two expired there, two expired in the folder, two must stay."""
    rows = [
        store_file(user=people["uploader"], folder=company_folder, filename="a.txt", content=b"%d" % number)
        for number in range(10)
    ]
    now = timezone.now()
    for row, (deleted_at, expires_at) in zip(
        rows,
        [(now - 7 * DAY, None)] * 4 + [(now - DAY, now - DAY)] * 2 + [(None, now - DAY)] * 2 + [(now - DAY, None)] * 2,
        strict=True,
    ):
        File.objects.filter(pk=row.pk).update(deleted_at=deleted_at, expires_at=expires_at)

    counts = at_once(2, lambda number: tasks.remove_expired_files())

    assert sum(counts) == 8
    assert set(File.objects.values_list("pk", flat=True)) == {row.pk for row in rows[8:]}
    assert space(company_folder) == (2, 0)
    assert Event.objects.filter(action="purge").count() == 4
    assert Event.objects.filter(action="expired").count() == 4
    assert {key for key, _size, _modified in get_store().list()} == {row.object_key for row in rows[8:]}


def test_a_row_that_is_both_expired_and_forgotten_goes_once(people, company_folder, report):
    past = timezone.now() - 8 * DAY
    File.objects.update(deleted_at=past, expires_at=past)

    assert tasks.remove_expired_files() == 1
    assert space(company_folder) == (0, 0)


# --- The list -----------------------------------------------------------------------------------------


def test_the_trash_tells_when_a_file_was_deleted_and_when_it_goes(people, report, api_as, time_machine):
    time_machine.move_to(report.uploaded_at.replace(microsecond=0) + DAY, tick=False)
    api = api_as("uploader")
    file = api.get(f"/api/files/{report.pk}").json()
    api.delete(f"/api/files/{report.pk}")

    (row,) = api.get(TRASH).json()["results"]

    now = timezone.now()
    assert row == {
        **file,
        "deleted_at": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "purge_at": (now + 7 * DAY).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


def test_everybody_sees_their_own_trash_and_a_super_all_of_it(people, company_folder, deleted, api_as, page_as):
    own = folders.personal_folder(people["client"])
    notes = store_file(user=people["client"], folder=own, filename="notes.txt", content=b"words")
    files.delete(user=people["client"], file_id=notes.pk)
    seen = {"uploader": [deleted.pk], "client": [notes.pk], "super": [notes.pk, deleted.pk], "colleague": []}

    for who, rows in seen.items():
        assert in_trash_of(api_as(who)) == [str(pk) for pk in rows]
        assert [row.pk for row in page_as(who).get("/files/trash/").context["page"].results] == rows


def test_the_trash_comes_in_pages_last_deleted_first(people, company_folder, api_as):
    rows = [
        store_file(user=people["uploader"], folder=company_folder, filename="a.txt", content=b"%d" % number)
        for number in range(7)
    ]
    order = [3, 0, 6, 1, 5, 2, 4]
    for number in order:
        files.delete(user=people["uploader"], file_id=rows[number].pk)

    ids, address = [], f"{TRASH}?limit=3"
    while address:
        page = api_as("uploader").get(address).json()
        assert len(page["results"]) <= 3
        ids += [row["id"] for row in page["results"]]
        address = page["next"]

    assert ids == [str(rows[number].pk) for number in reversed(order)]
    assert refusal(api_as("uploader").get(f"{TRASH}?limit=0")) == (400, "invalid")
    assert refusal(api_as("uploader").get(f"{TRASH}?cursor=x")) == (400, "invalid")


def test_the_page_restores_and_purges_and_says_so(people, company_folder, page_as):
    below = SubfolderFactory(folder=company_folder, slug="reports", name="Reports")
    first, second = (
        store_file(user=people["uploader"], folder=company_folder, subfolder=below, filename=name, content=b"words")
        for name in ("<b>.txt", "second.txt")
    )
    browser = page_as("uploader")
    for file in (first, second):
        browser.post(f"/files/{file.pk}/delete")

    shown = browser.get("/files/trash/").content.decode()
    assert f'formaction="/files/{first.pk}/restore"' in shown
    assert f'formaction="/files/{first.pk}/purge"' in shown
    assert f"{File.objects.get(pk=first.pk).purge_at:%-d %b %Y}" in shown
    restored = browser.post(f"/files/{first.pk}/restore", follow=True)
    assert restored.redirect_chain == [("/files/trash/", 302)]
    where = '<a href="/fileshare/baobab-files/reports/">Reports</a>'
    assert f"“&lt;b&gt;.txt” is back in {where}." in restored.content.decode()
    purged = browser.post(f"/files/{second.pk}/purge", follow=True)

    assert "“second.txt” was deleted for good." in purged.content.decode()
    assert "The trash is empty" in purged.content.decode()


def test_the_trash_is_found_from_my_files_and_from_folders(page_as, company_folder):
    link = 'href="/files/trash/"'

    assert link in page_as("uploader").get("/files/").content.decode()
    assert link in page_as("uploader").get("/fileshare/baobab-files/").content.decode()
    assert link not in page_as("colleague").get("/fileshare/baobab-files/").content.decode()


@pytest.mark.parametrize("place", ["file_live_in_folder", "file_live_in_root", "file_live_in_subfolder", "file_trash"])
def test_lists_walk_an_index_that_holds_no_other_rows(place, people, company_folder):
    user = people["uploader"]
    folder = folders.visible_folder(user=user, folder_id=company_folder.pk)
    below, other = SubfolderFactory.create_batch(2, folder=company_folder)
    live = File.objects.in_folder(folder, user).order_by("-uploaded_at", "-pk")
    rows = {
        "file_live_in_folder": live,
        "file_live_in_root": live.filter(subfolder=None),
        "file_live_in_subfolder": live.filter(subfolder=below),
        "file_trash": File.objects.restorable_by(user).order_by("-deleted_at", "-pk"),
    }[place]
    places = [folder, *FolderFactory.create_batch(9)]
    # Enough rows, in the trash and out of it, for the planner to choose by the indexes alone.
    moments = [START + dt.timedelta(minutes=n) for n in range(2000)]
    File.objects.bulk_create(
        File(
            id=uuid.uuid4(),
            folder=places[n % 10],
            subfolder={0: None, 1: below}.get(n // 10 % 8, other),
            filename=f"{n}.txt",
            size_bytes=1,
            object_key=f"{n}",
            uploaded_by=user,
            uploaded_at=moment,
            deleted_at=moment + DAY if n // 10 % 3 == 2 else None,
        )
        for n, moment in enumerate(moments)
    )
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE; SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off")
            cursor.execute("SET LOCAL enable_sort = off")

    plan = rows.with_details(user)[:101].explain()

    assert place in plan
    assert "TEMP B-TREE" not in plan


# --- The day it goes ----------------------------------------------------------------------------------


@pytest.mark.local
def test_the_day_a_file_goes_and_the_folder_s_rule_are_shown(people, company_folder, page_as, time_machine):
    time_machine.move_to(START, tick=False)
    file = store_file(user=people["uploader"], folder=company_folder)
    browser = page_as("colleague")

    row = " ".join(browser.get("/fileshare/baobab-files/").content.decode().split())
    assert "Files are kept for 30 days, then deleted." in row
    assert 'Goes on</small> <time datetime="2031-05-31T12:00:00+00:00" data-plain>31 May 2031</time>' in row
    assert "31 May 2031, 12:00" in browser.get(f"/files/{file.pk}/").content.decode()
    folders.change_folder(user=people["super"], folder_id=company_folder.pk, retention_days=None)

    assert "Files are kept" not in browser.get("/fileshare/baobab-files/").content.decode()
    assert "Stays until somebody deletes it" in browser.get(f"/files/{file.pk}/").content.decode()


# --- The admin ----------------------------------------------------------------------------------------


def test_the_admin_lists_what_lies_in_folders_and_keeps_a_subfolder_with_trash(people, company_folder, client):
    below = SubfolderFactory(folder=company_folder, slug="reports")
    file = store_file(user=people["uploader"], folder=company_folder, subfolder=below, filename="below.docx")
    client.force_login(people["super"])
    assert "below.docx" in client.get("/admin/fileshare/file/").content.decode()

    files.delete(user=people["uploader"], file_id=file.pk)

    assert "below.docx" not in client.get("/admin/fileshare/file/").content.decode()
    form = {
        "name": company_folder.name,
        "slug": company_folder.slug,
        "description": "",
        "company": str(company_folder.company_id),
        "type_policy": "general",
        "retention_days": "30",
        "quota_bytes": str(company_folder.quota_bytes),
        "subfolders-TOTAL_FORMS": 1,
        "subfolders-INITIAL_FORMS": 1,
        "subfolders-0-id": str(below.pk),
        "subfolders-0-folder": str(company_folder.pk),
        "subfolders-0-name": below.name,
        "subfolders-0-slug": below.slug,
        "subfolders-0-DELETE": "on",
        "permissions-TOTAL_FORMS": 0,
        "permissions-INITIAL_FORMS": 0,
    }
    response = client.post(f"/admin/fileshare/folder/{company_folder.pk}/change/", form)

    assert response.status_code == 200
    assert "below.docx" in response.content.decode()
    assert company_folder.subfolders.get() == below
