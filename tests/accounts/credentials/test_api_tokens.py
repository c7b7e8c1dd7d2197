"""Personal API tokens: creating them, using them within their scopes, and ending them."""

import hashlib
from datetime import timedelta
from urllib.parse import urlsplit

import pytest
from django.db import OperationalError, connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import resolve
from django.utils import timezone
from drf_spectacular.generators import SchemaGenerator
from rest_framework.views import APIView

from accounts.contributions.actions import Action
from accounts.credentials import api_tokens, passwords
from accounts.models import ApiToken, Notification, User
from accounts.notices import mailed_links
from accounts.people import roles
from accounts.scopes import SCOPES
from accounts.signing_in import scopes
from accounts.signing_in.authentication import ApiTokenAuthentication
from audit.models import Event
from config.errors import Refused
from tests.accounts.test_races import at_once
from tests.factories import PASSWORD, UserFactory, proved
from tests.test_matrix import API, World, methods, routes

pytestmark = pytest.mark.django_db
ALL = list(SCOPES)
WITHOUT_ADMIN = [scope for scope in ALL if scope != "admin"]
CALL = "/api/users/me/tokens"
PAGE = "/profile/tokens"


def make(user, *chosen, name="script", days=30):
    """Create an API token; returns (ApiToken, raw token)."""
    chosen = chosen or (ALL if user.is_superuser else WITHOUT_ADMIN)
    expires_at = timezone.now() + timedelta(days=days)
    return api_tokens.create(user=user, name=name, scopes=chosen, expires_at=expires_at)


def script(raw):
    """A client that sends the API token and no other credentials."""
    return Client(headers={"Authorization": f"Bearer {raw}"})


def body(**changes):
    facts = {"name": "nightly report", "scopes": ["files:read"], "expires_in_days": 30, "password": PASSWORD}
    return {**facts, **changes}


@pytest.fixture
def world(people, company_folder, report):
    return World(people, company_folder, report)


# --- Made and shown once ----------------------------------------------------------------------------


def test_a_token_is_shown_once_and_kept_as_its_hash(people, api_as):
    answer = api_as("client").post(CALL, body())

    raw = answer.json()["token"]
    token = ApiToken.objects.get()
    assert (answer.status_code, len(raw), raw[:4]) == (201, 47, "pat_")
    assert token.token_hash == hashlib.sha256(raw.encode()).hexdigest()
    assert (token.prefix, token.scopes, token.user) == (raw[:12], ["files:read"], people["client"])
    listed = api_as("client").get(CALL)
    assert raw not in listed.content.decode()
    assert token.token_hash not in listed.content.decode()
    assert [row["prefix"] for row in listed.json()["results"]] == [raw[:12]]
    assert raw not in str(Event.objects.values()), "not in the log either"
    assert raw not in str(Notification.objects.values())


def test_the_page_shows_a_new_token_once(people, client):
    proved(client, people["client"])

    made = client.post(PAGE, {"name": "report", "scopes": ["files:read", "shares:write"], "lifetime": "90"})

    raw = made.context["made"]["raw"]
    assert (made.status_code, made.content.decode().count(raw)) == (200, 1)
    assert "no-store" in made["Cache-Control"]
    assert raw not in client.get(PAGE).content.decode()
    assert script(raw).get("/api/client/files").status_code == 200
    days = (ApiToken.objects.get().expires_at - timezone.now()).days
    assert days in (89, 90)


def test_a_token_made_is_logged_and_told(people):
    token, _raw = make(people["client"], "files:read", name="report")

    event = Event.objects.get(action=Action.API_TOKEN_CREATED)
    assert (event.actor, event.target_id, event.detail["scopes"]) == (people["client"], str(token.pk), ["files:read"])
    notice = Notification.objects.get(user=people["client"])
    assert (notice.type, notice.payload) == ("security_changed", {"what": "api_token_created", "name": "report"})


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "x" * 101}, "name"),
        ({"name": "two\x07lines"}, "name"),
        ({"name": 5}, "name"),
        ({"scopes": []}, "scopes"),
        ({"scopes": ["files:all"]}, "scopes"),
        ({"scopes": "files:read"}, "scopes"),
        ({"scopes": ["files:read", "admin"]}, "scopes"),
        ({"scopes": ["files:read"] * 101}, "scopes"),
        ({"expires_in_days": 0}, "expires_in_days"),
        ({"expires_in_days": -1}, "expires_in_days"),
        ({"expires_in_days": 367}, "expires_in_days"),
        ({"expires_in_days": 36_500}, "expires_in_days"),
        ({"expires_in_days": 10**30}, "expires_in_days"),
        ({"expires_in_days": 1.5}, "expires_in_days"),
        ({"expires_in_days": "30"}, "expires_in_days"),
        ({"expires_in_days": True}, "expires_in_days"),
        ({"expires_in_days": None}, "expires_in_days"),
        ({"expires_at": "2090-01-01T00:00:00Z"}, "expires_at"),
        ({"expires_at": "2090-01-01T00:00:00Z", "expires_in_days": ...}, "expires_at"),
        ({"expires_at": "2020-01-01T00:00:00Z", "expires_in_days": ...}, "expires_at"),
        ({"expires_at": "0001-01-01T00:00:00+14:00", "expires_in_days": ...}, "expires_at"),
        ({"expires_at": "tomorrow", "expires_in_days": ...}, "expires_at"),
        ({"expires_at": 1.5, "expires_in_days": ...}, "expires_at"),
        ({"expires_in_days": ...}, "expires_at"),
        ({"user": "somebody"}, "user"),
        ({"token": "pat_mine"}, "token"),
    ],
)
def test_what_no_token_can_be_is_refused_by_field(changes, field, people, api_as):
    facts = {name: value for name, value in body(**changes).items() if value is not ...}

    answer = api_as("client").post(CALL, facts)

    assert (answer.status_code, list(answer.json()["errors"])[0].split(".")[0]) == (400, field)
    assert not ApiToken.objects.exists()


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"name": ""}, "name"),
        ({"scopes": []}, "scopes"),
        ({"scopes": ["admin"]}, "scopes"),
        ({"lifetime": "9999"}, "lifetime"),
        ({"lifetime": "date"}, "until"),
        ({"lifetime": "date", "until": "not a day"}, "until"),
        ({"lifetime": "date", "until": "2020-01-01"}, None),
        ({"lifetime": "date", "until": "9999-12-31"}, None),
    ],
)
def test_the_page_says_what_is_wrong_with_a_token(changes, field, people, client):
    proved(client, people["client"])

    answer = client.post(PAGE, {"name": "report", "scopes": ["files:read"], "lifetime": "30", **changes})

    assert answer.status_code == 400
    assert list(answer.context["form"].errors) == [field or "__all__"]
    assert not ApiToken.objects.exists()


def test_a_session_alone_makes_no_token(people, client, api_as):
    client.force_login(people["client"])

    answer = client.post(PAGE, {"name": "report", "scopes": ["files:read"], "lifetime": "30"})

    assert answer["Location"].startswith("/profile/security/confirm?next=")
    assert (api_as("client").post(CALL, body(password="wrong")).json()["errors"].keys()) == {"password"}
    assert not ApiToken.objects.exists()


def test_a_date_lasts_to_its_last_moment(people, client):
    proved(client, people["client"])
    day = (timezone.now() + timedelta(days=5)).date()

    client.post(PAGE, {"name": "report", "scopes": ["files:read"], "lifetime": "date", "until": day.isoformat()})

    expires_at = ApiToken.objects.get().expires_at
    assert (expires_at.date(), expires_at.hour, expires_at.minute) == (day, 23, 59)


def test_fifty_tokens_count_and_a_revoked_one_makes_room(people, api_as):
    user = people["client"]
    made = [make(user, "files:read", name=f"n{number}")[0] for number in range(50)]

    assert api_as("client").post(CALL, body()).json()["code"] == "too_many_tokens"
    ApiToken.objects.filter(pk=made[0].pk).update(expires_at=timezone.now() - timedelta(minutes=1))
    assert api_as("client").post(CALL, body()).status_code == 201, "an expired one does not count"
    assert api_as("client").post(CALL, body()).status_code == 409
    api_tokens.revoke(user=user, token_id=made[1].pk)
    assert api_as("client").post(CALL, body()).status_code == 201


@pytest.mark.django_db(transaction=True)
def test_two_at_once_never_make_more_than_fifty():
    user = UserFactory()
    for number in range(49):
        make(user, "files:read", name=f"n{number}")

    answers = at_once(*[lambda: make(user, "files:read")] * 3)

    assert [answer.code for answer in answers if isinstance(answer, Refused)] == ["too_many_tokens"] * 2
    assert ApiToken.objects.live().count() == 50


# --- Used -------------------------------------------------------------------------------------------


def test_a_token_speaks_for_its_owner(people, api_as):
    _token, raw = make(people["client"], "account:read")

    assert script(raw).get("/api/users/me").json()["email"] == "client@example.org"


@pytest.mark.parametrize(
    "spoil",
    [
        lambda raw: raw[:-1],
        lambda raw: raw + "x",
        lambda raw: raw[:-1] + ("A" if raw[-1] != "A" else "B"),
        lambda raw: "pat_",
        lambda raw: "pat_" + "é" * 43,
        lambda raw: raw + " " + raw,
        lambda raw: "pat_" + "x" * 5_000,
        lambda raw: raw.upper(),
    ],
    ids=["cut", "longer", "other", "bare", "accents", "twice", "huge", "upper"],
)
def test_a_token_nobody_made_is_refused(spoil, people):
    _token, raw = make(people["client"])

    answer = script(spoil(raw)).get("/api/users/me")

    assert answer.status_code == 401
    assert answer["WWW-Authenticate"] == "Bearer"
    assert answer.json()["code"] == "token_invalid"


def test_an_expired_token_is_refused_and_still_listed(people, api_as):
    token, raw = make(people["client"])
    ApiToken.objects.filter(pk=token.pk).update(expires_at=timezone.now() - timedelta(seconds=1))

    assert script(raw).get("/api/users/me").status_code == 401
    assert len(api_as("client").get(CALL).json()["results"]) == 1


@pytest.mark.parametrize(("state", "found"), [("live", {"one"}), ("over", {"two", "three"})])
def test_the_admin_finds_tokens_that_work_and_those_that_do_not(state, found, people):
    _one, two, three = [make(people["client"], name=name)[0] for name in ("one", "two", "three")]
    ApiToken.objects.filter(pk=two.pk).update(revoked_at=timezone.now())
    ApiToken.objects.filter(pk=three.pk).update(expires_at=timezone.now())

    page = proved(Client(), people["super"]).get(f"/admin/accounts/apitoken/?state={state}")

    assert {row.name for row in page.context["cl"].result_list} == found


@pytest.mark.parametrize("door", ["api", "page"])
def test_a_revoked_token_ends_at_once(door, people, api_as, client):
    token, raw = make(people["client"])
    client.force_login(people["client"])

    if door == "api":
        assert api_as("client").delete(f"{CALL}/{token.pk}").status_code == 204
    else:
        assert client.post(f"{PAGE}/{token.pk}/revoke")["Location"] == PAGE

    assert script(raw).get("/api/users/me").status_code == 401
    assert api_as("client").get(CALL).json()["results"] == []
    assert api_as("client").delete(f"{CALL}/{token.pk}").status_code == 404, "once"
    assert Event.objects.get(action=Action.API_TOKEN_REVOKED).target_id == str(token.pk)


def test_nobody_sees_or_ends_the_tokens_of_others(people, api_as, client):
    token, raw = make(people["client"])

    for other in ("stranger", "super"):
        assert api_as(other).get(CALL).json()["results"] == []
        assert api_as(other).delete(f"{CALL}/{token.pk}").status_code == 404
        client.force_login(people[other])
        assert client.post(f"{PAGE}/{token.pk}/revoke").status_code == 404
    assert script(raw).get("/api/users/me").status_code == 200


def test_an_owner_switched_off_has_no_token_any_more_even_when_switched_on_again(people):
    _token, raw = make(people["client"])

    roles.change_user(by=people["super"], user_id=people["client"].pk, is_active=False)
    assert script(raw).get("/api/users/me").status_code == 401
    roles.change_user(by=people["super"], user_id=people["client"].pk, is_active=True)
    assert script(raw).get("/api/users/me").status_code == 401


def test_an_owner_switched_off_behind_the_operations_back_is_refused_too(people):
    _token, raw = make(people["client"])
    User.objects.filter(pk=people["client"].pk).update(is_active=False)

    assert script(raw).get("/api/users/me").status_code == 401


def test_a_password_reset_by_mail_ends_every_token_and_a_change_of_it_none(people):
    user = people["client"]
    _token, raw = make(user)

    passwords.change(user=user, current_password=PASSWORD, new_password="eleven brown goats")
    assert script(raw).get("/api/users/me").status_code == 200
    user.refresh_from_db()
    passwords.reset(token=mailed_links.make_link_token(user, mailed_links.RESET), new_password="twelve white cats")
    assert script(raw).get("/api/users/me").status_code == 401


def test_the_rights_are_those_of_the_owner_as_ever(people, report, api_as):
    _token, raw = make(people["stranger"])
    _token, colleagues = make(people["colleague"])

    assert script(raw).get(f"/api/files/{report.pk}").status_code == 404
    assert script(raw).get("/api/admin/users").status_code == 403
    assert script(colleagues).get(f"/api/files/{report.pk}").status_code == 200
    assert script(colleagues).delete(f"/api/files/{report.pk}").status_code == 403


def test_a_super_who_is_none_any_more_has_a_token_that_opens_nothing_of_a_super(people):
    UserFactory(roles=["super"], is_superuser=True)
    _token, raw = make(people["super"], "admin")
    assert script(raw).get("/api/admin/users").status_code == 200

    roles.change_user(by=people["super"], user_id=people["super"].pk, roles=["ops"])

    answer = script(raw).get("/api/admin/users")
    assert (answer.status_code, answer.json()["code"]) == (403, "permission_denied")


def test_a_token_redeems_the_download_link_made_with_it(people, report):
    _token, raw = make(people["colleague"], "files:read")
    link = script(raw).get(f"/api/client/download/{report.pk}").json()["download-link"]

    answer = script(raw).get(link)

    assert answer.status_code in (200, 302)
    _token, blind = make(people["colleague"], "account:read")
    assert script(blind).get(link).json()["code"] == "scope_missing"


def test_a_token_needs_no_csrf_token_and_opens_no_page(people):
    _token, raw = make(people["client"])
    strict = Client(enforce_csrf_checks=True, headers={"Authorization": f"Bearer {raw}"})

    assert strict.patch("/api/users/me", {"bio": "New"}, content_type="application/json").status_code == 200
    assert strict.get("/profile").status_code == 302


# --- Scopes -----------------------------------------------------------------------------------------


def calls_of_the_api():
    """{(route, method): view} of each API call that accepts an API token."""
    found = {}
    for route, view in routes():
        if view is None or not hasattr(view, "cls"):
            continue
        if ApiTokenAuthentication in view.initkwargs.get("authentication_classes", view.cls.authentication_classes):
            found |= {(route, method): view.cls for method in methods(view)}
    return found


def test_every_call_has_decided_on_its_scope():
    missing = sorted({route for (route, _method), view in calls_of_the_api().items() if scopes.pair_of(view) is None})

    assert missing == [], "give their views token_scopes: what a token needs for reading, and for anything else"


def test_every_scope_opens_a_call():
    used = {scopes.scope_of(view, method) for (_route, method), view in calls_of_the_api().items()}

    assert used - {None} == set(SCOPES)


def test_the_words_in_the_table_are_those_of_ever():
    """Stored tokens hold these words: a renamed scope would no longer match them."""
    kept = "account:read account:write admin files:read files:write payments:read payments:write shares:write"

    assert list(SCOPES) == kept.split()


@pytest.mark.parametrize(
    ("method", "address", "scope"),
    [
        ("GET", "api/files/x", "files:read"),
        ("HEAD", "secure-download/x", "files:read"),
        ("PATCH", "api/files/x", "files:write"),
        ("DELETE", "api/files/trash/x", "files:write"),
        ("POST", "api/files/move", "files:write"),
        ("POST", "api/files/copy", "files:write"),
        ("POST", "api/files/delete", "files:write"),
        ("POST", "api/files/tags", "files:write"),
        ("POST", "api/files/x/share", "shares:write"),
        ("GET", "api/files/x/share", "shares:write"),
        ("POST", "api/fileshare/download/bulk", "files:read"),
        ("POST", "api/fileshare/upload/complete", "files:write"),
        ("GET", "api/fileshare/upload/x", "files:write"),
        ("GET", "api/fileshare/uploads", "files:read"),
        ("POST", "api/fileshare/folders", "admin"),
        ("GET", "api/fileshare/folders/x/permissions", "admin"),
        ("GET", "api/fileshare/folders/x/files", "files:read"),
        ("GET", "api/fileshare/folders", "files:read"),
        ("GET", "api/fileshare/audit-logs", "admin"),
        ("GET", "api/admin/logs", "admin"),
        ("GET", "api/admin/roles/x", "admin"),
        ("PATCH", "api/users/me", "account:write"),
        ("DELETE", "api/users/me/avatar", "account:write"),
        ("GET", "api/users/me/files", "files:read"),
        ("GET", "api/users/x", "account:read"),
        ("POST", "api/file-requests", "shares:write"),
        ("GET", "api/mpesa/plans", "payments:read"),
        ("POST", "api/mpesa/stkpush", "payments:write"),
        ("GET", "api/users/me/tokens", None),
        ("DELETE", "api/users/me/tokens/x", None),
        ("DELETE", "api/users/me/sessions/x", None),
        ("POST", "api/auth/refresh", None),
    ],
)
def test_which_scope_a_call_takes(method, address, scope):
    assert scopes.scope_of(resolve(f"/{address}").func.cls, method) == scope


def test_a_view_that_says_nothing_takes_no_token():
    assert scopes.scope_of(APIView, "GET") is None


def test_each_call_takes_its_own_scope_and_no_other(world, people):
    """Each call refuses a token that has every scope but its own, and names the missing scope."""
    boss = people["super"]
    others = {scope: script(make(boss, *[other for other in ALL if other != scope], name="others")[1]) for scope in ALL}
    everything = script(make(boss, *ALL, name="everything")[1])
    views, asked = calls_of_the_api(), 0
    for call in API:
        method, route = call.split(" ", 1)
        view = views.get((f"api/{route}", method))
        if view is None:
            continue
        scope = scopes.scope_of(view, method)
        path = world.path(f"api/{route}", call)
        options = {"data": "{}", "content_type": "application/json"} if method != "GET" else {}
        for client in [everything] if scope is None else [others[scope]]:
            answer = getattr(client, method.lower())(path, **options)
            assert (answer.status_code, answer.json()["code"]) == (403, "scope_missing"), call
            assert scope is None or scope.value in answer.json()["detail"]
            asked += 1
    assert asked > 50


def test_with_its_scope_a_call_goes_through(people, report):
    _token, raw = make(people["colleague"], "files:read")

    assert script(raw).get("/api/client/files").status_code == 200
    assert script(raw).post(f"/api/fileshare/download/{report.pk}").status_code == 200
    assert script(raw).delete(f"/api/files/{report.pk}").json()["code"] == "scope_missing"


def test_a_token_never_changes_the_address_of_its_owner(people, outbox):
    _token, raw = make(people["client"])

    answer = script(raw).patch("/api/users/me", {"email": "thief@example.org"}, content_type="application/json")

    assert (answer.status_code, answer.json()["code"]) == (403, "scope_missing")
    assert User.objects.get(pk=people["client"].pk).pending_email == ""
    assert not [letter for letter in outbox() if "thief@example.org" in letter.to]


def test_a_token_of_every_scope_neither_makes_nor_lists_nor_ends_tokens(people):
    token, raw = make(people["super"], *ALL)

    for answer in (
        script(raw).get(CALL),
        script(raw).post(CALL, body(), content_type="application/json"),
        script(raw).delete(f"{CALL}/{token.pk}"),
    ):
        assert (answer.status_code, answer.json()["code"]) == (403, "scope_missing")
    assert ApiToken.objects.live().count() == 1


def test_the_schema_tells_of_tokens_and_scopes():
    schema = SchemaGenerator().get_schema(request=None, public=True)

    assert schema["components"]["securitySchemes"]["apiToken"]["bearerFormat"] == "pat_…"
    search = schema["paths"]["/api/files/search"]["get"]
    assert search["x-scope"] == "files:read"
    assert {"apiToken": []} in search["security"]
    tokens_of = schema["paths"]["/api/users/me/tokens"]["post"]
    assert "x-scope" not in tokens_of
    assert {"apiToken": []} not in tokens_of["security"]


# --- Last used, cost, clean-up ----------------------------------------------------------------------


def test_the_last_use_is_kept_at_most_once_a_minute(people):
    token, raw = make(people["client"])

    script(raw).get("/api/users/me", REMOTE_ADDR="192.0.2.7")
    token.refresh_from_db()
    first = token.last_used_at
    script(raw).get("/api/users/me", REMOTE_ADDR="192.0.2.8")
    token.refresh_from_db()
    assert (token.last_used_at, token.last_used_address) == (first, "192.0.2.7")

    ApiToken.objects.update(last_used_at=first - timedelta(seconds=61))
    script(raw).get("/api/users/me", REMOTE_ADDR="192.0.2.8")
    token.refresh_from_db()
    assert token.last_used_at > first
    assert token.last_used_address == "192.0.2.8"


def test_a_refused_call_is_no_use(people):
    token, raw = make(people["client"], "files:read")

    script(raw).get("/api/users/me")

    token.refresh_from_db()
    assert token.last_used_at is None


def test_a_database_that_takes_no_writes_stops_no_reading(people, monkeypatch):
    token, raw = make(people["client"])

    def full(*args, **options):
        raise OperationalError("database or disk is full")

    monkeypatch.setattr("accounts.models.api_tokens.ApiTokenQuerySet.update", full)

    assert script(raw).get("/api/users/me").status_code == 200
    token.refresh_from_db()
    assert token.last_used_at is None


def test_who_asks_costs_one_query_once_the_use_is_kept(people, django_assert_num_queries):
    _token, raw = make(people["client"])
    script(raw).get("/api/users/me")

    with django_assert_num_queries(1):
        token = api_tokens.identify(raw)
        api_tokens.note_use(token)
        assert token.user.company is None


@pytest.mark.parametrize("path", [CALL, PAGE])
def test_a_list_costs_the_same_however_long(path, people, client):
    client.force_login(people["client"])
    make(people["client"], "files:read")
    client.get(path)
    with CaptureQueriesContext(connection) as few:
        assert client.get(path).status_code == 200
    for number in range(20):
        make(people["client"], "files:read", name=f"n{number}")

    with CaptureQueriesContext(connection) as many:
        answer = client.get(path)

    assert answer.status_code == 200
    assert len(many) == len(few)


def test_what_ended_long_ago_is_forgotten(people):
    kept, revoked, expired = (make(people["client"])[0] for _n in range(3))
    long_ago = timezone.now() - timedelta(days=31)
    ApiToken.objects.filter(pk=revoked.pk).update(revoked_at=long_ago)
    ApiToken.objects.filter(pk=expired.pk).update(expires_at=long_ago)

    assert api_tokens.forget_ended() == 2
    assert list(ApiToken.objects.all()) == [kept]


def test_a_list_of_tokens_has_pages(people, api_as):
    for number in range(3):
        make(people["client"], "files:read", name=f"n{number}")

    first = api_as("client").get(f"{CALL}?limit=2").json()
    parts = urlsplit(first["next"])
    second = api_as("client").get(f"{parts.path}?{parts.query}").json()

    assert [row["name"] for row in first["results"] + second["results"]] == ["n2", "n1", "n0"]
    assert second["next"] is None
