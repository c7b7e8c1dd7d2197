"""Share links by script: made, used up, revoked; who may do it, and what answers, mails and logs contain."""

import datetime as dt
import json
import logging
import re

import pytest
from django.core import signing
from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection, transaction
from django.db.models import F
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import Notification, OutgoingMail
from audit.models import Event
from config.watch.logs import RequestFilter
from fileshare import files, folders
from fileshare.models import File, Folder, FolderPermission, ShareDownload, ShareLink
from fileshare.sharing import redeeming, shares
from fileshare.storage import StoreUnavailable, get_store
from tests.factories import store_file
from tests.fileshare.helpers import REAL_TRANSACTIONS, at_once, content, refusal
from tests.store_client import ask_store

pytestmark = pytest.mark.django_db
HOUR = dt.timedelta(hours=1)
JSON = {"Accept": "application/json"}
BODY = b"figures " * 1000


@pytest.fixture
def notes(people, company_folder):
    """A text of the uploader in the company folder."""
    return store_file(user=people["uploader"], folder=company_folder, filename="Größe 表.txt", content=BODY)


@pytest.fixture
def made(people, notes):
    """made(…) is a new link of the uploader to download the notes, for an hour."""

    def make(**facts):
        facts = {"user": people["uploader"], "file_id": notes.pk, "permission": "download", "expires_in": HOUR, **facts}
        return shares.create(**facts)[0]

    return make


@pytest.fixture
def outsider():
    """A visitor without a session; CSRF tokens are checked."""
    return Client(enforce_csrf_checks=True)


def by_script(client, token, what="download", **body):
    return client.post(f"/share/{token}/{what}", json.dumps(body), content_type="application/json", headers=JSON)


def by_form(client, token, what="download", **body):
    return client.post(f"/share/{token}/{what}", body, headers=JSON)


def fetch(response, **headers):
    """Follow a 302 to the bytes, without signing in; returns the answer."""
    assert response.status_code == 302, response.content
    return ask_store("GET", response["Location"], headers=headers)


def uses(link):
    return ShareLink.objects.values_list("download_count", flat=True).get(pk=link.pk)


def share(api, file, **facts):
    facts = {"permission": "download", "expires_in": 3600, **facts}
    return api.post(f"/api/files/{getattr(file, 'pk', file)}/share", facts)


@pytest.mark.local
def test_the_address_of_the_bytes_tells_nobody_outside_where_they_lie(outsider, made, notes, company_folder):
    answer = by_script(outsider, made().token)

    signed = answer["Location"].rpartition("/")[2].partition(".")[2].partition(":")[0]
    told = signing.b64_decode(signed.encode()).decode()
    assert "share_download" in told
    for hidden in (company_folder.slug, str(company_folder.pk), str(notes.pk), notes.object_key):
        assert hidden not in told
    assert content(fetch(answer)) == BODY


# --- Made ---------------------------------------------------------------------------------------------


def test_a_link_is_made_and_its_token_told_once(api_as, notes, settings):
    answer = share(api_as("uploader"), notes, max_downloads=3)

    body = answer.json()
    assert answer.status_code == 201
    assert list(body) == ["id", "url", "token", "permission", "expires_at", "max_downloads"]
    assert (body["permission"], body["max_downloads"]) == ("download", 3)
    assert re.fullmatch(r"[A-Za-z0-9_-]{43}", body["token"])
    assert body["url"] == f"{settings.SITE_URL}/share/{body['token']}"
    rest = dt.datetime.fromisoformat(body["expires_at"]) - timezone.now()
    assert dt.timedelta(minutes=59) < rest <= HOUR
    assert Event.objects.filter(action="share_created", target_id=str(notes.pk)).count() == 1
    listed = api_as("uploader").get(f"/api/files/{notes.pk}/share")
    assert body["token"] not in listed.content.decode()


@pytest.mark.parametrize(
    ("who", "status"),
    [("uploader", 201), ("super", 201), ("colleague", 403), ("stranger", 404), ("ops", 404), ("off", 401), (None, 401)],
)
def test_whoever_may_delete_a_file_may_share_it(who, status, api_as, notes):
    assert share(api_as(who), notes).status_code == status
    assert ShareLink.objects.exists() is (status == 201)


@pytest.mark.parametrize("file_id", ["x", "00000000-0000-4000-8000-000000000000", "9" * 400])
def test_an_id_that_is_none_is_not_found(file_id, api_as, notes, made):
    link = made().link
    api = api_as("uploader")

    assert share(api, file_id).status_code == 404
    assert api.get(f"/api/files/{file_id}/share").status_code == 404
    assert api.delete(f"/api/files/{file_id}/share/{link.pk}").status_code == 404
    assert api.delete(f"/api/files/{notes.pk}/share/{file_id}").status_code == 404
    assert ShareLink.objects.filter(revoked_at=None).count() == 1


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("permission", "upload"),
        ("permission", ""),
        ("permission", None),
        ("permission", 1),
        ("expires_in", 0),
        ("expires_in", -3600),
        ("expires_in", 366 * 86_400 + 1),
        ("expires_in", 100 * 366 * 86_400),
        ("expires_in", 10**30),
        ("expires_in", 3600.0),
        ("expires_in", 3600.5),
        ("expires_in", True),
        ("expires_in", "3600"),
        ("expires_in", None),
        ("password", ""),
        ("password", 123),
        ("password", "x" * 257),
        ("password", "a\x00b"),
        ("max_downloads", 0),
        ("max_downloads", -1),
        ("max_downloads", 1.5),
        ("max_downloads", True),
        ("max_downloads", "3"),
        ("max_downloads", 10**12),
        ("emails", "amina@example.org"),
        ("emails", ["amina"]),
        ("emails", [""]),
        ("emails", [None]),
        ("emails", [1]),
        ("emails", ["amina@example.org\nBcc: everybody@example.org"]),
        ("emails", ["amina@example.org\n"]),
        ("emails", ["amina@example.org\r\n"]),
        ("emails", ["amina@example.org, baraka@example.org"]),
        ("emails", ["good@example.org", "x" * 300 + "@example.org"]),
        ("emails", [f"person{n}@example.org" for n in range(51)]),
    ],
    ids=lambda value: f"{value!r:.40}",
)
def test_bad_input_is_named_and_stores_nothing(field, value, api_as, notes):
    answer = share(api_as("uploader"), notes, **{field: value})

    assert answer.status_code == 400
    assert [name.split(".")[0] for name in answer.json()["errors"]] == [field]
    assert not ShareLink.objects.exists()
    assert not OutgoingMail.objects.exists()


def test_a_link_to_view_counts_no_downloads(api_as, notes):
    answer = share(api_as("uploader"), notes, permission="view", max_downloads=3)

    assert (answer.status_code, list(answer.json()["errors"])) == (400, ["max_downloads"])


@pytest.mark.parametrize("seconds", [60, 366 * 86_400])
def test_the_shortest_and_the_longest_life(seconds, api_as, notes):
    assert share(api_as("uploader"), notes, expires_in=seconds).status_code == 201


def test_a_link_is_made_at_a_limited_rate(api_as, notes, settings, limits_on):
    settings.RATE_LIMITS = {**settings.RATE_LIMITS, "share": "2/h"}
    api = api_as("uploader")

    answers = [share(api, notes) for _ in range(3)]

    assert [answer.status_code for answer in answers] == [201, 201, 429]
    assert int(answers[2]["Retry-After"]) > 0


def test_the_database_holds_its_own_rules(made):
    link = made(max_downloads=1).link
    for broken in (
        {"download_count": 2},
        {"max_downloads": 0},
        {"permission": "upload"},
        {"permission": "view"},
        {"expires_at": F("created_at")},
    ):
        with pytest.raises(IntegrityError), transaction.atomic():
            ShareLink.objects.filter(pk=link.pk).update(**broken)


# --- Used ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ask", [by_script, by_form])
def test_somebody_outside_downloads(ask, outsider, made, notes, people):
    one = made(max_downloads=2)

    answer = fetch(ask(outsider, one.token))

    assert (answer.status_code, content(answer)) == (200, BODY)
    assert "attachment" in answer["Content-Disposition"]
    assert "Gr%C3%B6%C3%9Fe%20%E8%A1%A8.txt" in answer["Content-Disposition"]
    assert uses(one.link) == 1
    assert File.objects.get(pk=notes.pk).download_count == 1
    event = Event.objects.get(action="download", target_id=str(notes.pk))
    assert (event.actor, event.detail["share"]) == (None, str(one.link.pk))
    notice = Notification.objects.get(user=people["uploader"], type="share_downloaded")
    assert notice.payload["filename"] == notes.filename
    assert "sessionid" not in outsider.cookies


def test_who_fetched_when_is_told(outsider, made, api_as, notes):
    one = made(emails=["amina@example.org"])
    agent = "Mozilla/5.0 (X11) Chrome/150 \x1b[31m Safari/5"
    outsider.post(f"/share/{one.token}/download", headers={"User-Agent": agent}, REMOTE_ADDR="192.0.2.7")

    (row,) = api_as("uploader").get(f"/api/files/{notes.pk}/share").json()["results"]

    assert (row["state"], row["download_count"], row["recipient"]) == ("live", 1, "amina@example.org")
    assert (row["has_password"], row["revoked_at"]) == (False, None)
    (fetched,) = row["downloads"]
    assert fetched["address"] == "192.0.2.7"
    assert "\x1b" not in fetched["user_agent"]
    assert ShareDownload.objects.get().agent == "Chrome"


@pytest.mark.parametrize("accept", ["text/html", "application/json", "*/*", ""])
@pytest.mark.parametrize("method", ["get", "head"])
@pytest.mark.parametrize("where", ["", "/download"])
def test_looking_spends_nothing(accept, method, where, outsider, made):
    one = made(max_downloads=1)

    for _ in range(3):
        answer = getattr(outsider, method)(
            f"/share/{one.token}{where}",
            headers={"Accept": accept, "Range": "bytes=0-9", "Purpose": "prefetch", "User-Agent": "LinkScanner/1.0"},
        )
        assert answer.status_code == 200

    assert uses(one.link) == 0
    assert not ShareDownload.objects.exists()
    assert by_script(outsider, one.token).status_code == 302


def test_the_page_tells_its_facts_as_json(outsider, made, notes, people):
    one = made(max_downloads=5, password="x")

    facts = outsider.get(f"/share/{one.token}", headers=JSON).json()

    assert facts == {
        "filename": notes.filename,
        "size_bytes": len(BODY),
        "content_type": "text/plain",
        "permission": "download",
        "shared_by": {"name": people["uploader"].name, "company": None},
        "expires_at": facts["expires_at"],
        "has_password": True,
        "downloads_left": 5,
        "preview": None,
    }
    assert dt.datetime.fromisoformat(facts["expires_at"]) == one.link.expires_at


def test_an_unknown_token_is_not_found(outsider, made):
    one = made()
    unknown = ["x", "A" * 43, one.token[:-1] + ("A" if one.token[-1] != "A" else "B"), str(one.link.pk)]
    for token in [*unknown, one.link.token_hash, "%00", "é" * 43]:
        assert outsider.get(f"/share/{token}", headers=JSON).status_code == 404
        assert by_script(outsider, token).status_code == 404
        assert by_script(outsider, token, "unlock").status_code == 404
        assert outsider.get(f"/share/{token}/preview", headers=JSON).status_code == 404
    assert not Event.objects.filter(action="share_refused").exists()


@pytest.mark.parametrize("state", ["expired", "revoked", "used_up"])
def test_a_dead_link_is_gone(state, outsider, made, people, notes, api_as, time_machine):
    one = made(max_downloads=1)
    if state == "expired":
        time_machine.move_to(timezone.now() + HOUR + dt.timedelta(seconds=1))
    elif state == "revoked":
        shares.revoke(user=people["uploader"], share_id=one.link.pk)
    else:
        by_script(outsider, one.token)
    before = uses(one.link)

    assert refusal(outsider.get(f"/share/{one.token}", headers=JSON)) == (410, f"share_{state}")
    assert outsider.get(f"/share/{one.token}", headers={"Accept": "text/html"}).status_code == 410
    assert refusal(by_script(outsider, one.token)) == (410, f"share_{state}")
    assert refusal(by_script(outsider, one.token)) == (410, f"share_{state}")
    assert uses(one.link) == before
    # The log has a repeated refusal only once a minute.
    assert [event.detail["code"] for event in Event.objects.filter(action="share_refused")] == [f"share_{state}"]
    rows = api_as("uploader").get(f"/api/files/{notes.pk}/share").json()["results"]
    assert [row["state"] for row in rows] == [state]


def test_a_dead_link_is_gone_while_the_cache_is_away_too(outsider, made, people, cache_away):
    one = made()
    shares.revoke(user=people["uploader"], share_id=one.link.pk)

    assert refusal(by_script(outsider, one.token)) == (410, "share_revoked")
    assert Event.objects.filter(action="share_refused").count() == 1


@pytest.mark.parametrize(
    "password",
    ["x", " ", "  spaces  ", "seven green boats", "пароль", "🔑🦁" * 20, "e\u0301", "é", "\u202eabc", "x" * 256, "\n"],
    ids=["one", "space", "spaces", "words", "cyrillic", "emoji", "combining", "composed", "bidi", "long", "newline"],
)
def test_a_password_of_any_letters_is_taken_as_typed(password, outsider, api_as, notes):
    token = share(api_as("uploader"), notes, password=password).json()["token"]

    for wrong in (password + " ", password + password, password.swapcase() + "a"):
        if len(wrong) <= 256:
            assert refusal(by_script(outsider, token, password=wrong)) == (403, "share_password_wrong")
    assert by_script(outsider, token, password=password).status_code == 302
    assert ShareLink.objects.get().download_count == 1
    assert password == "x" or password not in ShareLink.objects.get().password


def test_a_composed_letter_is_not_a_combined_one(outsider, made):
    one = made(password="e\u0301")

    assert refusal(by_script(outsider, one.token, password="é")) == (403, "share_password_wrong")


def test_a_link_to_look_at_that_is_over_or_asked_for_more_is_written_down(outsider, made, notes):
    one = made(permission="view")
    assert refusal(by_script(outsider, one.token)) == (403, "view_only")
    shares.revoke(user=notes.uploaded_by, share_id=one.link.pk)

    for _turn in range(2):
        with pytest.raises(redeeming.ShareOver):
            redeeming.viewed(token=one.token, proof="")
        with pytest.raises(redeeming.ShareOver):
            redeeming.unlock(token=one.token, password="x")

    events = Event.objects.filter(action="share_refused", target_id=str(notes.pk))
    assert sorted(event.detail["code"] for event in events) == ["share_revoked", "view_only"]


def test_a_wrong_password_spends_nothing_and_is_written_down(outsider, made, notes):
    one = made(password="right", max_downloads=1)

    assert refusal(by_script(outsider, one.token, password="wrong")) == (403, "share_password_wrong")
    assert refusal(by_form(outsider, one.token, password="wrong")) == (403, "share_password_wrong")
    assert refusal(by_script(outsider, one.token)) == (403, "share_password_required")
    assert refusal(by_script(outsider, one.token, password="")) == (403, "share_password_required")

    assert uses(one.link) == 0
    events = Event.objects.filter(action="share_refused", target_id=str(notes.pk))
    assert [event.detail["code"] for event in events] == ["share_password_wrong"] * 2
    assert "wrong" not in {event.detail.get("password") for event in events}


@pytest.mark.parametrize("body", ['{"password": 1}', '{"password": ["x"]}', '{"x": 1}', "[]", "x"])
def test_a_body_that_is_none_spends_nothing(body, outsider, made):
    one = made(password="right")

    answer = outsider.post(f"/share/{one.token}/download", body, content_type="application/json", headers=JSON)

    assert answer.status_code == 400
    assert uses(one.link) == 0


def test_a_body_nobody_asked_for_is_no_password(outsider, made):
    assert by_script(outsider, made().token, password="whatever").status_code == 302
    assert outsider.post(f"/share/{made().token}/download").status_code == 302


def test_guessing_is_slowed_for_one_address_and_one_link(made, settings):
    settings.RATELIMIT_ENABLE = True
    settings.RATE_LIMITS = {**settings.RATE_LIMITS, "share_password": "3/d"}
    one, other, open_ = made(password="right"), made(password="right"), made()
    guesser, friend = Client(REMOTE_ADDR="192.0.2.1"), Client(REMOTE_ADDR="192.0.2.2")

    answers = [by_script(guesser, one.token, password="wrong") for _ in range(4)]

    assert [answer.status_code for answer in answers] == [403, 403, 403, 429]
    assert int(answers[3]["Retry-After"]) > 0
    assert by_script(guesser, one.token, password="right").status_code == 429
    assert by_script(guesser, one.token, "unlock", password="right").status_code == 429
    # Another address and another link have their own limit. A link without a password counts nothing.
    assert by_script(friend, one.token, password="right").status_code == 302
    assert by_script(guesser, other.token, password="right").status_code == 302
    assert [by_script(guesser, open_.token).status_code for _ in range(5)] == [302] * 5


def test_a_link_to_view_is_not_downloaded(outsider, made):
    one = made(permission="view")

    assert refusal(by_script(outsider, one.token)) == (403, "view_only")
    assert not ShareDownload.objects.exists()


def test_a_store_that_is_away_spends_nothing(outsider, made, monkeypatch):
    one = made(max_downloads=1)

    def head(self, key):
        raise StoreUnavailable

    with monkeypatch.context() as patch:
        patch.setattr(type(get_store()), "head", head)
        answer = by_script(outsider, one.token)
        assert refusal(answer) == (503, "store_unavailable")
        assert answer["Retry-After"]
    assert uses(one.link) == 0
    assert by_script(outsider, one.token).status_code == 302


def test_bytes_that_are_gone_spend_nothing(outsider, made, notes):
    one = made(max_downloads=1)
    get_store().delete(notes.object_key)

    assert refusal(by_script(outsider, one.token)) == (404, "object_missing")
    assert uses(one.link) == 0


# --- The ten minutes ----------------------------------------------------------------------------------


@pytest.mark.local
def test_a_cut_download_goes_on_for_ten_minutes_and_spends_no_more(outsider, made, notes, time_machine):
    start = timezone.now().replace(microsecond=0)
    time_machine.move_to(start, tick=False)
    one = made(max_downloads=1)
    spent = by_script(outsider, one.token)

    for seconds in (0, 1, 300, 599):
        time_machine.move_to(start + dt.timedelta(seconds=seconds), tick=False)
        answer = fetch(spent, Range="bytes=8-15")
        assert (answer.status_code, content(answer)) == (206, BODY[8:16])
        assert content(fetch(spent)) == BODY
    time_machine.move_to(start + dt.timedelta(seconds=600), tick=False)
    assert fetch(spent, Range="bytes=8-15").status_code in (403, 404)
    assert fetch(spent).status_code in (403, 404)

    assert uses(one.link) == 1
    assert File.objects.get(pk=notes.pk).download_count == 1
    assert ShareDownload.objects.count() == 1


def test_ranges_spend_nothing_more(outsider, made):
    one = made(max_downloads=1)
    spent = by_script(outsider, one.token)

    for start in range(0, 800, 100):
        answer = fetch(spent, Range=f"bytes={start}-{start + 99}")
        assert (answer.status_code, content(answer)) == (206, BODY[start : start + 100])

    assert uses(one.link) == 1


@pytest.mark.local
def test_a_link_that_ends_meanwhile_lets_its_grant_go_on(outsider, made, time_machine):
    one = made(expires_in=dt.timedelta(seconds=60))
    spent = by_script(outsider, one.token)
    time_machine.move_to(timezone.now() + dt.timedelta(seconds=120))

    assert content(fetch(spent)) == BODY


def lose_the_folder(people, folder, file):
    FolderPermission.objects.filter(user=people["uploader"]).delete()


def lose_the_account(people, folder, file):
    people["uploader"].is_active = False
    people["uploader"].save()


def lose_the_file(people, folder, file):
    files.delete(user=people["super"], file_id=file.pk)


def lose_the_time(people, folder, file):
    File.objects.filter(pk=file.pk).update(expires_at=timezone.now())


def need_a_password(people, folder, file):
    Folder.objects.filter(pk=folder.pk).update(share_password_required=True)


LOSSES = [lose_the_folder, lose_the_account, lose_the_file, lose_the_time, need_a_password]


@pytest.mark.parametrize("lose", LOSSES, ids=lambda lose: lose.__name__)
def test_a_maker_who_may_no_longer_share_kills_the_link(lose, outsider, made, people, company_folder, notes):
    one = made(max_downloads=2)
    spent = by_script(outsider, one.token)

    lose(people, company_folder, notes)

    assert refusal(outsider.get(f"/share/{one.token}", headers=JSON)) == (410, "share_blocked")
    assert refusal(by_script(outsider, one.token)) == (410, "share_blocked")
    assert uses(one.link) == 1
    if not get_store().is_remote:
        assert fetch(spent, Range="bytes=8-15").status_code == 404


def test_what_comes_back_lives_again(outsider, made, people, notes):
    one = made()
    files.delete(user=people["uploader"], file_id=notes.pk)
    assert by_script(outsider, one.token).status_code == 410

    files.restore(user=people["uploader"], file_id=notes.pk)

    assert by_script(outsider, one.token).status_code == 302


@pytest.mark.local
def test_revoking_ends_a_grant_too(outsider, made, people):
    one = made()
    spent = by_script(outsider, one.token)

    shares.revoke(user=people["uploader"], share_id=one.link.pk)

    assert fetch(spent).status_code == 404


def test_a_file_deleted_for_good_takes_its_links_along(made, people, notes, outsider):
    one = made()
    by_script(outsider, one.token)
    files.delete(user=people["uploader"], file_id=notes.pk)

    files.purge(user=people["uploader"], file_id=notes.pk)

    assert not ShareLink.objects.exists()
    assert outsider.get(f"/share/{one.token}", headers=JSON).status_code == 404


@REAL_TRANSACTIONS
def test_fifty_race_for_one_use(people, company_folder):
    notes = store_file(user=people["uploader"], folder=company_folder, filename="one.txt", content=BODY)
    facts = {"permission": "download", "expires_in": HOUR, "max_downloads": 1}
    (one,) = shares.create(user=people["uploader"], file_id=notes.pk, **facts)

    statuses = at_once(50, lambda number: by_script(Client(), one.token).status_code)

    assert sorted(statuses) == [302] + [410] * 49
    assert uses(one.link) == 1
    assert ShareDownload.objects.count() == 1
    assert File.objects.get(pk=notes.pk).download_count == 1
    assert Event.objects.filter(action="download").count() == 1


@REAL_TRANSACTIONS
def test_twenty_race_for_seven_uses(people, company_folder):
    notes = store_file(user=people["uploader"], folder=company_folder, filename="seven.txt", content=BODY)
    facts = {"permission": "download", "expires_in": HOUR, "max_downloads": 7}
    (one,) = shares.create(user=people["uploader"], file_id=notes.pk, **facts)

    statuses = at_once(20, lambda number: by_script(Client(), one.token).status_code)

    assert sorted(statuses) == [302] * 7 + [410] * 13
    assert (uses(one.link), ShareDownload.objects.count()) == (7, 7)


@REAL_TRANSACTIONS
def test_revoked_by_two_at_once_is_revoked_once(people, company_folder):
    notes = store_file(user=people["uploader"], folder=company_folder, filename="two.txt", content=BODY)
    (one,) = shares.create(user=people["uploader"], file_id=notes.pk, permission="view", expires_in=HOUR)

    at_once(8, lambda number: shares.revoke(user=people["uploader"], share_id=one.link.pk))

    assert Event.objects.filter(action="share_revoked").count() == 1


# --- The folder's rules -------------------------------------------------------------------------------


def test_a_folder_may_ask_for_a_password_and_a_short_life(api_as, notes, company_folder):
    Folder.objects.filter(pk=company_folder.pk).update(share_password_required=True, share_max_days=2)
    api, days = api_as("uploader"), 86_400

    bare = share(api, notes, expires_in=days)
    long = share(api, notes, expires_in=2 * days + 1, password="x")
    good = share(api, notes, expires_in=2 * days, password="x")

    assert (*refusal(bare), list(bare.json()["errors"])) == (400, "share_password_required", ["password"])
    assert (*refusal(long), list(long.json()["errors"])) == (400, "share_too_long", ["expires_in"])
    assert good.status_code == 201
    # The rule holds for a super too.
    assert share(api_as("super"), notes, expires_in=days).status_code == 400


@pytest.mark.parametrize("rule", [{"share_password_required": True}, {"share_max_days": 1}])
def test_a_rule_made_later_stops_the_links_that_break_it(rule, made, outsider, company_folder, api_as, notes):
    breaking = made(expires_in=dt.timedelta(days=2))
    fitting = made(expires_in=dt.timedelta(days=1), password="x")
    Folder.objects.filter(pk=company_folder.pk).update(**rule)

    assert refusal(by_script(outsider, breaking.token)) == (410, "share_blocked")
    assert by_script(outsider, fitting.token, password="x").status_code == 302
    rows = api_as("uploader").get(f"/api/files/{notes.pk}/share").json()["results"]
    assert sorted(row["state"] for row in rows) == ["blocked", "live"]

    Folder.objects.filter(pk=company_folder.pk).update(share_password_required=False, share_max_days=None)
    assert by_script(outsider, breaking.token).status_code == 302


@pytest.mark.parametrize("days", [0, 36_501, -1])
def test_a_folder_takes_no_odd_number_of_days(days, company_folder):
    company_folder.share_max_days = days

    with pytest.raises(ValidationError):
        company_folder.full_clean()


# --- Own and foreign ----------------------------------------------------------------------------------


def test_a_list_holds_own_links_and_for_a_super_all(made, people, api_as, notes):
    own, of_super = made().link, made(user=people["super"]).link

    def listed(who):
        return {row["id"] for row in api_as(who).get(f"/api/files/{notes.pk}/share").json()["results"]}

    assert listed("uploader") == {str(own.pk)}
    assert listed("super") == {str(own.pk), str(of_super.pk)}


@pytest.mark.parametrize(("who", "status"), [("uploader", 204), ("super", 204), ("colleague", 404), ("stranger", 404)])
def test_a_link_is_revoked_by_its_maker_or_a_super(who, status, made, api_as, notes):
    link = made().link
    address = f"/api/files/{notes.pk}/share/{link.pk}"

    answers = [api_as(who).delete(address).status_code for _ in range(2)]

    assert answers == [status, status]
    link.refresh_from_db()
    assert (link.revoked_at is not None) is (status == 204)
    assert Event.objects.filter(action="share_revoked").count() == (1 if status == 204 else 0)


def test_a_link_is_revoked_at_its_own_file_only(made, api_as, people, company_folder):
    other = store_file(user=people["uploader"], folder=company_folder)

    assert api_as("uploader").delete(f"/api/files/{other.pk}/share/{made().link.pk}").status_code == 404


def test_a_link_is_revoked_also_by_who_lost_the_file(made, api_as, people, notes):
    link = made().link
    FolderPermission.objects.filter(user=people["uploader"]).delete()

    assert api_as("uploader").delete(f"/api/files/{notes.pk}/share/{link.pk}").status_code == 204


def test_the_list_costs_the_same_however_long(made, api_as, people, notes, outsider):
    api, address = api_as("super"), f"/api/files/{notes.pk}/share"

    def cost():
        with CaptureQueriesContext(connection) as queries:
            assert api.get(address).status_code == 200
        return len(queries)

    by_script(outsider, made().token)
    made(user=people["super"])
    few = cost()
    for _ in range(10):
        by_script(outsider, made(max_downloads=2).token)
        made(user=people["super"])

    assert len(api.get(address).json()["results"]) == 22
    assert cost() == few


def test_a_list_goes_on_page_by_page(made, api_as, notes):
    ids = {str(made().link.pk) for _ in range(5)}
    api, address, seen = api_as("uploader"), f"/api/files/{notes.pk}/share?limit=2", []
    while address:
        page = api.get(address).json()
        seen += [row["id"] for row in page["results"]]
        address = page["next"]

    assert (len(seen), set(seen)) == (5, ids)


# --- Mail ---------------------------------------------------------------------------------------------


def test_everybody_gets_a_link_of_their_own(api_as, notes, outbox, outsider, people):
    emails = ["amina@example.org", "Baraka@Example.org", "amina@example.org", "colleague@example.org"]

    body = share(api_as("uploader"), notes, emails=emails, max_downloads=1, password="secret word").json()

    assert [row["email"] for row in body["links"]] == [
        "amina@example.org",
        "baraka@example.org",
        "colleague@example.org",
    ]
    assert body["links"][0]["id"] == body["id"]
    letters = {message.to[0]: message for message in outbox()}
    assert set(letters) == {"amina@example.org", "baraka@example.org", "colleague@example.org"}
    tokens = {to: re.search(r"/share/([\w-]{43})", message.body)[1] for to, message in letters.items()}
    assert len(set(tokens.values())) == 3
    assert tokens["amina@example.org"] == body["token"]
    for to, message in letters.items():
        assert notes.filename in message.subject
        for text in (message.body, message.alternatives[0][0]):
            assert people["uploader"].name in text
            assert tokens[to] in text
            assert "secret word" not in text
            assert "password" in text
    assert by_script(outsider, tokens["baraka@example.org"], password="secret word").status_code == 302
    assert by_script(outsider, tokens["amina@example.org"], password="secret word").status_code == 302
    notice = Notification.objects.get(type="file_shared")
    assert (notice.user, notice.payload["filename"]) == (people["colleague"], notes.filename)


def test_a_letter_of_an_open_link_names_no_password(made, outbox):
    made(emails=["amina@example.org"])

    (message,) = outbox()

    assert "password" not in message.body


@pytest.mark.parametrize("name", ['Amina "<script>alert(1)</script>" O’Neil', "Amina & Söhne"])
def test_a_letter_escapes_what_people_are_called(name, made, people, outbox):
    people["uploader"].name = name
    people["uploader"].save()
    made(emails=["amina@example.org"])

    (message,) = outbox()

    assert name in message.body
    assert "<script>" not in message.alternatives[0][0]
    assert "\n" not in message.subject


@pytest.mark.parametrize(
    ("emails", "reason"),
    [
        ([f"a{number}@example.org" for number in range(60)], "At most 50"),
        (["a@example.org", "b@example.org", "nobody"], "Enter a valid e-mail address"),
    ],
    ids=["too many", "one that is none"],
)
def test_letters_that_are_not_written_are_not_counted(emails, reason, notes, api_as, page_as, settings):
    settings.RATELIMIT_ENABLE, settings.RATE_LIMITS = True, {**settings.RATE_LIMITS, "letters": "4/d"}
    api, page = api_as("uploader"), page_as("uploader")

    def by_page(addresses):
        form = {"permission": "download", "expires_in": "3600", "emails": "\n".join(addresses)}
        return page.post(f"/files/{notes.pk}/share", form)

    assert share(api, notes, emails=emails).status_code == 400
    refused = by_page(emails)
    assert refused.status_code == 400
    assert reason in refused.content.decode()
    # The same mailbox twice is one letter.
    assert share(api, notes, emails=["c@example.org", "C@example.org", "d@example.org"]).status_code == 201
    assert by_page(["e@example.org", "E@example.org", "f@example.org"]).status_code == 302
    assert by_page(["g@example.org"]).status_code == 429
    assert OutgoingMail.objects.filter(letter="share_link").count() == 4


@pytest.mark.parametrize("lose", LOSSES, ids=lambda lose: lose.__name__)
def test_a_letter_whose_link_died_is_dropped(lose, made, outbox, people, company_folder, notes):
    made(emails=["amina@example.org"])
    lose(people, company_folder, notes)

    # The maker of the link may get other mail about the loss.
    assert [message.to for message in outbox() if "amina@example.org" in message.to] == []
    assert OutgoingMail.objects.get(letter="share_link").sent_at is not None


def test_a_letter_of_a_revoked_link_is_dropped(made, outbox, people):
    link = made(emails=["amina@example.org"]).link
    shares.revoke(user=people["uploader"], share_id=link.pk)

    assert outbox() == []


def test_the_notice_leads_its_reader_to_the_page_of_the_link_and_spends_nothing(made, people, page_as):
    one = made(emails=[people["colleague"].email], max_downloads=1)
    notice = Notification.objects.get(type="file_shared")

    for _look in range(2):
        answer = page_as("colleague").get(f"/notifications/{notice.pk}/open", follow=True)
        assert answer.redirect_chain == [(f"/shares/{one.link.pk}/open", 302), (f"/share/{one.token}", 302)]
        assert answer.status_code == 200
    assert ShareLink.objects.get().download_count == 0
    assert page_as("colleague").head(f"/shares/{one.link.pk}/open")["Location"] == f"/share/{one.token}"


def test_nobody_but_its_recipient_comes_to_a_link_by_its_id(made, people, page_as):
    mailed = made(emails=[people["colleague"].email]).link
    for_anybody = made().link

    for who in ("uploader", "super", "client", "stranger"):
        assert page_as(who).get(f"/shares/{mailed.pk}/open").status_code == 404, who
    assert page_as("colleague").get(f"/shares/{for_anybody.pk}/open").status_code == 404
    assert page_as(None).get(f"/shares/{mailed.pk}/open")["Location"].startswith("/login?next=/shares/")
    people["colleague"].email = "other@example.org"
    people["colleague"].save()
    assert page_as("colleague").get(f"/shares/{mailed.pk}/open").status_code == 404


@pytest.mark.parametrize(("kept", "status"), [(True, 302), (False, 404)])
def test_a_link_of_a_former_key_is_found_while_the_key_is_kept(kept, status, made, people, page_as, settings):
    link = made(emails=[people["colleague"].email]).link
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY] if kept else []
    settings.SECRET_KEY = "another key " * 5

    assert page_as("colleague").get(f"/shares/{link.pk}/open").status_code == status


def test_the_notice_of_a_link_that_is_over_leads_to_the_page_that_says_so(made, people, page_as):
    link = made(emails=[people["colleague"].email]).link
    shares.revoke(user=people["uploader"], share_id=link.pk)

    assert page_as("colleague").get(f"/shares/{link.pk}/open", follow=True).status_code == 410


def test_an_account_that_is_off_gets_the_letter_alone(made, people, outbox):
    made(emails=[people["off"].email])

    assert len(outbox()) == 1
    assert not Notification.objects.filter(type="file_shared").exists()


# --- Tokens -------------------------------------------------------------------------------------------


def test_a_link_stays_good_when_the_key_is_changed(made, outsider, settings):
    one = made()
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "another key " * 5, []

    assert by_script(outsider, one.token).status_code == 302


@pytest.mark.parametrize("kept", [True, False])
def test_a_letter_sent_after_the_key_was_changed_bears_a_good_link(kept, made, outsider, outbox, settings):
    one = made(emails=["amina@example.org"])
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY] if kept else []
    settings.SECRET_KEY = "another key " * 5

    (message,) = outbox()

    token = re.search(r"/share/([\w-]{43})", message.body)[1]
    assert (token == one.token) is kept
    assert by_script(outsider, token).status_code == 302


def test_no_token_is_kept_or_logged(made, outsider, api_as, notes, people, caplog, outbox, settings):
    caplog.set_level(logging.DEBUG)
    body = share(api_as("uploader"), notes, emails=["amina@example.org"], password="Zebra-77").json()
    token = body["token"]
    by_script(outsider, token, password="Wrong-88")
    by_script(outsider, token, password="Zebra-77")
    outsider.get(f"/share/{token}", headers={"Accept": "text/html"})
    outbox()
    shares.revoke(user=people["uploader"], share_id=body["id"])
    by_script(outsider, token)

    secrets = [token, "Zebra-77", "Wrong-88"]
    ours = [record.getMessage() for record in caplog.records if record.name != "django.request"]
    for secret in secrets:
        assert not [line for line in ours if secret in line and "/share/" not in line]
        assert secret not in json.dumps(list(Event.objects.values_list("detail", flat=True)), default=str)
        assert secret not in json.dumps(list(OutgoingMail.objects.values_list("context", flat=True)), default=str)
        assert secret not in json.dumps(list(Notification.objects.values_list("payload", flat=True)), default=str)
        rows = [*ShareLink.objects.values(), *ShareDownload.objects.values(), *Event.objects.values()]
        assert secret not in json.dumps(rows, default=str)


def test_log_lines_show_no_token(made):
    token = made().token
    record = logging.LogRecord("x", logging.INFO, "", 0, "Gone: /share/%s/download", (token,), None)

    RequestFilter().filter(record)

    assert token not in record.getMessage()


def test_a_personal_file_is_shared_by_its_owner_alone(people, api_as, outsider):
    own = store_file(
        user=people["client"], folder=folders.personal_folder(people["client"]), content=BODY, filename="a.txt"
    )
    File.objects.filter(pk=own.pk).update(visibility="public")

    answers = {who: share(api_as(who), own) for who in ("client", "stranger", "super")}

    assert {who: answer.status_code for who, answer in answers.items()} == {
        "client": 201,
        "stranger": 403,
        "super": 201,
    }
    assert content(fetch(by_script(outsider, answers["client"].json()["token"]))) == BODY
