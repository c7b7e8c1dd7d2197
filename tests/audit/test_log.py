"""The log: who did what from where. Its rows hold copies that stay when the user or the object is deleted."""

import ast

import pytest
from django.db import transaction
from django.test import Client, RequestFactory

from accounts.contributions.actions import Action
from audit import chain, triggers, verifying
from audit.actions import ACTIONS
from audit.actions import Action as LogAction
from audit.log import record, record_many
from audit.models import Event
from config import context
from config.errors import Refused
from config.http.middleware import client_address
from fileshare import files, folders
from fileshare.contributions.actions import Action as FileAction
from fileshare.outgoing import archives
from payments.contributions.actions import Action as PaymentAction
from tests.factories import UserFactory, store_file
from tests.test_imports import FILES, ROOT

pytestmark = pytest.mark.django_db
# These calls take an action to look rows up. Any other call with an action writes a row.
LOOKING = {"filter", "exclude", "get", "Q", "When"}
# Every action that the rows of a portal may hold.
WORDS = """
account_closed account_erased api_token_created api_token_revoked client_nudged company_changed data_exported
delete download email_changed email_verified expired file_changed file_copied file_moved folder_changed folder_created
folder_deleted hold_placed hold_released link_created link_refused log_accepted log_exported log_read login login_failed
login_locked logout password_changed password_reset_requested payment_callback_refused payment_reviewed
payment_settled payment_started payments_exported permission_granted permission_revoked plan_changed preview
profile_changed purge quarantine_released quarantined quota_repaired recovery_code_used request_changed
request_closed request_created request_refused restore role_changed second_factor_added second_factor_failed
second_factor_removed session_ended share_created share_refused share_revoked signup space_granted
store_reconciled token_reused upload upload_aborted upload_refused user_changed
"""


def test_a_row_says_who_did_what_to_what(people, company_folder, report):
    before = set(Event.objects.values_list("pk", flat=True))

    record(
        FileAction.DOWNLOAD, user=people["colleague"], target=report, folder=company_folder, size_bytes=9, one_time=True
    )

    event = Event.objects.exclude(pk__in=before).get()
    assert (event.actor, event.actor_email) == (people["colleague"], "colleague@example.org")
    assert (event.target_type, event.target_id, event.target_name) == ("file", str(report.pk), "report.docx")
    assert (event.folder_slug, event.size_bytes, event.detail) == ("baobab-files", 9, {"one_time": True})


def test_a_row_names_the_subfolder_of_what_it_tells_of(people, company_folder):
    boss, uploader = people["super"], people["uploader"]
    backups = folders.create_subfolder(user=boss, folder_id=company_folder.pk, name="VSZ Backups")
    with pytest.raises(Refused):
        store_file(user=uploader, folder=company_folder, subfolder=backups, filename="setup.exe")
    file = store_file(user=uploader, folder=company_folder, subfolder=backups, filename="report.docx")
    at_the_root = store_file(user=uploader, folder=company_folder)
    archives.make(user=uploader, file_ids=[file.pk, at_the_root.pk])
    files.delete(user=uploader, file_id=file.pk)
    files.purge(user=uploader, file_id=file.pk)
    folders.rename_subfolder(user=boss, subfolder_id=backups.pk, name="Backups")
    folders.delete_subfolder(user=boss, subfolder_id=backups.pk)
    record(FileAction.UPLOAD, target=at_the_root, folder=company_folder)

    told = Event.objects.order_by("created_at").values_list("action", "folder_slug", "subfolder_slug")
    inside = ["folder_created", "upload_refused", "upload", "download", "delete", "purge"]
    assert [row for row in told if row[2]] == [
        (action, "baobab-files", "vsz-backups") for action in [*inside, "folder_changed", "folder_deleted"]
    ]
    assert Event.objects.filter(subfolder_slug="", folder_slug="baobab-files").count() == 3
    chain.seal()
    assert verifying.verify().faults == []
    with triggers.lifted():
        Event.objects.filter(action="purge").update(subfolder_slug="configs")
    assert Event.objects.get(seq=verifying.verify().faults[0].seq).action == "purge"


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
    record(FileAction.EXPIRED)

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
    """The names of the Actions that the code of this file passes to a call that writes rows."""
    for call in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8"))):
        if isinstance(call, ast.Call) and getattr(call.func, "attr", getattr(call.func, "id", "")) not in LOOKING:
            for value in [*call.args, *[keyword.value for keyword in call.keywords]]:
                # `record(Action.THIS if so else Action.THAT)` may write either.
                for one in [value.body, value.orelse] if isinstance(value, ast.IfExp) else [value]:
                    if isinstance(one, ast.Attribute) and getattr(one.value, "id", "") == "Action":
                        yield one.attr


@pytest.mark.once
def test_every_kind_of_row_is_written_somewhere():
    written = {name for path in FILES for name in written_by(path)}
    members = [*LogAction, *Action, *FileAction, *PaymentAction]

    assert {action.value for action in members} == set(ACTIONS)
    assert {action.name for action in members} - written == set()


def test_an_action_that_no_app_has_handed_in_is_refused(people):
    with pytest.raises(LookupError, match="vanish"):
        record("vanish", user=people["client"])
    with pytest.raises(LookupError, match="vanish"):
        record_many("vanish", user=people["client"], targets=[(None, None, 1)])

    assert not Event.objects.exists()


def test_the_words_in_the_table_are_those_of_ever():
    """Rows keep the word that they were written with: a renamed action would lose its label and its filter."""
    assert list(ACTIONS) == WORDS.split()
