"""Share links to several files and to folders: who makes them, what they show at each opening, how a use is counted."""

import datetime as dt
import io
import json
import re
import zipfile

import pytest
from django.db import IntegrityError, connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import Notification, OutgoingMail
from accounts.notices.kinds import sentence
from accounts.notices.kinds import url as page_of_notice
from audit.models import Event
from fileshare import files, folders, privacy, tasks
from fileshare.models import Archive, File, Folder, FolderPermission, SharedFile, ShareDownload, ShareLink
from fileshare.sharing import redeeming, shares
from tests.factories import FolderFactory, SubfolderFactory, grant, store_file
from tests.fakes import documents
from tests.fileshare.helpers import REAL_TRANSACTIONS, at_once, content, refusal
from tests.store_client import ask_store

pytestmark = pytest.mark.django_db
HOUR, DAY = dt.timedelta(hours=1), dt.timedelta(days=1)
JSON = {"Accept": "application/json"}
HTML = {"Accept": "text/html,application/xhtml+xml"}
TERMS = {"permission": "download", "expires_in": HOUR}


def put(people, folder, name, *, who="uploader", subfolder=None):
    """A text file that holds its own name."""
    return store_file(user=people[who], folder=folder, subfolder=subfolder, filename=name, content=name.encode() * 50)


@pytest.fixture
def three(people, company_folder):
    """a.txt, b.txt and c.txt of the uploader, in the company folder."""
    return [put(people, company_folder, f"{name}.txt") for name in "abc"]


@pytest.fixture
def made(people, three):
    """made(…) is a new link of the uploader to the three files, for an hour."""

    def make(**facts):
        target = {} if "folder_id" in facts else {"file_ids": [file.pk for file in three]}
        return shares.create(**{"user": people["uploader"], **TERMS, **target, **facts})[0]

    return make


@pytest.fixture
def outsider():
    """A visitor without a session; CSRF tokens are checked."""
    return Client(enforce_csrf_checks=True)


def names_at(client, token):
    """The names that the link's JSON tells, sorted."""
    return sorted(file["filename"] for file in client.get(f"/share/{token}", headers=JSON).json()["files"])


def download(client, token, **body):
    return client.post(
        f"/share/{token}/download", json.dumps(body), content_type="application/json", headers={"Accept": "*/*"}
    )


def zip_of(client, answer, **headers):
    """The archive behind the 302 of a spent use."""
    assert answer.status_code == 302, content(answer)
    return client.get(answer["Location"], headers=headers)


def names_in(answer):
    with zipfile.ZipFile(io.BytesIO(content(answer))) as archive:
        assert archive.testzip() is None
        return archive.namelist()


def uses(link):
    return ShareLink.objects.values_list("download_count", flat=True).get(pk=link.pk)


def share(api, **body):
    return api.post("/api/shares", {"permission": "download", "expires_in": 3600, **body})


def ids(rows):
    return [str(row.pk) for row in rows]


# --- Made ---------------------------------------------------------------------------------------------


def test_one_link_to_several_files_is_made_by_script(api_as, three, settings):
    answer = share(api_as("uploader"), file_ids=ids([*three, three[0]]), max_downloads=5)

    body = answer.json()
    assert answer.status_code == 201
    assert list(body) == ["id", "url", "token", "permission", "expires_at", "max_downloads", "carries"]
    assert body["url"] == f"{settings.SITE_URL}/share/{body['token']}"
    assert body["carries"] == {
        "kind": "files",
        "file_count": 3,
        "filenames": ["a.txt", "b.txt", "c.txt"],
        "folder": None,
        "subfolder": None,
    }
    assert "no-store" in answer["Cache-Control"]


def test_a_link_to_one_of_them_is_the_same_as_a_link_to_one_file(api_as, three):
    body = share(api_as("uploader"), file_ids=ids(three[:1])).json()

    assert (body["carries"]["kind"], body["carries"]["file_count"]) == ("file", 1)
    link = ShareLink.objects.get()
    assert (link.file, link.file_count) == (three[0], None)
    assert not SharedFile.objects.exists()


@pytest.mark.parametrize(
    ("who", "status"),
    [("uploader", 201), ("super", 201), ("colleague", 403), ("stranger", 404), ("ops", 404), ("off", 401), (None, 401)],
)
def test_whoever_may_share_each_of_the_files_makes_a_link(who, status, api_as, three):
    assert share(api_as(who), file_ids=ids(three)).status_code == status
    assert ShareLink.objects.exists() is (status == 201)


def test_one_foreign_file_refuses_all_and_is_named(api_as, people, company_folder, three):
    foreign = put(people, company_folder, "foreign.txt", who="super")
    hidden = put(people, FolderFactory(), "hidden.txt", who="super")
    api = api_as("uploader")

    seen = share(api, file_ids=ids([*three, foreign]))
    unseen = share(api, file_ids=ids([*three, foreign, hidden]))

    assert refusal(seen) == (403, "permission_denied")
    assert seen.json()["errors"] == {"file_ids": [str(foreign.pk)]}
    assert "foreign.txt" in seen.json()["detail"]
    assert refusal(unseen) == (404, "not_found")
    assert unseen.json()["errors"] == {"file_ids": [str(hidden.pk)]}
    assert not ShareLink.objects.exists()


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"file_ids": []},
        {"file_ids": ["x"]},
        {"file_ids": [1]},
        {"file_ids": "x"},
        {"file_ids": ["00000000-0000-4000-8000-000000000000"] * 1001},
        {"folder_id": "x"},
        {"folder_id": 1},
        {"subfolder_id": "00000000-0000-4000-8000-000000000000"},
    ],
    ids=lambda body: f"{body!r:.40}",
)
def test_bad_input_makes_nothing(body, api_as, three):
    answer = share(api_as("uploader"), **body)

    assert answer.status_code == 400
    assert not ShareLink.objects.exists()


def test_files_and_a_folder_at_once_are_refused(api_as, three, company_folder):
    both = share(api_as("uploader"), file_ids=ids(three), folder_id=str(company_folder.pk))

    assert both.status_code == 400
    assert not ShareLink.objects.exists()


def test_the_rules_of_each_folder_hold(api_as, people, three):
    strict = FolderFactory(share_password_required=True, share_max_days=2)
    grant(strict, "upload", user=people["uploader"])
    file = put(people, strict, "strict.txt")
    api = api_as("uploader")

    bare = share(api, file_ids=ids([*three, file]))
    long = share(api, file_ids=ids([*three, file]), password="x", expires_in=3 * 86_400)

    assert (*refusal(bare), list(bare.json()["errors"])) == (400, "share_password_required", ["password"])
    assert (*refusal(long), list(long.json()["errors"])) == (400, "share_too_long", ["expires_in"])
    assert share(api, file_ids=ids([*three, file]), password="x", expires_in=2 * 86_400).status_code == 201


def test_a_link_has_one_kind_of_target(made, company_folder, three):
    link = made().link
    for broken in (
        {"file": three[0]},
        {"folder": company_folder},
        {"file_count": None},
        {"file_count": 1},
        {"file_count": 1001},
        {"file_count": None, "file": three[0], "folder": company_folder},
        {"subfolder": SubfolderFactory(folder=company_folder)},
    ):
        with pytest.raises(IntegrityError), transaction.atomic():
            ShareLink.objects.filter(pk=link.pk).update(**broken)


def test_the_log_tells_of_the_link_and_of_each_file(made, three, company_folder):
    link = made(max_downloads=2).link

    rows = Event.objects.filter(action="share_created")
    of_link = rows.get(target_type="sharelink")
    assert (of_link.target_id, of_link.target_name) == (str(link.pk), "a.txt +2")
    assert (of_link.detail["files"], of_link.detail["max_downloads"]) == (3, 2)
    assert sorted(rows.filter(target_type="file").values_list("target_id", flat=True)) == sorted(ids(three))
    assert {row.detail["shares"][0] for row in rows.filter(target_type="file")} == {str(link.pk)}


# --- A folder -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("who", "status"), [("uploader", 201), ("super", 201), ("colleague", 403), ("stranger", 404), (None, 401)]
)
def test_a_folder_is_shared_by_who_may_upload_to_it(who, status, api_as, three, company_folder):
    answer = share(api_as(who), folder_id=str(company_folder.pk))

    assert answer.status_code == status
    if status == 201:
        assert answer.json()["carries"] == {
            "kind": "folder",
            "file_count": None,
            "filenames": [],
            "folder": {"id": str(company_folder.pk), "name": "Baobab"},
            "subfolder": None,
        }


def test_a_company_folder_shows_its_makers_uploads_and_of_a_super_all(made, people, company_folder, outsider):
    put(people, company_folder, "of-super.txt", who="super")
    own, all_ = made(folder_id=company_folder.pk), made(folder_id=company_folder.pk, user=people["super"])

    assert names_at(outsider, own.token) == ["a.txt", "b.txt", "c.txt"]
    assert names_at(outsider, all_.token) == ["a.txt", "b.txt", "c.txt", "of-super.txt"]
    # A super who is none any more shares what they may share now.
    people["super"].is_superuser = False
    people["super"].save()
    assert refusal(outsider.get(f"/share/{all_.token}", headers=JSON)) == (410, "share_blocked")


def test_a_personal_folder_is_shared_whole_by_its_owner_alone(people, api_as, outsider):
    folder = folders.personal_folder(people["client"])
    put(people, folder, "own.txt", who="client")
    put(people, folder, "received.txt", who="super")

    body = share(api_as("client"), folder_id=str(folder.pk)).json()

    assert names_at(outsider, body["token"]) == ["own.txt", "received.txt"]
    assert share(api_as("stranger"), folder_id=str(folder.pk)).status_code == 404


def test_a_folder_shows_what_is_in_it_at_the_time(made, people, company_folder, outsider, three):
    one = made(folder_id=company_folder.pk)
    later = put(people, company_folder, "later.txt")
    files.delete(user=people["uploader"], file_id=three[0].pk)

    assert names_at(outsider, one.token) == ["b.txt", "c.txt", "later.txt"]
    File.objects.filter(pk=later.pk).update(scan_state="infected")
    assert names_at(outsider, one.token) == ["b.txt", "c.txt"]


def test_a_subfolder_shows_its_own_files_only(made, people, company_folder, outsider):
    inner = SubfolderFactory(folder=company_folder, name="Inner", slug="inner")
    put(people, company_folder, "deep.txt", subfolder=inner)
    whole, part = made(folder_id=company_folder.pk), made(folder_id=company_folder.pk, subfolder_id=inner.pk)

    assert names_at(outsider, whole.token) == ["a.txt", "b.txt", "c.txt", "deep.txt"]
    assert names_at(outsider, part.token) == ["deep.txt"]
    # Outsiders need not know what the folder is called.
    assert sorted(names_in(zip_of(outsider, download(outsider, whole.token)))) == [
        "Inner/deep.txt",
        "a.txt",
        "b.txt",
        "c.txt",
    ]
    assert names_in(zip_of(outsider, download(outsider, part.token))) == ["deep.txt"]


def test_a_link_to_a_subfolder_that_is_empty_now_is_told_so_in_lists(made, people, company_folder):
    inner = SubfolderFactory(folder=company_folder)
    file = put(people, company_folder, "deep.txt", subfolder=inner)
    made(folder_id=company_folder.pk, subfolder_id=inner.pk)
    files.delete(user=people["uploader"], file_id=file.pk)

    (link,) = shares.with_states(ShareLink.objects.with_details())
    assert (link.state, shares.state_of(link)) == ("blocked", "blocked")


def test_a_subfolder_of_another_folder_is_not_found(api_as, people, three, company_folder):
    foreign = SubfolderFactory(folder=FolderFactory())
    body = {"folder_id": str(company_folder.pk), "subfolder_id": str(foreign.pk)}

    assert share(api_as("uploader"), **body).status_code == 404


def test_a_folder_in_which_one_may_share_nothing_gets_no_link(api_as, people):
    empty = FolderFactory()
    grant(empty, "upload", user=people["uploader"])
    put(people, empty, "of-super.txt", who="super")

    answer = share(api_as("uploader"), folder_id=str(empty.pk))

    assert refusal(answer) == (400, "nothing_to_share")
    assert not ShareLink.objects.exists()


def test_a_folder_that_is_deleted_takes_its_links_along(made, people, outsider):
    folder = FolderFactory()
    grant(folder, "upload", user=people["uploader"])
    file = put(people, folder, "a.txt")
    one = made(folder_id=folder.pk)
    files.delete(user=people["super"], file_id=file.pk)
    assert refusal(outsider.get(f"/share/{one.token}", headers=JSON)) == (410, "share_blocked")
    files.purge(user=people["super"], file_id=file.pk)

    folders.delete_folder(user=people["super"], folder_id=folder.pk)

    assert outsider.get(f"/share/{one.token}", headers=JSON).status_code == 404


# --- Used ---------------------------------------------------------------------------------------------


def test_the_zip_is_one_use_of_known_length_and_goes_on_where_it_broke_off(outsider, made, three, people):
    one = made(max_downloads=1)
    spent = download(outsider, one.token)

    whole = zip_of(outsider, spent)
    data = content(whole)
    part = zip_of(outsider, spent, Range="bytes=100-199")

    assert spent["Location"].startswith(f"http://testserver/share/{one.token}/archive/")
    assert (whole.status_code, int(whole["Content-Length"])) == (200, len(data))
    assert whole["Content-Type"] == "application/zip"
    assert spent["Location"] in whole["Link"]
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == {
            file.filename: file.filename.encode() * 50 for file in three
        }
    assert (part.status_code, content(part)) == (206, data[100:200])
    assert uses(one.link) == 1
    use = ShareDownload.objects.get()
    assert (use.file, use.file_count) == (None, 3)
    assert set(File.objects.values_list("download_count", flat=True)) == {1}
    rows = Event.objects.filter(action="download")
    assert sorted(rows.values_list("target_id", flat=True)) == sorted(ids(three))
    assert {(row.actor, row.detail["share"], bool(row.detail["bulk"])) for row in rows} == {
        (None, str(one.link.pk), True)
    }
    assert refusal(download(outsider, one.token)) == (410, "share_used_up")


def test_a_single_file_is_one_use_too(outsider, made, three):
    one = made(max_downloads=2)

    answers = [download(outsider, one.token, file_id=str(file.pk)) for file in three]

    assert [answer.status_code for answer in answers] == [302, 302, 410]
    assert content(ask_store("GET", answers[1]["Location"], headers={})) == b"b.txt" * 50
    assert uses(one.link) == 2
    assert sorted(use.file.filename for use in ShareDownload.objects.all()) == ["a.txt", "b.txt"]
    assert sorted(File.objects.values_list("download_count", flat=True)) == [0, 1, 1]


@pytest.mark.parametrize("file_id", ["x", "", "00000000-0000-4000-8000-000000000000"])
def test_a_file_that_is_not_among_them_spends_nothing(file_id, outsider, made):
    one = made(max_downloads=1)

    answer = download(outsider, one.token, file_id=file_id)

    assert answer.status_code == (400 if file_id == "" else 404)
    assert uses(one.link) == 0


def test_another_file_of_the_same_maker_is_not_had_by_the_link(outsider, made, people, company_folder):
    one, other = made(), put(people, company_folder, "other.txt")

    assert download(outsider, one.token, file_id=str(other.pk)).status_code == 404


@pytest.mark.local
def test_a_use_of_one_file_fetches_no_other(outsider, made, three, people):
    one = made()
    spent = download(outsider, one.token, file_id=str(three[0].pk))

    files.delete(user=people["uploader"], file_id=three[0].pk)

    assert ask_store("GET", spent["Location"], headers={}).status_code == 404


@pytest.mark.parametrize("where", ["", "/download"])
@pytest.mark.parametrize("accept", [HTML, JSON])
def test_looking_spends_nothing(where, accept, outsider, made):
    one = made(max_downloads=1)

    for _turn in range(3):
        assert outsider.get(f"/share/{one.token}{where}", headers=accept).status_code == 200

    assert uses(one.link) == 0
    assert not ShareDownload.objects.exists()


def test_the_link_goes_on_for_the_files_that_remain(outsider, made, people, three):
    one = made()
    files.delete(user=people["uploader"], file_id=three[0].pk)
    assert names_at(outsider, one.token) == ["b.txt", "c.txt"]
    files.purge(user=people["uploader"], file_id=three[0].pk)
    File.objects.filter(pk=three[1].pk).update(scan_state="infected", scanned_at=timezone.now())

    assert names_at(outsider, one.token) == ["c.txt"]
    assert names_in(zip_of(outsider, download(outsider, one.token))) == ["c.txt"]
    assert download(outsider, one.token, file_id=str(three[1].pk)).status_code == 404
    files.delete(user=people["uploader"], file_id=three[2].pk)
    assert refusal(outsider.get(f"/share/{one.token}", headers=JSON)) == (410, "share_blocked")
    assert refusal(download(outsider, one.token)) == (410, "share_blocked")


def lose_the_folder(people, folder):
    FolderPermission.objects.filter(user=people["uploader"]).delete()


def lose_the_account(people, folder):
    people["uploader"].is_active = False
    people["uploader"].save()


def lose_the_files(people, folder):
    File.objects.update(scan_state="infected", scanned_at=timezone.now())


def lose_the_time(people, folder):
    File.objects.update(expires_at=timezone.now())


def need_a_password(people, folder):
    Folder.objects.filter(pk=folder.pk).update(share_password_required=True)


def need_a_short_life(people, folder):
    Folder.objects.filter(pk=folder.pk).update(share_max_days=1)


LOSSES = [lose_the_folder, lose_the_account, lose_the_files, lose_the_time, need_a_password, need_a_short_life]


@pytest.mark.parametrize("of_folder", [False, True], ids=["files", "folder"])
@pytest.mark.parametrize("lose", LOSSES, ids=lambda lose: lose.__name__)
def test_a_right_that_is_lost_ends_page_downloads_and_what_is_under_way(
    lose, of_folder, outsider, made, people, company_folder, three, settings
):
    target = {"folder_id": company_folder.pk} if of_folder else {}
    one = made(expires_in=2 * DAY, **target)
    spent = download(outsider, one.token)
    of_one = download(outsider, one.token, file_id=str(three[0].pk))
    assert zip_of(outsider, spent).status_code == 200

    lose(people, company_folder)

    assert refusal(outsider.get(f"/share/{one.token}", headers=JSON)) == (410, "share_blocked")
    assert refusal(download(outsider, one.token)) == (410, "share_blocked")
    assert refusal(download(outsider, one.token, file_id=str(three[0].pk))) == (410, "share_blocked")
    assert zip_of(outsider, spent).status_code == 404
    if settings.STORAGE == "local":  # a bucket asks nobody: its address lives its ten minutes
        assert ask_store("GET", of_one["Location"], headers={}).status_code == 404
    assert uses(one.link) == 2
    # The list, which asks it of many links at once, says the same.
    assert shares.with_states(ShareLink.objects.with_details())[0].state == "blocked"


@pytest.mark.parametrize("password", ["", "x"])
@pytest.mark.parametrize("days", [1, 2, 3])
@pytest.mark.parametrize("rule", [{}, {"share_password_required": True}, {"share_max_days": 2}])
def test_the_rule_in_the_database_and_the_one_for_words_agree(rule, days, password, made, company_folder):
    one = made(expires_in=days * DAY, password=password)
    Folder.objects.filter(pk=company_folder.pk).update(**rule)
    company_folder.refresh_from_db()

    broken = company_folder.share_rules_broken(has_password=bool(password), lifetime=days * DAY)

    (link,) = shares.with_states(ShareLink.objects.with_details())
    assert (link.state == "live") is (shares.state_of(one.link) == "live") is (broken == [])


def test_only_the_files_of_the_folder_with_the_rule_are_left_out(made, outsider, people, three):
    strict = FolderFactory()
    grant(strict, "upload", user=people["uploader"])
    file = put(people, strict, "strict.txt")
    one = made(file_ids=[*(row.pk for row in three), file.pk])
    Folder.objects.filter(pk=strict.pk).update(share_password_required=True)

    assert names_at(outsider, one.token) == ["a.txt", "b.txt", "c.txt"]


def test_revoking_ends_a_zip_under_way(outsider, made, people):
    one = made()
    spent = download(outsider, one.token)

    shares.revoke(user=people["uploader"], share_id=one.link.pk)

    assert zip_of(outsider, spent).status_code == 404
    row = Event.objects.get(action="share_revoked")
    assert (row.target_type, row.target_name) == ("sharelink", "a.txt +2")


def test_a_zip_goes_on_for_ten_minutes(outsider, made, time_machine):
    start = timezone.now().replace(microsecond=0)
    time_machine.move_to(start, tick=False)
    spent = download(outsider, made().token)

    time_machine.move_to(start + dt.timedelta(seconds=599), tick=False)
    assert zip_of(outsider, spent, Range="bytes=10-").status_code == 206
    time_machine.move_to(start + dt.timedelta(seconds=600), tick=False)
    assert zip_of(outsider, spent, Range="bytes=10-").status_code == 410


def test_a_zip_is_had_by_its_own_link_alone(outsider, made, people, api_as):
    one, other = made(), made()
    spent = download(outsider, one.token)
    archive = Archive.objects.get()

    assert outsider.get(spent["Location"].replace(one.token, other.token)).status_code == 404
    assert outsider.get(f"/share/{one.token}/archive/x").status_code == 404
    assert api_as("uploader").get(f"/api/fileshare/download/bulk/{archive.pk}").status_code == 404
    bulk = api_as("uploader").post("/api/fileshare/download/bulk", {"file_ids": ids(File.objects.all())})
    of_user = Archive.objects.get(user=people["uploader"])
    assert bulk.status_code == 200
    assert outsider.get(f"/share/{one.token}/archive/{of_user.pk}").status_code == 404


def test_zips_by_one_link_are_limited_because_each_fills_the_log(outsider, made, people, settings):
    settings.RATELIMIT_ENABLE = True
    settings.RATE_LIMITS = {**settings.RATE_LIMITS, "share_archive": "2/h"}
    one = made()

    answers = [download(outsider, one.token).status_code for _ in range(3)]

    assert answers == [302, 302, 429]
    assert uses(one.link) == 2


def test_too_many_for_one_zip_is_said_and_spends_nothing(outsider, made, company_folder, monkeypatch):
    one = made(folder_id=company_folder.pk, max_downloads=1)
    monkeypatch.setattr("fileshare.outgoing.archives.MAX_FILES", 2)

    assert refusal(download(outsider, one.token)) == (409, "too_many_files")
    assert uses(one.link) == 0
    assert not ShareDownload.objects.exists()
    page = outsider.get(f"/share/{one.token}", headers=HTML).content.decode()
    assert "too many files for one ZIP" in page
    assert "Download all as ZIP" not in page
    assert outsider.get(f"/share/{one.token}", headers=JSON).json()["file_count"] is None


@REAL_TRANSACTIONS
def test_twenty_race_for_seven_uses(people, company_folder):
    rows = [put(people, company_folder, f"{name}.txt") for name in "ab"]
    facts = {**TERMS, "file_ids": [row.pk for row in rows], "max_downloads": 7}
    (one,) = shares.create(user=people["uploader"], **facts)

    def ask(number):
        body = {"file_id": str(rows[0].pk)} if number % 2 else {}
        return download(Client(), one.token, **body).status_code

    assert sorted(at_once(20, ask)) == [302] * 7 + [410] * 13
    assert (uses(one.link), ShareDownload.objects.count()) == (7, 7)


# --- The password -------------------------------------------------------------------------------------


def test_the_password_is_asked_once_for_the_page_and_all_downloads(made, three):
    one = made(password="seven boats")
    visitor = Client(enforce_csrf_checks=True)
    closed = visitor.get(f"/share/{one.token}", headers=HTML).content.decode()
    assert "a.txt" not in closed
    assert visitor.get(f"/share/{one.token}", headers=JSON).json()["files"] is None
    assert refusal(download(visitor, one.token)) == (403, "share_password_required")
    wrong = visitor.post(f"/share/{one.token}/unlock", {"password": "x"}, headers=HTML)
    assert wrong.status_code == 403
    assert "That is not the password" in wrong.content.decode()

    opened = visitor.post(f"/share/{one.token}/unlock", {"password": "seven boats"}, headers=HTML)

    assert opened.status_code == 302
    page = visitor.get(f"/share/{one.token}", headers=HTML).content.decode()
    assert "a.txt" in page
    assert 'type="password"' not in page
    assert names_at(visitor, one.token) == ["a.txt", "b.txt", "c.txt"]
    for body in ({}, {"file_id": str(three[0].pk)}, {}):
        assert download(visitor, one.token, **body).status_code == 302
    # Another visitor has to know it.
    assert download(Client(), one.token).status_code == 403
    assert download(Client(), one.token, password="seven boats").status_code == 302


def test_downloads_after_the_password_are_no_tries(made, settings):
    one = made(password="x")
    visitor = Client()
    visitor.post(f"/share/{one.token}/unlock", {"password": "x"})
    settings.RATELIMIT_ENABLE = True
    settings.RATE_LIMITS = {**settings.RATE_LIMITS, "share_password": "1/d"}

    assert [download(visitor, one.token).status_code for _turn in range(3)] == [302] * 3
    assert [download(Client(), one.token, password="x").status_code for _turn in range(2)] == [302, 429]


# --- To look at ---------------------------------------------------------------------------------------


def test_a_link_to_view_shows_each_file_and_hands_none_over(made, people, company_folder, outsider):
    text = put(people, company_folder, "words.txt")
    picture = store_file(user=people["uploader"], folder=company_folder, filename="plan.png", content=documents.png())
    letter = store_file(user=people["uploader"], folder=company_folder, filename="letter.docx")
    one = made(permission="view", file_ids=[text.pk, picture.pk, letter.pk])

    page = outsider.get(f"/share/{one.token}", headers=HTML).content.decode()
    assert f"/share/{one.token}/preview?file_id={text.pk}" in page
    assert f"preview?file_id={letter.pk}" not in page
    assert "/download" not in page
    look = f"/share/{one.token}/preview?file_id="
    assert "words.txt" * 5 in outsider.get(f"{look}{text.pk}", headers=HTML).content.decode()
    assert outsider.get(f"{look}{picture.pk}").status_code == 200
    assert outsider.get(f"/share/{one.token}/preview").status_code == 404
    assert outsider.get(f"{look}{put(people, company_folder, 'other.txt').pk}").status_code == 404
    assert refusal(download(outsider, one.token)) == (403, "view_only")
    assert refusal(download(outsider, one.token, file_id=str(text.pk))) == (403, "view_only")
    previews = {
        file["filename"]: file["preview"] for file in outsider.get(page_json(one), headers=JSON).json()["files"]
    }
    assert previews == {"words.txt": "text", "plan.png": "image", "letter.docx": None}


def page_json(one):
    return f"/share/{one.token}"


# --- The visitor's page -------------------------------------------------------------------------------


def test_the_page_names_the_files_and_not_where_they_lie(made, people, company_folder, outsider):
    company_folder.name = "Secret matter"
    company_folder.save()
    one = made()

    page = outsider.get(f"/share/{one.token}", headers=HTML).content.decode()

    for word in ("a.txt", "b.txt", "c.txt", "3 files", people["uploader"].name, "Download all as ZIP"):
        assert word in page
    assert "Each button counts as one" in page
    assert "Secret matter" not in page
    assert not re.search(r"<script(?![^>]*src=)|style=|onclick=|<style", page)


def test_the_page_costs_the_same_however_many_files(made, people, company_folder, outsider):
    one = made(folder_id=company_folder.pk)

    def cost(headers):
        with CaptureQueriesContext(connection) as queries:
            assert outsider.get(f"/share/{one.token}", headers=headers).status_code == 200
        return len(queries)

    few = [cost(HTML), cost(JSON)]
    for number in range(20):
        put(people, company_folder, f"more-{number}.txt")
    assert [cost(HTML), cost(JSON)] == few


def test_a_long_list_goes_on_page_by_page(made, people, company_folder, outsider):
    for number in range(4):
        put(people, company_folder, f"more-{number}.txt")
    one = made(folder_id=company_folder.pk)
    address, seen = f"/share/{one.token}?limit=3", []
    while address:
        facts = outsider.get(address, headers=JSON).json()
        seen += [file["filename"] for file in facts["files"]]
        address = facts["next"]

    assert len(seen) == len(set(seen)) == 7
    assert outsider.get(f"/share/{one.token}?cursor=x", headers=JSON).status_code == 400


# --- Lists --------------------------------------------------------------------------------------------


def test_own_links_are_listed_and_ended_by_script(api_as, made, people, company_folder, three):
    several, of_folder = made(), made(folder_id=company_folder.pk)
    of_one = shares.create(user=people["uploader"], file_id=three[0].pk, **TERMS)[0]
    foreign = made(user=people["super"])
    api = api_as("uploader")

    rows = api.get("/api/shares").json()["results"]

    assert [row["id"] for row in rows] == ids([of_one.link, of_folder.link, several.link])
    assert [row["carries"]["kind"] for row in rows] == ["file", "folder", "files"]
    assert [row["state"] for row in rows] == ["live"] * 3
    assert several.token not in json.dumps(rows)
    first = api.get("/api/shares?limit=1").json()
    assert [row["id"] for row in api.get(first["next"]).json()["results"]] == ids([of_folder.link, several.link])[:1]
    answers = [api.delete(f"/api/shares/{link}").status_code for link in (several.link.pk, foreign.link.pk, "x")]
    assert answers == [204, 404, 404]
    assert [row["state"] for row in api.get("/api/shares").json()["results"]] == ["live", "live", "revoked"]


def test_lists_cost_the_same_however_many_links(api_as, page_as, made, people, company_folder, three):
    api, page = api_as("super"), page_as("super")
    addresses = [(api, "/api/shares"), (api, f"/api/files/{three[0].pk}/share"), (page, "/shares/")]
    addresses += [(page, f"/files/{three[0].pk}/"), (page, "/admin/fileshare/sharelink/")]

    def make(times):
        for _turn in range(times):
            for user in ("super", "uploader"):
                made(user=people[user])
                made(user=people[user], folder_id=company_folder.pk)

    def costs():
        found = []
        for client, address in addresses:
            with CaptureQueriesContext(connection) as queries:
                assert client.get(address).status_code == 200, address
            found.append(len(queries))
        return found

    make(1)
    costs()  # some things are asked once only
    few = costs()
    make(5)

    assert costs() == few


def test_a_files_own_list_names_all_links_that_lead_to_it(api_as, page_as, made, people, company_folder, three):
    several, of_folder = made(), made(folder_id=company_folder.pk)
    inner = SubfolderFactory(folder=company_folder)
    put(people, company_folder, "deep.txt", subfolder=inner)
    made(folder_id=company_folder.pk, subfolder_id=inner.pk)
    other = made(file_ids=[row.pk for row in three[1:]])
    api = api_as("uploader")

    rows = api.get(f"/api/files/{three[0].pk}/share").json()["results"]

    assert [row["id"] for row in rows] == ids([of_folder.link, several.link])
    page = page_as("uploader").get(f"/files/{three[0].pk}/").content.decode()
    assert "It leads to: a.txt and 2 more files" in page
    assert "It leads to: Baobab" in page
    assert api.delete(f"/api/files/{three[0].pk}/share/{other.link.pk}").status_code == 404
    assert api.delete(f"/api/files/{three[0].pk}/share/{several.link.pk}").status_code == 204


def test_the_admin_lists_finds_and_ends_them(page_as, made, company_folder):
    several, of_folder = made(), made(folder_id=company_folder.pk)
    page = page_as("super")

    listed = page.get("/admin/fileshare/sharelink/").content.decode()
    assert "a.txt and 2 more files" in listed
    assert page.get("/admin/fileshare/sharelink/?q=b.txt").content.decode().count('class="action-select"') == 1
    for link in (several.link, of_folder.link):
        assert page.get(f"/admin/fileshare/sharelink/{link.pk}/change/").status_code == 200


def test_personal_data_name_what_the_links_carry(made, people, company_folder):
    made()
    made(folder_id=company_folder.pk)

    of_folder, several = privacy.share_links(people["uploader"])

    assert (several["file"], sorted(several["files"])) == (None, ["a.txt", "b.txt", "c.txt"])
    assert (of_folder["folder"], of_folder["files"]) == ("Baobab", [])


# --- Mail and notices ---------------------------------------------------------------------------------


def test_one_letter_names_a_few_files_and_counts_the_rest(made, people, company_folder, outbox):
    names = [f"paper-{number}.txt" for number in range(12)]
    rows = [put(people, company_folder, name) for name in names]

    made(file_ids=[row.pk for row in rows], emails=["amina@example.org", people["colleague"].email])

    letters = outbox()
    assert sorted(letter.to[0] for letter in letters) == ["amina@example.org", people["colleague"].email]
    for text in (letters[0].body, letters[0].alternatives[0][0]):
        assert len(re.findall(r"paper-\d+\.txt", text)) == 5
        assert "and 7 more" in text
    assert "shares files with you" in letters[0].subject
    notice = Notification.objects.get(type="file_shared")
    assert "and 11 more files were shared with you" in sentence(notice.type, notice.payload)


def test_a_letter_waits_for_the_scanner_and_is_dropped_when_nothing_is_left(made, people, three, outbox):
    made(emails=["amina@example.org"])
    File.objects.update(scan_state="waiting", scan_due_at=timezone.now())
    assert outbox() == []
    File.objects.filter(pk=three[1].pk).update(scan_state="clean")
    OutgoingMail.objects.update(next_try_at=timezone.now())

    (letter,) = outbox()
    assert "b.txt" in letter.body
    assert "a.txt" not in letter.body


def test_the_maker_is_told_and_led_to_the_link(made, outsider, company_folder):
    several, of_folder = made(), made(folder_id=company_folder.pk)
    for one in (several, several, of_folder):
        download(outsider, one.token)

    said = {
        sentence(row.type, row.payload): page_of_notice(row.type, row.payload) for row in Notification.objects.all()
    }
    assert set(said.values()) == {f"/shares/{one.link.pk}/" for one in (several, of_folder)}
    assert "Somebody downloaded by your share link to the folder “Baobab”." in said


# --- The maker's pages --------------------------------------------------------------------------------


def test_the_form_makes_one_link_of_the_chosen_files(page_as, three, people):
    page = page_as("uploader")

    form = page.post("/shares/new", {"file_ids": ids(three)}).content.decode()
    assert form.count('name="file_ids"') == 3
    assert "Share 3 files" in form
    answer = page.post("/shares/make", {"file_ids": ids(three), "permission": "download", "expires_in": "3600"})

    link = ShareLink.objects.get()
    assert answer["Location"] == f"/shares/{link.pk}/"
    shown = page.get(answer["Location"]).content.decode()
    (token,) = set(re.findall(r"/share/([\w-]{43})", shown))
    assert Client().get(f"/share/{token}").status_code == 200
    for name in ("a.txt", "b.txt", "c.txt"):
        assert name in shown
    assert token not in page.get(answer["Location"]).content.decode()
    assert "a.txt and 2 more files" in page.get("/shares/").content.decode()
    assert page.post(f"/shares/{link.pk}/revoke")["Location"] == "/shares/"
    assert "it does not work" in page.get(f"/shares/{link.pk}/").content.decode().replace("the link", "it")


def test_the_form_leaves_out_what_may_not_be_shared_and_names_it(page_as, three, people, company_folder):
    foreign = put(people, company_folder, "foreign.txt", who="super")
    chosen = [*ids(three), str(foreign.pk), "00000000-0000-4000-8000-000000000000", "x"]

    form = page_as("uploader").post("/shares/new", {"file_ids": chosen}).content.decode()

    assert form.count('name="file_ids"') == 3
    assert "foreign.txt" in form
    assert "1 of the chosen files is no longer there." in form
    none = page_as("uploader").post("/shares/new", {"file_ids": [str(foreign.pk)]})
    assert none.status_code == 403
    assert page_as("uploader").post("/shares/new").status_code == 400
    forged = {"file_ids": chosen[:4], "permission": "download", "expires_in": "3600"}
    assert page_as("uploader").post("/shares/make", forged).status_code == 400
    assert not ShareLink.objects.exists()


def test_the_form_says_what_a_link_to_the_folder_will_show(page_as, three, company_folder):
    address = f"/shares/new?folder_id={company_folder.pk}"

    assert "only files that you uploaded yourself" in page_as("uploader").get(address).content.decode()
    assert "only files that you uploaded yourself" not in page_as("super").get(address).content.decode()
    assert page_as("colleague").get(address).status_code == 403
    assert page_as("stranger").get(address).status_code == 404
    form = {"folder_id": str(company_folder.pk), "permission": "download", "expires_in": "3600"}
    assert page_as("uploader").post("/shares/make", form).status_code == 302
    assert ShareLink.objects.get().folder == company_folder


def test_the_form_comes_back_with_its_errors(page_as, three, company_folder):
    Folder.objects.filter(pk=company_folder.pk).update(share_password_required=True)
    form = {"file_ids": ids(three), "permission": "download", "expires_in": "3600"}

    answer = page_as("uploader").post("/shares/make", form)

    assert answer.status_code == 400
    assert answer.content.decode().count('name="file_ids"') == 3
    assert not ShareLink.objects.exists()


def test_share_is_offered_where_there_is_something_to_share(page_as, three, company_folder):
    button = 'formaction="/shares/new"'

    assert button in page_as("uploader").get(company_folder.get_absolute_url()).content.decode()
    assert button not in page_as("colleague").get(company_folder.get_absolute_url()).content.decode()


# --- Kept well ----------------------------------------------------------------------------------------


def test_an_erased_maker_takes_the_links_along(made, people, outsider, company_folder):
    one = made()
    made(folder_id=company_folder.pk)
    download(outsider, one.token)

    assert privacy.erase(people["uploader"])

    assert not ShareLink.objects.exists()
    assert not SharedFile.objects.exists()
    assert not Archive.objects.exists()


def test_a_file_deleted_for_good_leaves_the_uses_of_the_others(made, people, outsider, three):
    one = made()
    download(outsider, one.token, file_id=str(three[0].pk))
    files.delete(user=people["uploader"], file_id=three[0].pk)

    files.purge(user=people["uploader"], file_id=three[0].pk)

    use = ShareDownload.objects.get()
    assert (use.file, use.what) == (None, "")
    assert shares.state_of(ShareLink.objects.with_details().get()) == "live"
    assert redeeming.summary(one.link).count == 2


def test_a_link_of_which_no_file_is_left_is_forgotten_after_its_end(made, people, outsider, three, time_machine):
    empty, other = made(), made(file_ids=[put(people, three[0].folder, f"{name}.txt").pk for name in "xy"])
    for file in three:
        files.delete(user=people["uploader"], file_id=file.pk)
        files.purge(user=people["uploader"], file_id=file.pk)

    tasks.remove_expired_files()
    assert refusal(outsider.get(f"/share/{empty.token}", headers=JSON)) == (410, "share_blocked")
    time_machine.move_to(timezone.now() + 2 * HOUR)
    tasks.remove_expired_files()

    assert list(ShareLink.objects.all()) == [other.link]
