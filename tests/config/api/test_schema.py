"""The OpenAPI document: what a reader sees of each call, and in which order."""

import pytest
import yaml

from audit.api import EventSerializer

pytestmark = [pytest.mark.django_db, pytest.mark.once]


@pytest.fixture
def schema(client):
    return client.get("/api/schema?format=json").json()


def test_it_comes_as_yaml_or_json(client, schema):
    answers = [client.get("/api/schema", headers={"accept": kind}) for kind in ("*/*", "application/json")]

    assert yaml.safe_load(answers[0].content) == answers[1].json() == schema


def test_every_call_has_a_short_summary_and_a_heading(schema):
    calls = {f"{method} {path}": call for path, item in schema["paths"].items() for method, call in item.items()}
    headings = [heading["name"] for heading in schema["tags"]]

    assert len(calls) >= 88
    assert {name: call["summary"] for name, call in calls.items() if not 8 <= len(call["summary"]) <= 110} == {}
    assert {name for name, call in calls.items() if call["summary"] in call.get("description", "")} == set()
    assert {tag for call in calls.values() for tag in call["tags"]} == set(headings)
    assert all(heading["description"].endswith(".") for heading in schema["tags"])


def test_headings_and_calls_stand_in_the_order_of_use(schema):
    assert [heading["name"] for heading in schema["tags"]] == [
        *("Signing in", "Your account", "Files", "Folders and direct uploads", "File requests", "M-Pesa"),
        *("Notices", "Administration"),
    ]
    paths = list(schema["paths"])
    for earlier, later in (
        ("/api/auth/signup", "/api/auth/login"),
        ("/api/auth/login", "/api/auth/logout"),
        ("/api/fileshare/upload/initiate", "/api/fileshare/upload/complete"),
        ("/api/fileshare/upload/complete", "/api/fileshare/download/{file_id}"),
        ("/api/files/upload", "/api/files/{file_id}/download"),
    ):
        assert paths.index(earlier) < paths.index(later)


def test_a_zip_is_listed_as_bytes_too(schema):
    calls = {path: item for path, item in schema["paths"].items() if "bulk" in path}
    answers = [item[method]["responses"] for item in calls.values() for method in item]

    assert len(answers) == 2
    assert {tuple(answer["200"]["content"]) for answer in answers} == {("application/zip", "application/octet-stream")}


def test_no_note_for_developers_describes_a_body(schema):
    described = [body.get("description", "") for body in schema["components"]["schemas"].values()]

    assert EventSerializer.__doc__ in described
    assert not [text for text in described if "REST framework" in text]
