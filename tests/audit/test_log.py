"""The log: who did what from where, in copies that outlive both."""

import ast

import pytest
from django.db import transaction
from django.test import Client, RequestFactory

from audit.log import record
from audit.models import Action, Event
from config import context
from config.middleware import client_address
from tests.factories import UserFactory
from tests.test_imports import FILES, ROOT

pytestmark = pytest.mark.django_db
# What is called with an action to look rows up, not to write one.
LOOKING = {"filter", "exclude", "get", "Q", "When"}


def test_a_row_says_who_did_what_to_what(people, company_folder, report):
    before = set(Event.objects.values_list("pk", flat=True))

    record(Action.DOWNLOAD, user=people["colleague"], target=report, folder=company_folder, size_bytes=9, one_time=True)

    event = Event.objects.exclude(pk__in=before).get()
    assert (event.actor, event.actor_email) == (people["colleague"], "colleague@example.org")
    assert (event.target_type, event.target_id, event.target_name) == ("file", str(report.pk), "report.docx")
    assert (event.folder_slug, event.size_bytes, event.detail) == ("baobab-files", 9, {"one_time": True})


def test_id_and_address_outlive_the_user(people):
    user = UserFactory(email="gone@example.org")
    record(Action.LOGIN, user=user)
    pk = user.pk

    user.delete()

    event = Event.objects.get()
    assert (event.actor_id, event.actor_email) == (pk, "gone@example.org")


def test_a_claimed_address_is_kept_in_lower_case_and_cut(people):
    record(Action.LOGIN_FAILED, email="  Nobody@Example.org ")
    record(Action.LOGIN_FAILED, email="x" * 1000)

    assert {event.actor_email for event in Event.objects.all()} == {"nobody@example.org", "x" * 254}


def test_control_characters_and_long_names_do_no_harm(people):
    user = UserFactory.build(email="a\x00b\n\u202e" + "x" * 400)
    user.pk = people["client"].pk

    record(Action.USER_CHANGED, target=user)

    name = Event.objects.get().target_name
    assert name.isprintable()
    assert len(name) == 255


def test_a_row_goes_with_the_transaction_it_speaks_of(people):
    with transaction.atomic():
        record(Action.LOGIN, user=people["client"])
        transaction.set_rollback(True)

    assert not Event.objects.exists()


def test_outside_a_request_there_are_no_request_facts(people):
    record(Action.EXPIRED)

    event = Event.objects.get()
    assert (event.address, event.user_agent, event.request_id, event.actor_email) == (None, "", "", "")


def log_in(**headers):
    return Client().post("/login", {"email": "client@example.org", "password": "wrong"}, **headers)


def test_address_agent_and_request_id_come_from_the_request(people):
    response = log_in(REMOTE_ADDR="192.0.2.7", HTTP_USER_AGENT="curl/8 \x1b[31m" + "x" * 400)

    event = Event.objects.get()
    assert event.address == "192.0.2.7"
    assert event.user_agent.startswith("curl/8 ")
    assert event.user_agent.isprintable()
    assert len(event.user_agent) <= 300
    assert event.request_id == response["X-Request-ID"]
    assert context.current() == context.RequestFacts(), "forgotten after the answer"


@pytest.mark.parametrize(
    ("proxies", "forwarded", "address"),
    [
        (0, None, "192.0.2.7"),
        (0, "203.0.113.1", "192.0.2.7"),
        (1, None, "192.0.2.7"),
        (1, "203.0.113.1", "203.0.113.1"),
        (1, "198.51.100.66, 203.0.113.1", "203.0.113.1"),
        (2, "198.51.100.66, 203.0.113.1, 10.0.0.2", "203.0.113.1"),
        (2, "203.0.113.1", "192.0.2.7"),
        (1, " , ,203.0.113.1 , ", "203.0.113.1"),
        (1, "2001:db8::1", "2001:db8::1"),
        (1, "nonsense", None),
        (1, "'; DROP TABLE", None),
    ],
)
def test_x_forwarded_for_counts_as_far_as_proxies_of_ours_wrote_it(proxies, forwarded, address, people, settings):
    settings.TRUSTED_PROXY_COUNT = proxies
    headers = {} if forwarded is None else {"HTTP_X_FORWARDED_FOR": forwarded}

    log_in(REMOTE_ADDR="192.0.2.7", **headers)

    assert Event.objects.get().address == address


@pytest.mark.parametrize("address", ["", "unix:", "@"])
def test_a_server_that_knows_no_address_is_no_fault(address):
    assert client_address(RequestFactory().get("/", REMOTE_ADDR=address)) is None


@pytest.mark.parametrize(
    ("proxies", "given", "kept"),
    [(1, "trace-12345678", True), (0, "trace-12345678", False), (1, "short", False), (1, "evil\tlog line", False)],
)
def test_a_request_id_is_kept_from_a_proxy_of_ours_alone(proxies, given, kept, people, settings):
    settings.TRUSTED_PROXY_COUNT = proxies

    response = log_in(HTTP_X_REQUEST_ID=given)

    assert (response["X-Request-ID"] == given) is kept


def test_the_admin_shows_the_log_and_changes_nothing(client, people):
    record(Action.LOGIN, user=people["client"])
    event = Event.objects.get()
    client.force_login(people["super"])
    url = f"/admin/audit/event/{event.pk}"

    assert client.get(f"{url}/change/").status_code == 200
    assert client.post(f"{url}/change/", {"action": "delete"}).status_code == 403
    assert client.post(f"{url}/delete/", {"post": "yes"}).status_code == 403
    assert client.get("/admin/audit/event/add/").status_code == 403
    assert Event.objects.get(action="login") == event


def written_by(path):
    """The names of the Actions that the code in this file hands to a call which writes rows."""
    for call in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8"))):
        if isinstance(call, ast.Call) and getattr(call.func, "attr", getattr(call.func, "id", "")) not in LOOKING:
            for value in [*call.args, *[keyword.value for keyword in call.keywords]]:
                # `record(Action.THIS if so else Action.THAT)` writes either.
                for one in [value.body, value.orelse] if isinstance(value, ast.IfExp) else [value]:
                    if isinstance(one, ast.Attribute) and getattr(one.value, "id", "") == "Action":
                        yield one.attr


@pytest.mark.once
def test_every_kind_of_row_is_written_somewhere():
    written = {name for path in FILES if path.as_posix() != "audit/models.py" for name in written_by(path)}

    assert set(Action.__members__) - written == set()
