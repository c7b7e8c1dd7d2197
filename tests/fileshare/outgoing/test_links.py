"""Encrypted links: which are valid, for whom, how often and how long."""

import datetime as dt
import json

import pytest
from cryptography.fernet import Fernet
from django.db import IntegrityError, connection
from django.db.models.signals import post_save
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts.models import RolePolicy, User
from audit.models import Event
from fileshare.models import File, RedeemedLink
from fileshare.outgoing import downloads, links
from tests.factories import SubfolderFactory, store_file
from tests.fileshare.helpers import REAL_TRANSACTIONS, at_once, content, refusal

pytestmark = pytest.mark.both

JSON = {"Accept": "application/json"}
START = dt.datetime(2031, 5, 1, 12, tzinfo=dt.UTC)


@pytest.fixture
def body():
    from_the_seed = b"".join(number.to_bytes(4, "big") for number in range(2500))
    return b"notes\n" + from_the_seed.hex().encode()


@pytest.fixture
def notes(people, company_folder, body):
    return store_file(user=people["uploader"], folder=company_folder, filename="notes.txt", content=body)


@pytest.fixture
def reader(page_as):
    return page_as("colleague")


def link_of(people, file, *, one_time=False):
    return downloads.link_for(user=people["colleague"], file_id=file.pk, one_time=one_time)


def sealed(settings, **changes):
    facts = {"p": "download", "f": "0" * 32, "u": "0" * 32, "e": 2**33, **changes}
    return Fernet(settings.LINK_KEYS[0]).encrypt(json.dumps(facts).encode()).decode()


# --- Forged -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "token", ["x", "%00", "gAAAAA", "a" * 5000, "%F0%9F%98%80", "%FF%FE", "..", "0", "null", "%20", "-----", "a%0Ab"]
)
def test_garbage_is_no_link(token, reader):
    assert refusal(reader.get(f"/secure-download/{token}", headers=JSON)) == (400, "link_invalid")


@pytest.mark.parametrize("who", ["colleague", None])
def test_a_link_changed_in_one_letter_is_no_link(who, people, notes, page_as):
    link = link_of(people, notes)
    letter = "A" if link[-20] != "A" else "B"

    answer = page_as(who).get(link[:-20] + letter + link[-19:], headers=JSON)

    assert refusal(answer) == (400, "link_invalid")


def test_a_link_under_somebody_elses_key_is_no_link(people, notes, reader, settings):
    token = Fernet(Fernet.generate_key()).encrypt(
        json.dumps({"p": "download", "f": str(notes.pk), "u": str(people["colleague"].pk), "e": 2**33}).encode()
    )

    assert refusal(reader.get(f"/secure-download/{token.decode()}", headers=JSON)) == (400, "link_invalid")


@pytest.mark.parametrize(
    "changes", [{"p": "share"}, {"p": None}, {"f": "no id"}, {"u": None}, {"e": "soon"}, {"f": 7}, {"e": None}]
)
def test_a_token_of_another_purpose_or_shape_is_no_link(changes, reader, settings):
    token = sealed(settings, **changes)

    assert refusal(reader.get(f"/secure-download/{token}", headers=JSON)) == (400, "link_invalid")


@pytest.mark.parametrize("facts", [b"[]", b"7", b"null", b"\xff", b"{}", b""])
def test_a_sealed_something_is_no_link(facts, reader, settings):
    token = Fernet(settings.LINK_KEYS[0]).encrypt(facts).decode()

    assert refusal(reader.get(f"/secure-download/{token}", headers=JSON)) == (400, "link_invalid")


@pytest.mark.local
def test_a_signed_store_url_opens_no_secure_download_and_the_other_way_round(people, notes, reader):
    signed = downloads.presigned_url(user=people["colleague"], file_id=notes.pk)
    link = link_of(people, notes)

    assert reader.get(signed.replace("/store/", "/secure-download/"), headers=JSON).status_code == 400
    assert refusal(reader.get(link.replace("/secure-download/", "/store/"))) == (403, "signature_invalid")


# --- For whom ---------------------------------------------------------------------------------------


def test_nobody_is_asked_to_sign_in(people, notes, page_as):
    link = link_of(people, notes)

    assert refusal(page_as(None).get(link, headers=JSON)) == (401, "not_authenticated")
    page = page_as(None).get(link, headers={"Accept": "text/html"})
    assert page.status_code == 401
    assert page["WWW-Authenticate"] == "Bearer"
    assert b"/login" in page.content


def test_a_file_of_a_subfolder_costs_no_query_more(people, notes, reader, company_folder):
    inside = SubfolderFactory(folder=company_folder)
    filed = store_file(user=people["uploader"], folder=company_folder, subfolder=inside)

    def queries(file):
        link = link_of(people, file)
        with CaptureQueriesContext(connection) as asked:
            assert reader.get(link).status_code == 200
        return len(asked)

    queries(notes)
    assert queries(filed) == queries(notes)


def test_somebody_else_does_not_spend_a_one_time_link(people, notes, page_as, reader, body):
    link = link_of(people, notes, one_time=True)

    assert page_as("super").get(link).status_code == 403
    assert page_as(None).get(link).status_code == 401
    assert Event.objects.filter(action="link_refused", actor=people["super"]).count() == 1
    assert content(reader.get(link)) == body


def test_every_refusal_of_a_link_is_in_the_log_and_a_repeated_one_once(people, notes, reader, page_as, time_machine):
    time_machine.move_to(START, tick=False)
    File.objects.update(expires_at=None)
    reader.force_login(people["colleague"])
    page_as("super").get(link_of(people, notes))
    for _turn in range(3):
        reader.get("/secure-download/nonsense")
    company_link, company = link_of(people, notes), people["colleague"].company
    User.objects.filter(pk=people["colleague"].pk).update(company=None)
    for _turn in range(3):
        reader.get(company_link)
    User.objects.filter(pk=people["colleague"].pk).update(company=company)
    time_machine.move_to(START + dt.timedelta(hours=1), tick=False)
    reader.force_login(people["colleague"])
    reader.get(company_link)

    refused = Event.objects.filter(action="link_refused")
    assert sorted(refused.values_list("detail__code", "actor_email", "target_id")) == sorted(
        [
            ("link_of_another", "super@example.org", str(notes.pk)),
            ("link_invalid", "colleague@example.org", ""),
            ("not_found", "colleague@example.org", str(notes.pk)),
            ("link_expired", "colleague@example.org", str(notes.pk)),
        ]
    )
    assert {event.folder_slug for event in refused if event.target_id} == {notes.folder.slug}


def test_a_file_that_was_deleted_is_not_there(people, notes, reader, commits):
    link = link_of(people, notes)
    with commits():
        reader.delete(f"/api/files/{notes.pk}")
        File.objects.filter(pk=notes.pk).delete()

    assert refusal(reader.get(link, headers=JSON)) == (404, "not_found")


def test_a_link_gives_the_file_as_often_as_it_is_opened(people, notes, reader, body):
    link = link_of(people, notes)

    assert [content(reader.get(link)) for _ in range(3)] == [body] * 3
    assert File.objects.get().download_count == 3
    assert Event.objects.filter(action="download", actor=people["colleague"]).count() == 3


# --- Keys -------------------------------------------------------------------------------------------


def test_a_link_outlives_the_rotation_of_its_key_and_not_its_removal(people, notes, reader, settings, body):
    old, new = Fernet.generate_key().decode(), Fernet.generate_key().decode()
    settings.LINK_KEYS = [old]
    link = link_of(people, notes)

    settings.LINK_KEYS = [new, old]
    assert content(reader.get(link)) == body
    fresh = link_of(people, notes)
    settings.LINK_KEYS = [new]
    assert refusal(reader.get(link, headers=JSON)) == (400, "link_invalid")
    assert content(reader.get(fresh)) == body


# --- How long ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("one_time", [False, True])
def test_an_expired_link_opens_nothing(one_time, people, notes, reader, time_machine):
    time_machine.move_to(START, tick=False)
    File.objects.update(expires_at=None)
    reader.force_login(people["colleague"])
    link = link_of(people, notes, one_time=one_time)

    time_machine.move_to(START + dt.timedelta(seconds=900), tick=False)

    assert refusal(reader.get(link, headers=JSON)) == (410, "link_expired")
    assert not RedeemedLink.objects.exists()
    assert File.objects.get().download_count == 0


@pytest.mark.parametrize(("seconds", "expired"), [(899, False), (900, True), (901, True)])
def test_a_link_knows_its_last_second(seconds, expired, people, notes, time_machine):
    time_machine.move_to(START, tick=False)
    link = links.read(links.make(file_id=notes.pk, user_id=people["colleague"].pk))

    time_machine.move_to(START + dt.timedelta(seconds=seconds), tick=False)

    assert link.has_expired is expired


# --- Once -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("word", ["1", "true", "yes", "TRUE"])
def test_a_one_time_link_is_good_once(word, notes, api_as, body):
    api = api_as("colleague")
    link = api.get(f"/api/client/download/{notes.pk}?one_time={word}").json()["download-link"]

    assert content(api.get(link)) == body
    assert refusal(api.get(link)) == (410, "link_used")
    assert Event.objects.filter(action="link_refused", target_id=str(notes.pk)).count() == 1
    assert File.objects.get().download_count == 1


@pytest.mark.parametrize("word", ["0", "false", "", "no"])
def test_a_link_is_good_many_times_unless_asked_otherwise(word, notes, api_as, body):
    api = api_as("colleague")
    link = api.get(f"/api/client/download/{notes.pk}?one_time={word}").json()["download-link"]

    assert content(api.get(link)) == content(api.get(link)) == body


@pytest.mark.parametrize("word", ["maybe", "2", "tru e", "é", "\x00"])
def test_a_slip_of_who_wants_a_link_good_once_is_told(word, notes, api_as):
    answer = api_as("colleague").get(f"/api/client/download/{notes.pk}", {"one_time": word})

    assert refusal(answer) == (400, "invalid")


def test_head_spends_nothing(people, notes, reader, body):
    link = link_of(people, notes, one_time=True)

    for _ in range(3):
        answer = reader.head(link)
        assert (answer.status_code, answer["Content-Length"]) == (200, str(len(body)))
        assert content(answer) == b""

    assert not RedeemedLink.objects.exists()
    assert File.objects.get().download_count == 0
    assert content(reader.get(link)) == body


@pytest.mark.parametrize(
    ("asked", "status", "start", "end"),
    [
        ({"Range": "bytes=1-"}, 206, 1, None),
        ({"Range": "bytes=500-"}, 206, 500, None),
        ({"Range": "bytes=500-599"}, 206, 500, 600),
        ({"Range": "bytes=-50"}, 206, -50, None),
        ({}, 410, 0, 0),
        ({"Range": "bytes=0-"}, 410, 0, 0),
        ({"Range": "bytes=0-0"}, 410, 0, 0),
        ({"Range": "bytes=-20006"}, 410, 0, 0),
        ({"Range": "bytes=-9999999"}, 410, 0, 0),
        ({"Range": "bytes=5-9,20-29"}, 410, 0, 0),
        ({"Range": "items=5-"}, 410, 0, 0),
        ({"Range": "bytes=9-5"}, 410, 0, 0),
        ({"Range": "bytes=500-", "If-Range": '"another"'}, 410, 0, 0),
        ({"Range": "bytes=500-", "If-Range": "Wed, 01 Jan 2020 00:00:00 GMT"}, 410, 0, 0),
        ({"Range": "bytes=500-", "If-Range": "{etag}"}, 206, 500, None),
    ],
)
def test_a_cut_download_goes_on_and_never_begins_anew(asked, status, start, end, people, notes, reader, body):
    assert len(body) == 20_006
    link = link_of(people, notes, one_time=True)
    first = reader.get(link)
    assert content(first) == body
    asked = {name: value.replace("{etag}", first["ETag"]) for name, value in asked.items()}

    answer = reader.get(link, headers={**asked, **JSON})

    assert answer.status_code == status
    if status == 206:
        assert content(answer) == body[start:end]
    else:
        assert answer.json()["code"] == "link_used"
    assert File.objects.get().download_count == 1


def test_a_range_behind_the_end_gives_nothing_and_spends_nothing(people, notes, reader, body):
    link = link_of(people, notes, one_time=True)
    beyond = {"Range": "bytes=9999999-", **JSON}

    before = reader.get(link, headers=beyond)
    assert content(reader.get(link)) == body
    after = reader.get(link, headers=beyond)

    assert [(answer.status_code, content(answer)) for answer in (before, after)] == [(416, b"")] * 2
    assert File.objects.get().download_count == 1


@pytest.mark.local
def test_a_cut_download_goes_on_for_ten_minutes(people, notes, reader, time_machine, body):
    time_machine.move_to(START, tick=False)
    File.objects.update(expires_at=None)
    reader.force_login(people["colleague"])
    link = link_of(people, notes, one_time=True)
    # The download begins in the link's last second, so its ten minutes end after the link expires.
    time_machine.move_to(START + dt.timedelta(seconds=899), tick=False)
    assert content(reader.get(link)) == body

    time_machine.move_to(START + dt.timedelta(seconds=899 + 600), tick=False)
    assert content(reader.get(link, headers={"Range": "bytes=100-"})) == body[100:]
    assert reader.head(link).status_code == 200
    time_machine.move_to(START + dt.timedelta(seconds=899 + 601), tick=False)

    assert refusal(reader.get(link, headers={"Range": "bytes=100-", **JSON})) == (410, "link_used")
    assert reader.head(link).status_code == 410


@pytest.mark.parametrize(("who", "status"), [("super", 403), ("stranger", 403), (None, 401)])
def test_nobody_else_goes_on_with_a_cut_download(who, status, people, notes, reader, page_as, body):
    link = link_of(people, notes, one_time=True)
    assert content(reader.get(link)) == body

    answer = page_as(who).get(link, headers={"Range": "bytes=100-"})

    assert answer.status_code == status


def test_going_on_ends_with_the_right_to_the_file(people, notes, reader, body):
    link = link_of(people, notes, one_time=True)
    assert content(reader.get(link)) == body
    type(people["colleague"]).objects.filter(pk=people["colleague"].pk).update(company=None)

    assert reader.get(link, headers={"Range": "bytes=100-"}).status_code == 404


def test_a_download_begun_by_a_range_spends_the_link_too(people, notes, reader, body):
    link = link_of(people, notes, one_time=True)

    assert content(reader.get(link, headers={"Range": "bytes=100-"})) == body[100:]

    assert refusal(reader.get(link, headers=JSON)) == (410, "link_used")


@REAL_TRANSACTIONS
def test_of_twenty_racing_redemptions_one_gets_the_file(people, notes, page_as, body):
    link = link_of(people, notes, one_time=True)
    browsers = [page_as("colleague") for _ in range(20)]

    def redeem(number):
        answer = browsers[number].get(link, headers=JSON)
        return answer.status_code, content(answer)

    answers = at_once(20, redeem)

    assert sorted(status for status, _body in answers) == [200] + [410] * 19
    assert [got for status, got in answers if status == 200] == [body]
    assert RedeemedLink.objects.count() == 1
    assert File.objects.get().download_count == 1
    assert Event.objects.filter(action="download").count() == 1


def test_a_link_whose_file_goes_while_it_is_opened_is_not_found(people, notes, reader):
    def deleted(**_facts):
        raise IntegrityError  # as PostgreSQL raises at the commit, when the file's row is gone

    post_save.connect(deleted, sender=RedeemedLink)
    try:
        assert reader.get(link_of(people, notes, one_time=True)).status_code == 404
    finally:
        post_save.disconnect(deleted, sender=RedeemedLink)


@REAL_TRANSACTIONS
def test_of_racing_ranges_one_begins_and_none_begins_anew(people, notes, page_as):
    link = link_of(people, notes, one_time=True)
    browsers = [page_as("colleague") for _ in range(8)]

    def redeem(number):
        answer = browsers[number].get(link, headers={"Range": "bytes=0-", **JSON})
        content(answer)
        return answer.status_code

    assert sorted(at_once(8, redeem)) == [206] + [410] * 7


@pytest.mark.local
def test_a_signed_url_is_counted_from_its_first_byte(people, notes, page_as, body):
    url = downloads.presigned_url(user=people["colleague"], file_id=notes.pk)
    anybody = page_as(None)

    anybody.head(url)
    assert content(anybody.get(url, headers={"Range": "bytes=7-"})) == body[7:]
    assert File.objects.get().download_count == 0
    assert content(anybody.get(url)) == body

    assert File.objects.get().download_count == 1


@pytest.mark.local
def test_a_signed_url_lives_fifteen_minutes(people, notes, page_as, time_machine, body):
    time_machine.move_to(START, tick=False)
    File.objects.update(expires_at=None)
    url = downloads.presigned_url(user=people["colleague"], file_id=notes.pk)

    time_machine.move_to(START + dt.timedelta(seconds=899), tick=False)
    assert content(page_as(None).get(url)) == body
    time_machine.move_to(START + dt.timedelta(seconds=900), tick=False)

    assert refusal(page_as(None).get(url)) == (403, "url_expired")


@pytest.mark.local
def test_download_urls_are_absolute_in_the_api(notes, api_as, body, page_as):
    answer = api_as("colleague").post(f"/api/fileshare/download/{notes.pk}").json()
    redirect = api_as("colleague").get(f"/api/files/{notes.pk}/download")

    assert answer["expires_in"] == 900
    for url in (answer["download_url"], redirect["Location"]):
        assert url.startswith("http://testserver/store/get.")
        assert content(page_as(None).get(url)) == body


@pytest.mark.local
def test_a_store_url_opens_nothing_for_somebody_who_now_lacks_a_second_factor(people, report, api_as):
    url = api_as("uploader").post(f"/api/fileshare/download/{report.pk}").json()["download_url"]
    assert Client().get(url).status_code == 200

    RolePolicy.objects.create(role_id=people["uploader"].groups.get().pk, requires_second_factor=True)

    assert Client().get(url).status_code == 404
