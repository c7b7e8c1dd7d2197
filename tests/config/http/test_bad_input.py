"""Bad input quickly gets a 4xx of the contract's shape, and stores nothing."""

import base64
import json

import pytest
from django.apps import apps
from django.db import connection
from django.test import Client

from accounts.credentials import tokens
from tests.payments.daraja import simulated  # noqa: F401 - a fixture
from tests.test_matrix import API, World, of_groups

pytestmark = pytest.mark.django_db
NOT_BY_JSON = ("POST users/me/avatar", "POST ops/upload", "POST files/upload")
# These calls ignore the body.
BODILESS = ("POST fileshare/download/<str:file_id>", "POST files/<str:file_id>/restore")
# These store any body as it comes. tests/payments sends them bad bodies and secrets.
CALLBACKS = ("POST mpesa/callback", "POST payments/cb/<str:secret>")
OTHERS = NOT_BY_JSON + BODILESS + CALLBACKS
CALLS = [call for call in API if call.split()[0] in ("POST", "PUT", "PATCH") and call not in OTHERS]
DEEP = "[" * 100_000
BODIES = {
    "deep list": DEEP,
    "deep object": '{"a":' * 100_000,
    "closed deep list": DEEP + "]" * 100_000,
    "not UTF-8": b'{"email": "\xff\xfe"}',
    "UTF-16": '{"email": "x"}'.encode("utf-16"),
    "list": "[]",
    "list of objects": '[{"email": "x"}]',
    "text": '"text"',
    "number": "1",
    "true": "true",
    "null": "null",
    "NaN": '{"name": NaN}',
    "huge number": '{"name": ' + "9" * 5_000 + "}",
    "cut": '{"name": "x',
    "two": "{}{}",
    "form": "name=x&email=y",
    "unknown field": '{"is_superuser": true}',
    "half a character as a field": '{"\\ud800": 1}',
    "NUL as a field": '{"\\u0000": 1}',
    "empty name as a field": '{"": 1}',
    "thousand fields": json.dumps({f"field{n}": n for n in range(1000)}),
}


@pytest.fixture
def world(people, company_folder, report, daraja):
    return World(people, company_folder, report)


@pytest.fixture
def boss(people):
    return Client(
        raise_request_exception=False, headers={"Authorization": f"Bearer {tokens.access_for(people['super'])}"}
    )


def rows():
    """The number of rows of every table."""
    tables = {model._meta.db_table: model._meta.label for model in apps.get_models() if model._meta.managed}
    with connection.cursor() as cursor:
        cursor.execute(" UNION ALL ".join(f"SELECT '{table}', COUNT(*) FROM {table}" for table in tables))  # noqa: S608
        return {tables[table]: count for table, count in cursor.fetchall()}


def send(client, world, call, body, content_type="application/json"):
    method, route = call.split(" ", 1)
    return client.generic(method, world.path(f"api/{route}", call), body, content_type=content_type)


def assert_refused(response):
    assert 400 <= response.status_code < 500, response.content[:300]
    assert {"detail", "code"} <= set(response.json()) <= {"detail", "code", "errors"}
    assert len(response.content) < 20_000


@of_groups(CALLS)
def test_a_body_that_is_no_object_of_known_fields_is_refused(asked, boss, world):
    for call in asked:
        before = rows()

        for name, body in BODIES.items():
            response = send(boss, world, call, body)
            assert 400 <= response.status_code < 500, (call, name, response.status_code)
            assert_refused(response)

        assert rows() == before, call


@of_groups(CALLS)
def test_a_body_that_is_nested_to_any_depth_is_no_fault(asked, boss, world):
    for number, call in enumerate(asked):
        name = next(iter(world.bodies.get(call, {"roles": 1})))
        # The depth at which the parser fails depends on the stack, so a group's first call is tried at many depths.
        depths = [5, 500, 990] if number else [*range(5, 1_000, 45), *range(900, 1_000, 12)]

        for depth in depths:
            for field in {name, "roles"}:
                body = json.dumps({field: 1}).replace("1", "[" * depth + "]" * depth)
                assert_refused(send(boss, world, call, body))


# Fields that a call may leave out; in a call that creates something they may also be null.
MAY_BE_NULL = [
    ("POST mpesa/stkpush", "folder_id"),
    ("POST fileshare/upload/initiate", "content_type"),
    ("POST files/<str:file_id>/share", "password"),
    ("POST files/move", "subfolder_id"),
    ("POST files/copy", "subfolder_id"),
]


@of_groups(CALLS)
def test_each_field_of_a_wrong_kind_is_refused(asked, boss, world):
    for call in asked:
        good = {field: value for field, value in world.bodies.get(call, {}).items() if isinstance(value, str)}
        before = rows()

        for field, value in good.items():
            for wrong in ([], {}, None, True, 1, 1.5, "\x00", "\ud800", "a\x00b", [value], {"a": value}):
                if field == "filename" and isinstance(wrong, str):
                    continue  # the portal strips odd characters from a name and accepts it
                if wrong is None and (call, field) in MAY_BE_NULL:
                    continue
                response = send(boss, world, call, json.dumps({**world.bodies[call], field: wrong}))
                assert 400 <= response.status_code < 500, (call, field, wrong, response.status_code)
                assert_refused(response)

        assert rows() == before, call


@of_groups(CALLS)
def test_a_body_of_more_than_a_mebibyte_is_refused_unread(asked, boss, world):
    for call in asked:
        response = send(boss, world, call, json.dumps({"name": "x" * 1024 * 1024}))

        assert (response.status_code, response.json()["code"]) == (413, "body_too_large"), call


@of_groups(CALLS)
def test_a_body_that_is_not_json_is_refused(asked, boss, world):
    for call in asked:
        for content_type in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "x", ""):
            response = send(boss, world, call, "name=x", content_type=content_type)

            assert response.status_code in (400, 401, 415), (call, content_type)
            assert_refused(response)


WITH_ID = [call for call in API if "<" in call and call not in CALLBACKS]
NO_IDS = [
    "x",
    "00000000-0000-4000-8000-000000000000",
    "00000000-0000-4000-8000-00000000000",
    "{00000000-0000-4000-8000-000000000000}",
    "-1",
    "1e9",
    "9" * 400,
    "%00",
    "%F0%9F%98%80",
    "%FF",
    "..%2F..",
    "null",
]


@of_groups(WITH_ID)
def test_an_id_that_is_none_is_not_found(asked, boss, world):
    for call in asked:
        method, route = call.split(" ", 1)
        start, rest = route.split("<", 1)
        before = rows()

        for text in NO_IDS:
            response = boss.generic(
                method,
                f"/api/{start}{text}{rest.split('>', 1)[1]}",
                json.dumps(world.bodies.get(call, {})),
                content_type="application/json",
            )
            assert response.status_code == 404, (call, text, response.status_code)
            assert response.json()["code"] == "not_found"

        assert rows() == before, call


def cursor(*facts):
    return base64.urlsafe_b64encode(json.dumps(facts).encode()).decode()


@pytest.mark.parametrize(
    "text",
    [
        "x",
        "é",
        "\x00",
        "x" * 5_000,
        "W10",
        base64.urlsafe_b64encode(b"\xff\xfe").decode(),
        base64.urlsafe_b64encode(b"[" * 200).decode(),
        cursor("n", "2026-01-01T00:00:00+00:00", None),
        cursor("n", "2026-01-01T00:00:00+00:00", 1),
        cursor("n", "2026-01-01T00:00:00+00:00", []),
        cursor("n", "2026-01-01T00:00:00", "00000000-0000-4000-8000-000000000000"),
        cursor("n", "0001-01-01T00:00:00+14:00", "00000000-0000-4000-8000-000000000000"),
        cursor("p", "9999-12-31T23:59:59-14:00", "00000000-0000-4000-8000-000000000000"),
        cursor("n", 1, "x"),
        cursor(["n"], "2026-01-01T00:00:00+00:00", "x"),
        cursor("n", "2026-01-01T00:00:00+00:00", "x", "y"),
    ],
)
def test_a_cursor_that_is_none_is_refused(text, boss):
    for path in ("admin/users", "notifications", "client/files", "users/me/files", "fileshare/uploads"):
        response = boss.get(f"/api/{path}", {"cursor": text})

        assert (response.status_code, list(response.json()["errors"])) == (400, ["cursor"]), path


@pytest.mark.parametrize("path", ["/login", "/signup", "/forgot-password", "/verify-email", "/reset-password"])
@pytest.mark.parametrize("text", ["\x00", "a\x00b@example.org", "\ufffe", "😀" * 1_000, "x" * 100_000])
def test_a_page_takes_no_odd_text_badly(path, text, client, people):
    before = rows()
    fields = ("name", "email", "password", "token", "new_password", "next")

    response = client.post(path, dict.fromkeys(fields, text))

    assert response.status_code in (200, 400, 401)
    after = rows()
    assert {**after, "audit.Event": 0} == {**before, "audit.Event": 0}


def test_a_page_refuses_a_huge_form_with_a_page(client, people):
    response = client.post("/login", "email=" + "x" * 2**21, content_type="application/x-www-form-urlencoded")

    assert response.status_code == 413
    assert response["Content-Type"].startswith("text/html")


def test_too_many_fields_are_refused(client, people):
    response = client.post(
        "/login", "&".join(f"f{n}=x" for n in range(3_000)), content_type="application/x-www-form-urlencoded"
    )

    assert response.status_code == 400
