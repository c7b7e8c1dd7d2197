"""The ops pages: unfinished uploads, who has downloaded what, reminders, refusals, traffic."""

import datetime as dt
import threading
import time
from datetime import timedelta

import pytest
import time_machine
from django.core.cache import cache
from django.core.exceptions import PermissionDenied
from django.db import connection
from django.http import Http404
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.contributions.actions import Action as AccountAction
from accounts.models import User
from accounts.notices import preferences
from audit.log import record
from audit.models import Event
from config.errors import Conflict, Refused
from fileshare import files, folders
from fileshare.contributions.actions import Action
from fileshare.desk import ops, traffic
from fileshare.incoming import uploads
from fileshare.models import File, Folder, FolderPermission, Upload
from fileshare.outgoing import downloads
from tests.factories import CompanyFactory, FolderFactory, UserFactory, grant, store_file
from tests.fileshare.test_lists import add_files

pytestmark = pytest.mark.django_db
PAGES = ["/ops/", "/ops/uploads/", "/ops/files/", "/ops/clients/", "/ops/refusals/"]


def begin(user, folder, name="later.docx", size=1000):
    place = uploads.Place(folder)
    return uploads.initiate(user=user, place=place, filename=name, size_bytes=size, content_type="")


def fetch(user, file):
    """Record a download in the log."""
    return record(Action.DOWNLOAD, user=user, target=file, folder=file.folder, size_bytes=file.size_bytes)


def row_of(rows, user):
    return next(row for row in rows if row.user == user)


def waiting_of(by, client, **kwargs):
    return ops.waiting([client], user=by, **kwargs)[0][0]


# --- Whose folders ------------------------------------------------------------------------------------


def test_ops_watch_the_shared_folders_they_may_upload_to(people, company_folder, documents):
    folders.personal_folder(people["uploader"])

    assert set(Folder.objects.watched_by(people["uploader"])) == {company_folder, documents}
    assert set(Folder.objects.watched_by(people["ops"])) == {documents}


def test_a_super_watches_all_and_an_upload_grant_alone_nothing(people, company_folder, inbox):
    folders.personal_folder(people["client"])

    assert set(Folder.objects.watched_by(people["super"])) == set(Folder.objects.all())
    assert not Folder.objects.watched_by(people["client"]).exists()


def test_readers_and_reach_are_the_other_side_of_downloadable_by(people, company_folder, documents, inbox, role):
    grant(inbox, "download", user=people["stranger"])
    grant(inbox, "download", role=role("client"))
    grant(FolderFactory(), "download", company=people["stranger"].company)
    grant(FolderFactory(), "upload", company=people["stranger"].company)
    everybody = list(User.objects.filter(is_superuser=False))
    rows = Folder.objects.filter(owner=None)

    reach = rows.reach([user for user in everybody if user.is_active])

    for user in everybody:
        may = set(rows.downloadable_by(user).values_list("pk", flat=True))
        assert reach.get(user.pk, set()) == may
        for folder in rows:
            readers = Folder.objects.filter(pk=folder.pk).readers()
            assert readers.filter(pk=user.pk).exists() is (folder.pk in may)


def test_clients_are_neither_ops_nor_super_nor_unproved_nor_off(people, company_folder):
    UserFactory(company=company_folder.company, email_verified_at=None)
    UserFactory(company=company_folder.company, roles=["super"], is_superuser=True)

    assert list(Folder.objects.filter(pk=company_folder.pk).clients()) == [people["colleague"]]


@pytest.mark.parametrize("path", PAGES)
def test_the_pages_are_for_ops_and_supers(path, page_as, people, report):
    assert page_as(None).get(path)["Location"].startswith("/login")
    assert page_as("colleague").get(path).status_code == 403
    assert page_as("uploader").get(path).status_code == 200


def test_the_way_there_is_shown_to_ops_alone(page_as, people):
    assert b'href="/ops/"' in page_as("ops").get("/").content
    assert b'href="/ops/"' in page_as("super").get("/").content
    assert b'href="/ops/"' not in page_as("colleague").get("/").content


# --- Uploads on their way -----------------------------------------------------------------------------


def test_the_queue_holds_what_comes_into_the_watched_folders(page_as, people, company_folder, inbox):
    begin(people["uploader"], company_folder, "mine.docx")
    begin(people["super"], company_folder, "theirs.docx")
    begin(people["client"], inbox, "elsewhere.docx")

    page = page_as("uploader").get("/ops/uploads/").content.decode()

    assert "mine.docx" in page
    assert "theirs.docx" in page
    assert "elsewhere.docx" not in page
    assert page.count("/give-up") == 1


def test_an_upload_that_should_be_over_is_called_stalled(page_as, people, company_folder):
    begin(people["uploader"], company_folder)
    assert b"Stalled</span>" not in page_as("super").get("/ops/").content

    with time_machine.travel(timezone.now() + timedelta(hours=2), tick=False):
        page = page_as("super").get("/ops/").content

    assert b"Stalled</span>" in page


def test_a_large_upload_is_given_the_time_it_takes(people, company_folder):
    upload = begin(people["uploader"], company_folder, "large.zip", size=2 * 2**30)

    with time_machine.travel(timezone.now() + timedelta(hours=3), tick=False):
        assert not upload.is_stalled
    with time_machine.travel(timezone.now() + timedelta(hours=4), tick=False):
        assert upload.is_stalled


def test_ones_own_upload_is_given_up_and_recorded(page_as, people, company_folder):
    upload = begin(people["uploader"], company_folder)

    response = page_as("uploader").post(f"/ops/uploads/{upload.pk}/give-up")

    assert response["Location"] == "/ops/uploads/"
    assert not Upload.objects.exists()
    company_folder.refresh_from_db()
    assert company_folder.reserved_bytes == 0
    assert Event.objects.get(action=Action.UPLOAD_ABORTED).actor == people["uploader"]


def test_anybodys_upload_is_given_up_by_a_super_and_by_nobody_else(people, company_folder):
    grant(company_folder, "upload", user=people["ops"])
    upload = begin(people["uploader"], company_folder)

    for who in ("ops", "colleague", "off"):
        with pytest.raises(Http404):
            uploads.give_up(user=people[who], file_id=upload.pk)
    uploads.give_up(user=people["super"], file_id=upload.pk)

    event = Event.objects.get(action=Action.UPLOAD_ABORTED)
    assert (event.actor, event.detail["uploader"]) == (people["super"], "uploader@example.org")


# --- Who has fetched what -----------------------------------------------------------------------------


def test_a_download_counts_by_a_link_and_in_a_zip(page_as, people, company_folder, report):
    other = store_file(user=people["uploader"], folder=company_folder)
    colleague = people["colleague"]
    assert waiting_of(people["uploader"], colleague).missing == 2

    zipped = page_as("colleague").post("/files/download.zip", {"file_ids": [str(report.pk)]})
    assert b"".join(zipped.streaming_content).startswith(b"PK")
    linked = page_as("colleague").get(downloads.link_for(user=colleague, file_id=other.pk))

    assert linked.status_code in (200, 302)
    rows, count = ops.fetched([report, other], folder=company_folder)
    assert count == 1
    assert [(row.count, [user for user, _when in row.yes]) for row in rows] == [(1, [colleague])] * 2
    assert waiting_of(people["uploader"], colleague).missing == 0


def test_looking_and_asking_for_a_link_is_no_download(people, company_folder, report):
    downloads.link_for(user=people["colleague"], file_id=report.pk)
    record(Action.PREVIEW, user=people["colleague"], target=report, folder=company_folder)

    rows, _count = ops.fetched([report], folder=company_folder)

    assert (rows[0].yes, rows[0].no) == ([], [people["colleague"]])


def test_a_file_with_many_clients_tells_numbers_and_its_page_the_names(
    monkeypatch, page_as, people, company_folder, report
):
    monkeypatch.setattr("fileshare.desk.ops.NAMED_CLIENTS", 2)
    crowd = [UserFactory(company=company_folder.company, name=f"Person {number}") for number in range(3)]
    fetch(crowd[0], report)
    fetch(crowd[0], report)
    fetch(people["super"], report)

    rows, count = ops.fetched([report], folder=company_folder)

    assert (rows[0].count, rows[0].yes, rows[0].no, count) == (1, None, None, 4)
    page = page_as("uploader").get(f"/ops/files/{report.pk}/").content.decode()
    assert page.count("Not yet") == 3
    assert "1 of 4" in page_as("uploader").get("/ops/files/?folder=baobab-files").content.decode()


@pytest.mark.parametrize("path", ["/ops/files/?folder=nothing", "/ops/clients/?folder=nothing"])
def test_a_folder_that_is_not_watched_is_not_there(path, page_as, people, inbox):
    assert page_as("uploader").get(path).status_code == 404
    assert page_as("uploader").get(path.replace("nothing", "inbox")).status_code == 404


@pytest.mark.parametrize(
    "query",
    [
        "folder=%00",
        "q=%00",
        "q=%25",
        "limit=0",
        "limit=x",
        "offset=-1",
        "offset=99999999",
        "cursor=x",
        "folder=" + "x" * 900,
    ],
)
@pytest.mark.parametrize("path", PAGES)
def test_an_odd_query_is_the_askers_mistake(path, query, page_as, people, report):
    assert page_as("uploader").get(f"{path}?{query}").status_code in (200, 400, 404)


def test_a_file_somebody_may_not_know_of_is_not_there(page_as, people, company_folder, inbox):
    foreign = store_file(user=people["client"], folder=inbox)

    assert page_as("uploader").get(f"/ops/files/{foreign.pk}/").status_code == 404


def test_who_only_uploads_to_a_folder_sees_their_own_files_alone(page_as, people, inbox):
    grant(inbox, "upload", user=people["ops"])
    store_file(user=people["client"], folder=inbox, filename="theirs.docx")
    store_file(user=people["ops"], folder=inbox, filename="mine.docx")

    for path in ("/ops/", "/ops/files/?folder=inbox"):
        page = page_as("ops").get(path).content.decode()
        assert "mine.docx" in page
        assert "theirs.docx" not in page


def test_clients_are_found_by_name_and_counted_by_folder(page_as, people, company_folder, report):
    special = FolderFactory(name="Special", slug="special")
    grant(special, "upload", user=people["uploader"])
    grant(special, "download", user=people["colleague"])
    store_file(user=people["uploader"], folder=special)

    client = waiting_of(people["uploader"], people["colleague"])
    page = page_as("uploader").get("/ops/clients/?q=COLLEAGUE").content.decode()

    assert [(row.folder.name, row.missing, row.count) for row in client.folders] == [
        ("Baobab", 1, 1),
        ("Special", 1, 1),
    ]
    assert page.count('class="note ops-client"') == 1
    assert "2 files not fetched" in page
    only = waiting_of(people["uploader"], people["colleague"], folder=special)
    assert [row.folder for row in only.folders] == [special]


def test_old_deleted_and_own_files_do_not_wait(people, company_folder, report):
    grant(company_folder, "upload", user=people["colleague"])
    store_file(user=people["colleague"], folder=company_folder)
    files.delete(user=people["uploader"], file_id=store_file(user=people["uploader"], folder=company_folder).pk)
    add_files(company_folder, 1, user=people["uploader"], at=timezone.now() - timedelta(days=31))

    assert waiting_of(people["uploader"], people["colleague"]).missing == 1
    assert ops.unfetched(people["colleague"], company_folder) == [report]


# --- Reminding ----------------------------------------------------------------------------------------


def nudge(by, folder, client):
    return ops.nudge(user=by, folder_id=folder.pk, client_id=client.pk)


def test_a_reminder_names_the_files_in_the_clients_language(people, company_folder, report, outbox, commits):
    colleague = people["colleague"]
    User.objects.filter(pk=colleague.pk).update(language="sw")
    store_file(user=people["uploader"], folder=company_folder, filename="second.docx")

    with commits():
        assert nudge(people["uploader"], company_folder, colleague) == "now"

    (letter,) = [mail for mail in outbox() if "Baobab" in mail.subject]
    assert letter.to == ["colleague@example.org"]
    assert "report.docx" in letter.body
    assert "second.docx" in letter.body
    assert "/fileshare/baobab-files/" in letter.body
    assert "List-Unsubscribe" in letter.extra_headers
    assert 'lang="sw"' in letter.alternatives[0][0]
    event = Event.objects.get(action=Action.CLIENT_NUDGED)
    assert (event.actor, event.target_id, event.detail["files"]) == (people["uploader"], str(colleague.pk), 2)
    assert colleague.notifications.get(type="files_waiting").payload["waiting"] == 2


def test_once_a_day_for_each_client_and_folder(people, company_folder, report):
    special = FolderFactory(slug="special")
    grant(special, "upload", user=people["uploader"])
    grant(special, "download", user=people["colleague"])
    store_file(user=people["uploader"], folder=special)
    nudge(people["uploader"], company_folder, people["colleague"])

    with pytest.raises(Conflict) as refusal:
        nudge(people["super"], company_folder, people["colleague"])
    assert 86_390 < refusal.value.retry_after <= 86_400
    nudge(people["uploader"], special, people["colleague"])
    with time_machine.travel(timezone.now() + timedelta(hours=25), tick=False):
        nudge(people["uploader"], company_folder, people["colleague"])

    assert Event.objects.filter(action=Action.CLIENT_NUDGED).count() == 3


def test_what_was_fetched_since_is_left_out_and_nothing_left_sends_nothing(
    people, company_folder, report, outbox, commits
):
    with commits():
        nudge(people["uploader"], company_folder, people["colleague"])
        fetch(people["colleague"], report)

    assert not [mail for mail in outbox() if "Baobab" in mail.subject]
    with time_machine.travel(timezone.now() + timedelta(hours=25), tick=False), pytest.raises(Conflict):
        nudge(people["uploader"], company_folder, people["colleague"])


@pytest.mark.parametrize("wish", ["digest", "off"])
def test_a_client_who_wants_no_such_mail_gets_none(wish, people, company_folder, report, outbox, commits):
    preferences.choose(user=people["colleague"], wishes={"files_waiting": wish})

    with commits():
        assert nudge(people["uploader"], company_folder, people["colleague"]) == wish

    assert not outbox()
    assert people["colleague"].notifications.get(type="files_waiting").for_digest is (wish == "digest")


def test_only_clients_of_a_watched_folder_are_reminded_and_only_by_ops(people, company_folder, inbox, report):
    for who in ("stranger", "off", "ops", "super"):
        with pytest.raises(Http404):
            nudge(people["uploader"], company_folder, people[who])
    with pytest.raises(Http404):
        nudge(people["ops"], company_folder, people["colleague"])
    with pytest.raises(PermissionDenied):
        nudge(people["client"], company_folder, people["colleague"])

    assert not Event.objects.filter(action=Action.CLIENT_NUDGED).exists()


def test_the_button_reminds_and_then_says_when(page_as, people, company_folder, report):
    page = page_as("uploader")
    address = f"/ops/folders/{company_folder.pk}/clients/{people['colleague'].pk}/nudge"
    assert address in page.get("/ops/clients/").content.decode()

    first = page.post(address, {"back": "/ops/clients/?q=colleague"}, follow=True).content.decode()
    again = page.post(address, {"back": "https://elsewhere.example/"}, follow=True).content.decode()

    assert "A reminder is on its way." in first
    assert "reminded" in first
    assert address not in first
    assert "within the last day" in again


@pytest.mark.parametrize("back", ["foo", "https://elsewhere.example/", "//elsewhere.example", "/a\nb", ""])
def test_after_a_reminder_no_back_leads_elsewhere(page_as, people, company_folder, report, back):
    address = f"/ops/folders/{company_folder.pk}/clients/{people['colleague'].pk}/nudge"

    answer = page_as("uploader").post(address, {"back": back})

    assert (answer.status_code, answer["Location"]) == (302, "/ops/clients/")


def test_reminders_are_limited(page_as, settings, people, company_folder, report):
    settings.RATELIMIT_ENABLE, settings.RATE_LIMITS = True, {**settings.RATE_LIMITS, "letters": "1/d"}
    address = f"/ops/folders/{company_folder.pk}/clients/{people['colleague'].pk}/nudge"
    page = page_as("uploader")

    assert [page.post(address).status_code for _time in range(2)] == [302, 429]


# --- Refusals and traffic -----------------------------------------------------------------------------


def test_refusals_of_the_watched_folders_are_told_with_their_reason(page_as, people, company_folder, inbox):
    for user, folder in ((people["uploader"], company_folder), (people["client"], inbox)):
        with pytest.raises(Refused):
            begin(user, folder, f"{folder.slug}.exe")

    page = page_as("uploader").get("/ops/refusals/").content.decode()

    assert "baobab-files.exe" in page
    assert "they could do harm" in page
    assert "inbox.exe" not in page
    assert "inbox.exe" in page_as("super").get("/ops/refusals/").content.decode()


@pytest.mark.both
@pytest.mark.local
def test_traffic_counts_by_day_what_came_what_went_and_what_lay_there(people, company_folder):
    Folder.objects.filter(pk=company_folder.pk).update(created_at=dt.datetime(2026, 3, 1, tzinfo=dt.UTC))
    with time_machine.travel(dt.datetime(2026, 3, 10, 12, tzinfo=dt.UTC), tick=False):
        first = store_file(user=people["uploader"], folder=company_folder)
        fetch(people["colleague"], first)
    with time_machine.travel(dt.datetime(2026, 3, 11, 12, tzinfo=dt.UTC), tick=False):
        second = store_file(user=people["uploader"], folder=company_folder)
        store_file(user=people["super"], folder=FolderFactory())
        files.delete(user=people["uploader"], file_id=first.pk)
        files.purge(user=people["uploader"], file_id=first.pk)
        rows = traffic.by_day(people["uploader"], days=3)

    assert [row["day"].day for row in rows] == [9, 10, 11]
    assert [row["uploads"] for row in rows] == [0, 1, 1]
    assert [row["uploaded"] for row in rows] == [0, first.size_bytes, second.size_bytes]
    assert [(row["downloads"], row["downloaded"]) for row in rows] == [(0, 0), (1, first.size_bytes), (0, 0)]
    assert [row["stored"] for row in rows] == [0, first.size_bytes, second.size_bytes]


def test_who_watches_no_folder_sees_empty_pages(page_as, people, report):
    FolderPermission.objects.all().delete()
    assert not Folder.objects.watched_by(people["ops"]).exists()
    page = page_as("ops")

    assert [page.get(path).status_code for path in PAGES] == [200] * len(PAGES)
    assert "report.docx" not in page.get("/ops/").content.decode()


def test_the_charts_have_their_numbers_in_a_table(page_as, people, report):
    page = page_as("uploader").get("/ops/").content.decode()

    assert page.count("<svg viewBox") == 2
    assert "Uploads, downloads and what was stored by day" in page
    assert page.count('<th scope="row">') == ops.DAYS


def test_a_folder_that_took_anothers_slug_does_not_take_over_its_past(people, role):
    before = FolderFactory(slug="shared")
    record(Action.UPLOAD_REFUSED, user=people["client"], folder=before, code="zip_bomb", filename="theirs.docx")
    record(Action.DOWNLOAD, user=people["client"], folder=before, size_bytes=5)
    Folder.objects.filter(pk=before.pk).delete()
    after = FolderFactory(slug="shared")
    grant(after, "upload", user=people["ops"])
    assert traffic.by_day(people["ops"], days=1)[0]["downloads"] == 0

    record(Action.UPLOAD_REFUSED, user=people["ops"], folder=after, code="zip_bomb", filename="mine.docx")
    record(Action.DOWNLOAD, user=people["client"], folder=after, size_bytes=7)
    cache.clear()

    refused = ops.refusals(people["ops"])
    assert [event.detail["filename"] for event in refused] == ["mine.docx"]
    assert traffic.by_day(people["ops"], days=1)[0]["downloaded"] == 7
    assert ops.refusals(people["super"]).count() == 2


def test_somebody_who_changed_their_address_has_still_fetched_what_they_fetched(people, company_folder, report):
    colleague = people["colleague"]
    fetch(colleague, report)
    for address in ("second@example.org", "third@example.org"):
        old, colleague.email = colleague.email, address
        colleague.save()
        record(AccountAction.EMAIL_CHANGED, user=colleague, old_email=old)

    assert waiting_of(people["uploader"], colleague).missing == 0
    assert ops.unfetched(colleague, company_folder) == []


@pytest.mark.both
def test_one_counts_the_traffic_while_others_wait_or_get_an_older_answer():
    def never():
        raise AssertionError

    # Another request is counting for the first time: this one waits for its answer.
    cache.add("some:counting", True, 60)
    found = []
    waiting = threading.Thread(target=lambda: found.append(traffic._kept("some", never)))
    waiting.start()
    cache.set("some", (time.time() - 1, ["old"]), 60)
    waiting.join(30)
    # The answer is too old, and another request is counting: this one gets the old answer.
    meanwhile = traffic._kept("some", never)
    cache.delete("some:counting")
    counted = traffic._kept("some", lambda: ["new"])

    assert (found, meanwhile, counted) == ([["old"]], ["old"], ["new"])
    assert traffic._kept("some", never) == ["new"]
    assert cache.add("some:counting", True, 1)


# --- Cost ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("who", ["uploader", "super"])
def test_a_page_costs_the_same_queries_however_much_there_is(who, page_as, people, company_folder, report, role):
    client = page_as(who)
    paths = [*PAGES, "/ops/files/?folder=baobab-files", f"/ops/files/{report.pk}/"]

    def more():
        for _number in range(2):
            other = FolderFactory(company=CompanyFactory())
            grant(other, "upload", user=people["uploader"])
            grant(other, "download", user=people["uploader"])
            grant(company_folder, "download", user=UserFactory(roles=["client"]))
            person = UserFactory(company=company_folder.company)
            for folder in (other, company_folder):
                for file in add_files(folder, 2, at=timezone.now()):
                    fetch(person, file)
                begin(people["uploader"], folder)
                record(Action.UPLOAD_REFUSED, user=UserFactory(), folder=folder, code="zip_bomb", filename="x.docx")

    def queries(path):
        cache.clear()
        with CaptureQueriesContext(connection) as captured:
            assert client.get(path).status_code == 200
        return [query["sql"] for query in captured]

    more()
    queries(paths[0])
    few = {path: queries(path) for path in paths}
    more()
    more()

    for path in paths:
        many = queries(path)
        assert len(many) == len(few[path]), "\n".join([path, *many])
        assert len(many) <= 20, path


def test_what_everybody_else_fetched_is_not_read_to_answer_for_a_page_of_clients(people, company_folder, report):
    with CaptureQueriesContext(connection) as captured:
        ops.waiting([people["colleague"]], user=people["uploader"])
        ops.unfetched(people["colleague"], company_folder)

    asked = [query["sql"] for query in captured if "audit_event" in query["sql"] and "'download'" in query["sql"]]
    assert len(asked) == 2
    for sql in asked:
        condition = sql.partition("WHERE")[2]
        assert '"actor_email" IN' in condition
        assert '"target_id" IN' not in condition


@pytest.mark.both
@pytest.mark.postgres
def test_the_log_is_read_by_its_indexes_alone(people, company_folder, report):
    def plan(rows):
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL enable_seqscan = off")
        return rows.explain()

    # With only a few rows in the log, the planner could choose any index.
    others = [Event(action="download", target_id=f"other-{number}") for number in range(3000)]
    Event.objects.bulk_create(others)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE audit_event")
    assert "event_by_target" in plan(ops.downloads_of([report]).filter(actor__in=[people["colleague"].pk]))
    assert "Seq Scan on audit_event" not in plan(ops.refusals(people["uploader"]))
    assert File.objects.exists()
