"""Bad input: a 4xx of the contract's shape, quickly, and nothing stored."""

import base64
import json

import pytest
from django.apps import apps
from django.test import Client

from accounts import tokens
from tests.payments.daraja import simulated  # noqa: F401 - a fixture
from tests.test_matrix import API, World

pytestmark = pytest.mark.django_db
NOT_BY_JSON = ("POST users/me/avatar", "POST ops/upload", "POST files/upload")
# These take no body, or none that matters.
BODILESS = ("POST fileshare/download/<str:file_id>", "POST files/<str:file_id>/restore")
# Kept as it comes, whatever it is: tests/payments has their bad bodies and secrets.
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
    """How many rows there are of every kind."""
    return {model._meta.label: model.objects.count() for model in apps.get_models() if model._meta.managed}


def send(client, world, call, body, content_type="application/json"):
    method, route = call.split(" ", 1)
    return client.generic(method, world.path(f"api/{route}", call), body, content_type=content_type)


def assert_refused(response):
    assert 400 <= response.status_code < 500, response.content[:300]
    assert {"detail", "code"} <= set(response.json()) <= {"detail", "code", "errors"}
    assert len(response.content) < 20_000


@pytest.mark.parametrize("call", CALLS)
def test_a_body_that_is_no_object_of_known_fields_is_refused(call, boss, world):
    before = rows()

    for name, body in BODIES.items():
        response = send(boss, world, call, body)
        assert 400 <= response.status_code < 500, (name, response.status_code)
        assert_refused(response)

    assert rows() == before


@pytest.mark.parametrize("call", CALLS)
def test_a_body_that_is_nested_to_any_depth_is_no_fault(call, boss, world):
    method, route = call.split(" ", 1)
    name = next(iter(world.bodies.get(call, {"roles": 1})))

    for depth in [*range(5, 1_000, 45), *range(900, 1_000, 12)]:
        for field in (name, "roles"):
            body = json.dumps({field: 1}).replace("1", "[" * depth + "]" * depth)
            assert_refused(send(boss, world, call, body))


# What may be left out, and in a body that makes something so may be null.
MAY_BE_NULL = [
    ("POST mpesa/stkpush", "folder_id"),
    ("POST fileshare/upload/initiate", "content_type"),
    ("POST files/<str:file_id>/share", "password"),
]


@pytest.mark.parametrize("call", CALLS)
def test_each_field_of_a_wrong_kind_is_refused(call, boss, world):
    good = world.bodies.get(call, {})
    before = rows()

    for field in good:
        if isinstance(good[field], str):
            for wrong in ([], {}, None, True, 1, 1.5, "\x00", "\ud800", "a\x00b", [good[field]], {"a": good[field]}):
                if field == "filename" and isinstance(wrong, str):
                    continue  # a name's odd characters are stripped, not refused
                if wrong is None and (call, field) in MAY_BE_NULL:
                    continue
                response = send(boss, world, call, json.dumps({**good, field: wrong}))
                assert 400 <= response.status_code < 500, (field, wrong, response.status_code)
                assert_refused(response)

    assert rows() == before


@pytest.mark.parametrize("call", CALLS)
def test_a_body_of_more_than_a_mebibyte_is_refused_unread(call, boss, world):
    response = send(boss, world, call, json.dumps({"name": "x" * 1024 * 1024}))

    assert (response.status_code, response.json()["code"]) == (413, "body_too_large")


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "x", ""]
)
def test_a_body_that_is_not_json_is_refused(call, content_type, boss, world):
    response = send(boss, world, call, "name=x", content_type=content_type)

    assert response.status_code in (400, 401, 415)
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


@pytest.mark.parametrize("call", WITH_ID)
def test_an_id_that_is_none_is_not_found(call, boss, world):
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
        assert response.status_code == 404, (text, response.status_code)
        assert response.json()["code"] == "not_found"

    assert rows() == before


def cursor(*facts):
    return base64.urlsafe_b64encode(json.dumps(facts).encode()).decode()


@pytest.mark.parametrize(
    "path", ["admin/users", "notifications", "client/files", "users/me/files", "fileshare/uploads"]
)
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
def test_a_cursor_that_is_none_is_refused(path, text, boss, world):
    response = boss.get(f"/api/{path}", {"cursor": text})

    assert (response.status_code, list(response.json()["errors"])) == (400, ["cursor"])


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
