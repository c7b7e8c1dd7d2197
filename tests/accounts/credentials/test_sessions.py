"""Sessions: the list shows where a user is logged in, and ending a session takes effect at once."""

import uuid
from datetime import timedelta

import pytest
import time_machine
from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.backends.base import UpdateError
from django.db import DatabaseError, connection
from django.db.models import QuerySet
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts import tasks
from accounts.contributions.actions import Action
from accounts.credentials import passwords, sessions, tokens
from accounts.models import RefreshToken, Session
from accounts.notices import mailed_links
from accounts.people import roles
from audit.models import Event
from tests.factories import PASSWORD

pytestmark = pytest.mark.django_db
FIREFOX = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:130.0) Gecko/20100101 Firefox/130.0"
LOGIN = {"email": "client@example.org", "password": PASSWORD}
PAGE = "/profile/security"


def browser(**headers):
    """A browser in which the client has logged in."""
    client = Client(**headers)
    client.post("/login", LOGIN)
    return client


def row_of(client):
    return Session.objects.get(key_hash=sessions.hash_of(client.session.session_key))


def script(api_as, pair=None):
    """(client, pair) of a script that logged in."""
    pair = pair or api_as(None).post("/api/auth/login", LOGIN).json()
    client = api_as(None)
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {pair['access']}")
    return client, pair


# --- What is stored ---------------------------------------------------------------------------------


def test_the_table_gives_no_session_away(people):
    client = browser()
    key = client.session.session_key

    stored = str(list(Session.objects.values_list()))

    assert key not in stored
    thief = Client()
    thief.cookies["session"] = row_of(client).key_hash
    assert thief.get("/profile").status_code == 302
    thief.cookies["session"] = key
    assert thief.get("/profile").status_code == 200, "only the key in the cookie opens it"


def test_a_session_knows_whose_it_is_and_where(people):
    client = browser(REMOTE_ADDR="192.0.2.7", HTTP_USER_AGENT=FIREFOX)

    row = row_of(client)

    assert (row.user, row.address, row.user_agent) == (people["client"], "192.0.2.7", FIREFOX)


def test_a_session_of_nobody_belongs_to_nobody(client):
    session = client.session
    session["x"] = 1
    session.save()

    assert Session.objects.get().user is None


@pytest.mark.parametrize("agent", ["x" * 5000, "a\x00b", "é\u202e", ""])
def test_an_odd_agent_is_kept_readable(agent, people):
    client = Client()
    client.post("/login", LOGIN, headers={"User-Agent": agent.encode("utf-8", "replace").decode("latin-1")})

    assert len(row_of(client).user_agent) <= 300
    assert client.get(PAGE).status_code == 200


@pytest.mark.both
def test_being_seen_is_written_every_five_minutes_and_not_more(people):
    with time_machine.travel(timezone.now(), tick=False) as clock:
        client = browser(REMOTE_ADDR="192.0.2.7")

        def writes(**headers):
            with CaptureQueriesContext(connection) as captured:
                assert client.get("/profile", **headers).status_code == 200
            return [q["sql"] for q in captured if q["sql"].startswith("UPDATE") and "accounts_session" in q["sql"]]

        clock.shift(timedelta(minutes=4))
        assert writes() == []
        clock.shift(timedelta(minutes=2))
        assert len(writes(REMOTE_ADDR="192.0.2.8")) == 1
        assert writes() == []
        assert (row_of(client).seen_at, row_of(client).address) == (timezone.now(), "192.0.2.8")


def test_a_page_costs_one_query_for_its_session(people):
    client = browser()
    client.get("/profile")

    with CaptureQueriesContext(connection) as captured:
        client.get("/profile")

    assert len([q for q in captured if 'FROM "accounts_session"' in q["sql"]]) == 1


def test_a_disk_that_is_full_keeps_nobody_from_reading(people, monkeypatch):
    client = browser()
    Session.objects.update(seen_at=timezone.now() - timedelta(hours=1))

    def full(queryset, **fields):
        raise DatabaseError("disk full")

    monkeypatch.setattr(QuerySet, "update", full)

    assert client.get("/profile").status_code == 200


@pytest.mark.both
def test_expired_sessions_open_nothing_and_go(people):
    client = browser()
    other = browser()
    Session.objects.filter(pk=row_of(client).pk).update(expire_date=timezone.now() - timedelta(seconds=1))

    assert client.get("/profile").status_code == 302
    tasks.forget_expired()

    assert list(Session.objects.all()) == [row_of(other)]


@pytest.mark.parametrize("key", ["", "x", "x" * 32, "x" * 5000, "é" * 32, "a\x00b" * 8])
def test_a_made_up_key_is_nobody(key, people):
    client = Client()
    client.cookies["session"] = key.encode("utf-8", "replace").decode("latin-1")

    assert client.get("/profile").status_code == 302


@pytest.mark.both
def test_a_session_that_was_ended_meanwhile_is_not_written_back(people):
    store = sessions.SessionStore()
    store["x"] = 1
    store.create()
    late = sessions.SessionStore(store.session_key)
    late["x"] = 2
    store.delete()

    with pytest.raises(UpdateError):
        late.save()
    assert not Session.objects.exists()


# --- Ending -----------------------------------------------------------------------------------------


def test_an_ended_session_is_out_at_its_next_request(people):
    here, there = browser(), browser()
    assert there.get("/profile").status_code == 200

    response = here.post(f"{PAGE}/sessions/{row_of(there).pk}/end")

    assert response["Location"] == PAGE
    assert there.get("/profile").status_code == 302
    assert here.get("/profile").status_code == 200
    assert Event.objects.get(action=Action.SESSION_ENDED).detail["kind"] == "browser"


def test_an_ended_script_is_out_at_its_next_request_and_gets_no_new_token(people, api_as):
    here = browser()
    client, pair = script(api_as)
    other, _pair = script(api_as)
    assert client.get("/api/users/me").status_code == 200
    family = client.get("/api/users/me/sessions").json()["results"]
    current = next(item for item in family if item["is_current"])

    here.post(f"{PAGE}/sessions/{current['id']}/end")

    assert client.get("/api/users/me").status_code == 401
    assert api_as(None).post("/api/auth/refresh", {"refresh": pair["refresh"]}).status_code == 401
    assert other.get("/api/users/me").status_code == 200
    assert Event.objects.get(action=Action.SESSION_ENDED).detail["kind"] == "script"


def test_a_script_that_logs_out_or_whose_token_was_copied_is_out_at_once(people, api_as):
    client, pair = script(api_as)
    api_as(None).post("/api/auth/logout", {"refresh": pair["refresh"]})
    assert client.get("/api/users/me").status_code == 401

    client, pair = script(api_as)
    fresh = api_as(None).post("/api/auth/refresh", {"refresh": pair["refresh"]}).json()
    client, _pair = script(api_as, fresh)
    assert client.get("/api/users/me").status_code == 200
    api_as(None).post("/api/auth/refresh", {"refresh": pair["refresh"]})
    assert client.get("/api/users/me").status_code == 401


def test_ending_all_others_keeps_this_browser(people, api_as):
    here, there = browser(), browser()
    client, pair = script(api_as)

    here.post(f"{PAGE}/sessions/end-others")

    assert here.get("/profile").status_code == 200
    assert there.get("/profile").status_code == 302
    assert client.get("/api/users/me").status_code == 401
    assert api_as(None).post("/api/auth/refresh", {"refresh": pair["refresh"]}).status_code == 401
    assert Event.objects.get(action=Action.SESSION_ENDED).detail == {"kind": "others", "browsers": 1, "scripts": 1}


def test_nobody_ends_what_is_not_theirs(people, api_as):
    theirs = browser()
    client, _pair = script(api_as)
    family = RefreshToken.objects.get().family
    thief = Client()
    thief.force_login(people["super"])

    for target in (row_of(theirs).pk, family, uuid.uuid4()):
        assert thief.post(f"{PAGE}/sessions/{target}/end").status_code == 404
        assert api_as("super").delete(f"/api/users/me/sessions/{target}").status_code == 404
    assert theirs.get("/profile").status_code == 200
    assert client.get("/api/users/me").status_code == 200


def test_a_new_password_leaves_this_browser_alone_in_the_list(people):
    here, _there = browser(), browser()

    here.post(PAGE, {"current_password": PASSWORD, "new_password": "nine purple trains"})

    assert here.get(PAGE).status_code == 200
    assert [row.is_here for row in here.get(PAGE).context["browsers"]] == [True]
    assert Session.objects.filter(user=people["client"]).count() == 1


@pytest.mark.parametrize("how", ["reset", "switched off"])
def test_what_ends_everything_leaves_no_session_behind(how, people):
    there = browser()
    if how == "reset":
        token = mailed_links.make_link_token(people["client"], mailed_links.RESET)
        passwords.reset(token=token, new_password="nine purple trains")
    else:
        roles.change_user(by=people["super"], user_id=people["client"].pk, is_active=False)
        roles.change_user(by=people["super"], user_id=people["client"].pk, is_active=True)

    assert there.get("/profile").status_code == 302
    assert not Session.objects.filter(user=people["client"]).exists()


# --- The list ---------------------------------------------------------------------------------------


def test_the_page_tells_where(people, api_as):
    here = browser(REMOTE_ADDR="192.0.2.7", HTTP_USER_AGENT=FIREFOX)
    there = browser(HTTP_USER_AGENT="curl/8.5.0")
    script(api_as)

    page = here.get(PAGE)

    assert [(row.words, row.is_here) for row in page.context["browsers"]] == [
        ("Firefox on Windows", True),
        ("curl/8.5.0", False),
    ]
    assert len(page.context["scripts"]) == 1
    text = page.content.decode()
    assert "192.0.2.7" in text
    assert str(row_of(there).pk) in text
    assert str(row_of(here).pk) not in text, "this very browser has the log-out"


def test_an_agent_is_text_and_no_markup(people):
    client = browser(HTTP_USER_AGENT="<script>alert(1)</script>")

    assert "<script>alert" not in client.get(PAGE).content.decode()


def test_the_api_tells_the_same(people, api_as):
    browser(REMOTE_ADDR="192.0.2.7", HTTP_USER_AGENT=FIREFOX)
    client, _pair = script(api_as)

    body = client.get("/api/users/me/sessions").json()

    assert set(body) == {"next", "previous", "results"}
    web, own = body["results"]
    assert (web["kind"], web["agent"], web["address"], web["is_current"]) == ("browser", FIREFOX, "192.0.2.7", False)
    assert (own["kind"], own["is_current"]) == ("script", True)
    assert client.delete(f"/api/users/me/sessions/{web['id']}").status_code == 204
    assert [item["kind"] for item in client.get("/api/users/me/sessions").json()["results"]] == ["script"]


def test_the_api_knows_this_browser(people):
    client = browser()

    (item,) = client.get("/api/users/me/sessions").json()["results"]

    assert item["is_current"]


def test_a_rotated_family_is_one_entry_with_the_address_of_its_last_use(people, api_as):
    pair = api_as(None).post("/api/auth/login", LOGIN, REMOTE_ADDR="192.0.2.7").json()
    api_as(None).post("/api/auth/refresh", {"refresh": pair["refresh"]}, REMOTE_ADDR="192.0.2.8")

    (entry,) = sessions.scripts_of(people["client"])

    assert entry.address == "192.0.2.8"
    assert entry.orig_iat < entry.created_at


@pytest.mark.parametrize("path", [PAGE, "/api/users/me/sessions"])
def test_a_longer_list_costs_the_same_queries(path, people, api_as):
    client = browser()

    def queries():
        with CaptureQueriesContext(connection) as captured:
            assert client.get(path).status_code == 200
        return [query["sql"] for query in captured]

    tokens.open_family(people["client"])
    Session.objects.create(
        key_hash="x", session_data="", expire_date=timezone.now() + timedelta(days=1), user=people["client"]
    )
    people["client"].passkeys.create(name="key", credential_id="x", public_key=b"x")
    few = queries()
    for number in range(5):
        tokens.open_family(people["client"])
        Session.objects.create(
            key_hash=f"x{number}",
            session_data="",
            expire_date=timezone.now() + timedelta(days=1),
            user=people["client"],
        )
        people["client"].passkeys.create(name="key", credential_id=f"x{number}", public_key=b"x")

    many = queries()

    assert len(many) == len(few), "\n".join(many)
    assert len(few) <= 14


def test_the_list_has_an_end(people, api_as):
    for number in range(sessions.MOST_SHOWN + 5):
        tokens.open_family(people["client"])
        assert number >= 0

    assert len(sessions.scripts_of(people["client"])) == sessions.MOST_SHOWN


@pytest.mark.parametrize(
    ("agent", "words"),
    [
        (FIREFOX, "Firefox on Windows"),
        (
            "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36",
            "Chrome on Linux",
        ),
        (
            "Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 Chrome/126.0.0.0 Safari/537.36 Edg/126.0",
            "Edge on Windows",
        ),
        (
            "Mozilla/5.0 (Macintosh; Intel Mac OS X 14_5) AppleWebKit/605.1.15 Version/17.5 Safari/605.1.15",
            "Safari on macOS",
        ),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605 CriOS/126 Mobile Safari/604.1",
            "Chrome on iPhone",
        ),
        ("Mozilla/5.0 (Linux; Android 14) AppleWebKit/537.36 Chrome/126.0 Mobile Safari/537.36", "Chrome on Android"),
        ("curl/8.5.0", "curl/8.5.0"),
        ("python-requests/2.32 on Windows with Firefox/1", "python-requests/2.32 on Windows with Firefox/1"),
        ("x" * 300, "x" * 59 + "…"),
        ("", ""),
    ],
)
def test_agents_in_plain_words(agent, words):
    assert sessions.agent_words(agent) == words


def test_logging_out_leaves_no_row(people):
    client = browser()
    client.post("/logout")

    assert SESSION_KEY not in client.session
    assert not Session.objects.filter(user=people["client"]).exists()
