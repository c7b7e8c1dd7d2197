"""Every call of the OpenAPI document, generated from its schema, by every role: no fault, and only documented answers.

FUZZ_EXAMPLES=200 .venv/bin/python -m pytest -q tests/test_fuzz.py     asks longer, and differently each time
"""

import functools
import os
import warnings
from collections import Counter
from datetime import timedelta

import pytest
import schemathesis
from django.core.signals import request_finished, request_started
from django.db import close_old_connections
from django.utils import timezone
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as hypothesis_settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi import checks

from accounts.credentials import api_tokens, tokens
from accounts.scopes import SCOPES
from config.wsgi import application
from fileshare import folders
from tests.fakes import documents as samples
from tests.payments.daraja import simulated  # noqa: F401 - a fixture
from tests.test_matrix import ROLES, World, undone

pytestmark = [pytest.mark.django_db, pytest.mark.once, pytest.mark.made_up_secrets]
EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "0"))
# API tokens: one with all scopes but admin, and one that may only read files.
TOKENS = {"token of uploader": set(SCOPES) - {"admin"}, "reading token of super": {"files:read"}}
EVERYBODY = [*ROLES, *TOKENS]
# These roles send every kind of case. The others, to save time, send only the kind that gets furthest.
ALWAYS = ["nobody", "colleague", "uploader", "super"]
CHECKS = [
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
]
# First words of the paths: a test for each, so that xdist workers can share the work.
GROUPS = ["auth", "users", "notifications", "admin", "ops client files", "fileshare", "file-requests", "mpesa", ""]


@functools.cache
def operations():
    """{first word: [operation, …]} of the document that /api/schema gives."""
    schema = schemathesis.openapi.from_wsgi("/api/schema?format=json", application)
    found = {}
    for result in schema.get_all_operations():
        operation = result.ok()
        found.setdefault(operation.path.split("/")[2], []).append(operation)
    return found


@pytest.fixture(autouse=True)
def one_connection():
    """Keep the test's connection open: each request would close it."""
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    yield
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)


@pytest.fixture
def world(people, company_folder, report, daraja):
    folders.documents_folder()
    return World(people, company_folder, report)


def served(world):
    """{call: a body with more than one shape of answer, or one that no generator would make}."""
    named = {"content_type": "", "size_bytes": 100}
    batch = [{"filename": "a.docx", **named}, {"filename": "setup.exe", **named}, {"filename": "b.docx"}]
    return {
        "POST users/me/avatar": {"avatar": samples.png()},
        "POST fileshare/upload/initiate": {"folder_id": str(world.folder.pk), "files": batch},
    }


def cases(operation, world):
    """[(cases of an operation, the roles that send them)]: generated from the schema alone, with ids of existing rows,
    with a body that takes effect, and wrong ones."""
    call = f"{operation.method.upper()} {operation.path.removeprefix('/api/').replace('{', '<str:').replace('}', '>')}"
    known = {}
    for parameter in operation.path_parameters:
        name = f"<str:{parameter.name}>"
        known[parameter.name] = str(world.special_ids.get(call, world.ids.get(name, "nonsense")))
    ways = [operation.as_strategy()]
    if known:
        ways.append(operation.as_strategy(path_parameters=known))
    bodies = [bodies[call] for bodies in (served(world), world.bodies) if call in bodies]
    ways += [operation.as_strategy(path_parameters=known or None, body=body) for body in bodies]
    furthest = ways.pop()
    ways.append(operation.as_strategy(GenerationMode.NEGATIVE, path_parameters=known or None))
    return [(furthest, EVERYBODY), *[(way, EVERYBODY if EXAMPLES else ALWAYS) for way in ways]]


def bearers(people):
    """{role: its headers} of EVERYBODY."""
    raw = {role: tokens.access_for(people[role]) for role in ROLES if role != "nobody"}
    until = timezone.now() + timedelta(days=1)
    for name, scopes in TOKENS.items():
        owner = people[name.rpartition(" ")[2]]
        raw[name] = api_tokens.create(user=owner, name=name, scopes=list(scopes), expires_at=until)[1]
    plain = {"Accept-Encoding": "identity"}  # what asks here unpacks nothing
    return {"nobody": plain} | {role: plain | {"Authorization": f"Bearer {token}"} for role, token in raw.items()}


@pytest.mark.parametrize("group", GROUPS, ids=lambda group: group or "others")
def test_every_call_by_every_role_is_answered_as_documented(group, world, people):
    named = " ".join(GROUPS).split()
    chosen = [
        operation
        for word, found in operations().items()
        if (word in group.split() if group else word not in named)
        for operation in found
    ]
    headers, surprises = bearers(people), {}
    for operation in chosen:
        asked = Counter()
        for way, roles in cases(operation, world):
            asked += _ask(operation, way, {role: headers[role] for role in roles}, surprises)
        if never := [role for role in EVERYBODY if not asked[role]]:
            surprises[operation.label] = f"never asked by {', '.join(never)}"

    assert not surprises, "\n\n".join(f"{where}\n{what}" for where, what in surprises.items())


def _ask(operation, way, headers, surprises):
    """Send the cases of `way` as each role of `headers`, note the faults in `surprises`; how often each role asked."""
    times = Counter()

    @hypothesis_settings(
        max_examples=EXAMPLES or 1,
        derandomize=not EXAMPLES,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=way)
    def asked(case):
        for role, bearer in headers.items():
            with undone(), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                response = case.call(headers=bearer)
            times[role] += 1
            try:
                case.validate_response(response, checks=CHECKS)
            except (Exception, BaseExceptionGroup) as problem:  # noqa: BLE001 - reported at the end with all others
                key = f"{operation.label} by {role} → {response.status_code}"
                surprises.setdefault(key, _words(problem))

    try:
        asked()
    except Exception as problem:  # noqa: BLE001 - the generator failed, not the portal
        if "Unsatisfiable" not in type(problem).__name__:
            surprises.setdefault(f"{operation.label} (making cases)", f"{type(problem).__name__}: {problem}"[:1500])
    return times


def _words(problem):
    parts = getattr(problem, "exceptions", [problem])
    return "\n".join(str(part)[:700] for part in parts)


def test_the_document_is_asked_about_whole():
    asked = {operation.label for found in operations().values() for operation in found}
    named = set(" ".join(GROUPS).split())

    assert len(asked) > 70
    assert named <= set(operations())
