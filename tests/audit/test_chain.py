"""The chain of the log: the check finds a change made directly in the database, and names the row."""

import json
import math
import subprocess
import sys
import uuid
from datetime import timedelta

import pytest
from django.core.cache import cache
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.core.management import CommandError, call_command
from django.db import DatabaseError, IntegrityError, connection, transaction
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.loader import MigrationLoader
from django.utils import timezone

from accounts.contributions.actions import Action
from audit import chain, heads, tasks, triggers, verifying
from audit import parts as audit_parts
from audit.log import record, record_many
from audit.models import ChainHead, Event
from config.watch import metrics
from fileshare.contributions.actions import Action as FileAction
from tests.factories import SubfolderFactory, UserFactory
from tests.fileshare.helpers import REAL_TRANSACTIONS, at_once
from tests.plugin import ROOT
from tests.processes import environment_of

pytestmark = [pytest.mark.django_db, pytest.mark.both]
APPEND = """
import django; django.setup()
from audit.log import record
for number in range({count}):
    record("login", email="somebody@example.org", number=number)
"""


@pytest.fixture(autouse=True)
def no_pause(monkeypatch):
    """Place the rows at every commit, without the pause."""
    monkeypatch.setattr(chain, "PAUSE_SECONDS", 0)


@pytest.fixture
def log(people, settings, tmp_path):
    """Six rows of the colleague, all placed in the chain."""
    settings.STORAGES = {
        **settings.STORAGES,
        "default": {"BACKEND": "django.core.files.storage.FileSystemStorage", "OPTIONS": {"location": tmp_path}},
    }
    for number in range(6):
        record(FileAction.DOWNLOAD, user=people["colleague"], size_bytes=number, parts=[1, {"ä": None, "x": 2.5}])
    chain.seal()
    return list(Event.objects.order_by("seq"))


def tamper(statement, *values):
    """Execute a statement as an attacker would who controls the database and has removed the triggers."""
    with triggers.lifted(), connection.cursor() as cursor:
        cursor.execute(statement, values)


def pk(row):
    return Event._meta.pk.get_db_prep_value(row.pk, connection)


def verdict(**options):
    """[(row, message)] of the faults found."""
    kept, strange = heads.kept()
    return [(fault.seq, fault.text) for fault in verifying.verify(kept=kept, strange=strange, **options).faults]


def undone(user):
    """Write a row in a transaction that is rolled back."""
    with transaction.atomic():
        record(Action.LOGOUT, user=user)
        transaction.set_rollback(True)


# --- Placing ----------------------------------------------------------------------------------------


def test_each_row_holds_the_hash_of_the_one_before(log):
    hashes = [row.hash for row in log]

    assert [row.seq for row in log] == list(range(1, len(log) + 1))
    assert [row.prev_hash for row in log] == ["", *hashes[:-1]]
    assert len(set(hashes)) == len(log)
    assert (ChainHead.objects.get().seq, ChainHead.objects.get().hash) == (len(log), hashes[-1])
    assert verdict() == []


@REAL_TRANSACTIONS
def test_a_row_has_its_place_when_its_transaction_is_over():
    user = UserFactory()

    with transaction.atomic():
        record(Action.LOGIN, user=user)
        record(Action.LOGOUT, user=user)
        assert Event.objects.unsealed().count() == 2

    assert not Event.objects.unsealed().exists()
    assert verifying.verify().checked == 2


@REAL_TRANSACTIONS
def test_a_busy_process_places_many_rows_at_once(monkeypatch):
    monkeypatch.setattr(chain, "PAUSE_SECONDS", 3600)
    monkeypatch.setattr(chain._Last, "moment", -math.inf)

    for _time in range(3):
        record(Action.LOGIN, email="a@example.org")

    assert chain.unsealed_count() == 2
    assert chain.seal() == 2


@REAL_TRANSACTIONS
def test_what_is_undone_leaves_no_gap():
    user = UserFactory()
    record(Action.LOGIN, user=user)

    undone(user)
    with transaction.atomic():
        undone(user)
        record_many(FileAction.DOWNLOAD, user=user, targets=[(user, None, 1)] * 3)

    assert list(Event.objects.order_by("seq").values_list("seq", flat=True)) == [1, 2, 3, 4]
    assert verdict() == []


def test_rows_that_a_dead_process_left_get_their_place_from_the_schedule(log, people):
    record(Action.LOGIN, user=people["client"])
    assert chain.unsealed_count() == 1

    assert chain.seal() == 1

    assert (chain.unsealed_count(), verdict()) == (0, [])


@REAL_TRANSACTIONS
def test_many_at_once_make_one_chain():
    users = [UserFactory() for _ in range(8)]

    def act(number):
        for _time in range(10):
            with transaction.atomic():
                record(Action.LOGIN, user=users[number])
        return True

    assert all(at_once(8, act))
    chain.seal()

    report = verifying.verify()
    assert (report.checked, report.faults, report.unsealed) == (80, [], 0)


@REAL_TRANSACTIONS
def test_eight_processes_keep_one_chain(settings):
    environment = environment_of(settings)
    command = [sys.executable, "-c", APPEND.format(count=25)]
    processes = [subprocess.Popen(command, cwd=ROOT, env=environment) for _ in range(8)]

    assert [process.wait(120) for process in processes] == [0] * 8
    chain.seal()
    report = verifying.verify()
    assert (report.checked, report.faults, report.unsealed) == (200, [], 0)


@pytest.mark.postgres
@REAL_TRANSACTIONS
def test_nobody_waits_for_a_transaction_that_has_written_and_is_not_over():
    users = [UserFactory(), UserFactory()]

    def act(number):
        if number == 0:
            with transaction.atomic():
                record(Action.LOGIN, user=users[0])
                while not Event.objects.filter(actor=users[1].pk, seq__isnull=False).exists():
                    pass
            return True
        record(Action.LOGIN, user=users[1])
        return True

    assert at_once(2, act) == [True, True]
    assert verifying.verify().checked == 2


# --- Tampering --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        "action = 'login'",
        "actor_email = 'somebody@example.org'",
        "actor_id = NULL",
        "target_name = 'x'",
        "folder_slug = 'x'",
        "size_bytes = 7",
        "detail = '{}'",
        "address = '192.0.2.1'",
        "user_agent = 'x'",
        "request_id = 'x'",
        "created_at = '2020-01-01 00:00:00+00'",
        "prev_hash = hash",
        "hash = prev_hash",
    ],
)
def test_a_changed_row_is_named(change, log):
    tamper(f"UPDATE audit_event SET {change} WHERE id = %s", pk(log[3]))  # noqa: S608 - a change of this file

    (fault,) = verdict()
    assert fault[0] == 4
    assert "was changed" in fault[1]
    assert str(log[3].pk) in fault[1]


def test_a_row_placed_by_an_older_version_is_told_and_is_no_fault(log, people, monkeypatch, capsys):
    with monkeypatch.context() as older:
        older.setattr(chain, "LATER_FACTS", ())
        subfolder = SubfolderFactory()
        record(FileAction.DOWNLOAD, user=people["colleague"], folder=subfolder.folder, subfolder=subfolder)
        chain.seal()
    row = Event.objects.get(seq=7)

    report = verifying.verify()
    call_command("verify_audit")
    told = capsys.readouterr().err
    tamper("UPDATE audit_event SET size_bytes = 7 WHERE id = %s", pk(row))

    assert row.subfolder_slug
    assert (report.faults, report.older, report.first_older) == ([], 1, 7)
    assert "1 rows were placed by an older version of the portal, the first is row 7." in told
    assert verdict()[0][0] == 7


@pytest.mark.parametrize("number", [0, 2, 4])
def test_a_deleted_row_is_missing(number, log):
    tamper("DELETE FROM audit_event WHERE id = %s", pk(log[number]))

    ((seq, text),) = verdict()
    assert (seq, "missing" in text) == (number + 1, True)


def test_two_rows_that_changed_places_are_found(log):
    tamper("UPDATE audit_event SET seq = -1 WHERE id = %s", pk(log[1]))
    tamper("UPDATE audit_event SET seq = 2 WHERE id = %s", pk(log[3]))
    tamper("UPDATE audit_event SET seq = 4 WHERE id = %s", pk(log[1]))

    ((seq, text),) = verdict()
    assert (seq, "moved" in text) == (2, True)


@pytest.mark.parametrize("count", [1, 3, 6])
def test_an_end_that_was_cut_off_is_missed(count, log):
    for row in log[-count:]:
        tamper("DELETE FROM audit_event WHERE id = %s", pk(row))

    ((seq, text),) = verdict()
    assert (seq, f"should go on to row {len(log)}" in text) == (len(log) - count + 1, True)


def test_an_end_moved_back_to_hide_that_bears_no_signature(log, people):
    tamper("DELETE FROM audit_event WHERE id = %s", pk(log[5]))
    tamper("UPDATE audit_chainhead SET seq = 5, hash = %s", log[4].hash)

    assert verdict() == [(5, f"the end of the chain is not signed by this portal {verifying.OR_KEY}")]
    record(Action.LOGIN, user=people["client"])
    with pytest.raises(chain.HeadForged):
        chain.seal()


def test_a_chain_written_anew_from_the_changed_row_on_bears_no_signature(log):
    tamper("UPDATE audit_event SET size_bytes = 7 WHERE id = %s", pk(log[3]))
    digest = log[2].hash
    for row in log[3:]:
        facts = Event.objects.values(*chain.HASHED, "seq").get(pk=row.pk)
        prev, digest = digest, chain.hash_of(facts, digest)
        tamper("UPDATE audit_event SET prev_hash = %s, hash = %s WHERE id = %s", prev, digest, pk(row))
    tamper("UPDATE audit_chainhead SET hash = %s", digest)

    assert verdict() == [(6, f"the end of the chain is not signed by this portal {verifying.OR_KEY}")]


def test_an_older_end_put_back_is_caught_by_the_head_that_is_kept_elsewhere(log):
    older = ChainHead.objects.get()
    record(FileAction.DELETE, email="culprit@example.org")
    chain.seal()
    assert verifying.keep_head()[0].seq == 7
    tamper("DELETE FROM audit_event WHERE seq = 7")
    tamper("UPDATE audit_chainhead SET seq = 6, hash = %s, signature = %s", older.hash, older.signature)

    ((seq, text),) = verdict()
    assert (seq, "signs row 7" in text) == (7, True)


def test_a_row_slipped_in_behind_the_end_is_named(log):
    forged = {name: getattr(log[5], name) for name in chain.HASHED} | {"id": uuid.uuid4(), "seq": 7}
    place = {"prev_hash": log[5].hash, "hash": chain.hash_of(forged, log[5].hash)}
    with pytest.raises(IntegrityError, match="append-only"), transaction.atomic():
        Event.objects.create(**forged, **place)
    with triggers.lifted():
        Event.objects.create(**forged, **place)

    assert verdict()[0][0] == 7


def test_a_row_in_the_way_of_the_next_is_named_and_not_run_into(log, people, capsys):
    with triggers.lifted():
        Event.objects.create(action="login", seq=8, hash="x")
        Event.objects.create(action="login", seq=-5, hash="x")
    for _time in range(3):
        record(Action.LOGIN, user=people["client"])

    with pytest.raises(CommandError, match="not whole"):
        call_command("verify_audit")

    told = capsys.readouterr().err
    assert "Row 7: it is missing" in told
    assert "Row -5: it stands before the beginning" in told
    assert "could not be given their place" in told


def test_a_log_begun_anew_is_not_taken_for_a_fresh_one(log):
    verifying.keep_head()
    tamper("UPDATE audit_event SET seq = NULL, prev_hash = '', hash = ''")
    tamper("UPDATE audit_chainhead SET seq = 0, hash = '', signature = ''")

    with pytest.raises(chain.HeadForged):
        chain.seal()
    assert verdict()


def test_a_look_at_the_end_takes_no_alarm_back(log):
    verifying.keep_head()
    tamper("UPDATE audit_event SET size_bytes = 7 WHERE id = %s", pk(log[1]))
    assert verdict()
    assert metrics.recall("audit_faults") == 1

    assert verdict(after=6, after_hash=log[5].hash) == []

    # Simulate another process, which without Redis has an empty cache of its own.
    cache.clear()
    assert audit_parts.log().said == "The last check of the audit log found a fault."
    verifying.verify()
    assert metrics.recall("audit_faults") == 1
    verifying.verify(after=0)
    assert metrics.recall("audit_faults") == 1


def test_a_check_is_told_for_longer_than_the_next_takes_to_come_and_not_for_ever(log, monkeypatch):
    verifying.verify()
    assert metrics.recall("audit_faults") == 0
    assert timedelta(days=7) < verifying.TOLD_FOR <= timedelta(days=8)

    monkeypatch.setattr(verifying, "TOLD_FOR", timedelta(0))
    verifying.verify()

    assert metrics.recall("audit_faults") is None


def test_a_log_of_some_days_without_a_head_is_suspicious(log):
    with triggers.lifted():
        Event.objects.filter(seq=1).update(created_at=timezone.now() - timedelta(days=4))

    assert any("no head is kept" in text for _seq, text in verdict())


def test_a_log_emptied_with_its_end_is_missed_by_the_kept_head(log):
    verifying.keep_head()
    tamper("DELETE FROM audit_event")
    tamper("DELETE FROM audit_chainhead")

    ((seq, text),) = verdict()
    assert (seq, "missing" in text) == (1, True)


def test_an_end_that_is_gone_is_a_fault(log):
    tamper("DELETE FROM audit_chainhead")

    assert verdict() == [(6, "the end of the chain is not there")]


def test_a_forged_head_is_no_witness(log):
    verifying.keep_head()
    (name,) = default_storage.listdir(heads.FOLDER)[1]
    facts = json.loads(default_storage.open(f"{heads.FOLDER}/{name}").read())
    default_storage.delete(f"{heads.FOLDER}/{name}")
    default_storage.save(f"{heads.FOLDER}/{name}", ContentFile(json.dumps({**facts, "seq": 3}).encode()))

    assert "not signed by this portal" in verdict()[0][1]


def test_a_key_that_was_replaced_still_vouches(log, settings):
    verifying.keep_head()
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "another key of the portal, long enough to be one 0123456789"

    assert verdict() == []
    record(Action.LOGIN, email="a@example.org")
    assert chain.seal() == 1
    settings.SECRET_KEY_FALLBACKS = []
    assert "not signed" in verdict()[0][1], "the head of before the change has no key any more"


# --- Triggers ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_event SET size_bytes = 7",
        "UPDATE audit_event SET actor_id = NULL",
        "UPDATE audit_event SET seq = seq + 100",
        "UPDATE audit_event SET hash = 'x'",
        "UPDATE audit_event SET seq = NULL",
        "DELETE FROM audit_event",
        "DELETE FROM audit_event WHERE seq = 3",
        "INSERT INTO audit_event SELECT * FROM audit_event WHERE seq = 3",
    ],
)
def test_the_database_refuses(statement, log):
    with pytest.raises(IntegrityError, match="append-only"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)

    assert verdict() == []


@pytest.mark.postgres
def test_the_database_refuses_to_empty_the_table(log):
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("TRUNCATE audit_event CASCADE")


def test_missing_triggers_are_told_and_laid_down_by_migrate(log):
    with connection.cursor() as cursor:
        on = " ON audit_event" if connection.vendor == "postgresql" else ""
        cursor.execute(f"DROP TRIGGER audit_event_no_delete{on}")
    assert "audit_event_no_delete is missing" in verdict()[0][1]

    triggers.lay_down()

    assert verdict() == []


@pytest.mark.sqlite
def test_a_trigger_of_the_right_name_that_does_nothing_is_missing(log):
    with connection.cursor() as cursor:
        cursor.execute("DROP TRIGGER audit_event_no_delete")
        cursor.execute("CREATE TRIGGER audit_event_no_delete BEFORE DELETE ON audit_event BEGIN SELECT 1; END")
    assert triggers.missing() == ["audit_event_no_delete"]

    triggers.lay_down()

    assert triggers.missing() == []


@pytest.mark.postgres
def test_a_function_that_does_nothing_is_no_trigger(log):
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE OR REPLACE FUNCTION audit_event_refuse() RETURNS trigger LANGUAGE plpgsql "
            "AS $$ BEGIN RETURN OLD; END $$"
        )
    assert len(triggers.missing()) == len(triggers.NAMES)

    triggers.lay_down()

    assert triggers.missing() == []


@REAL_TRANSACTIONS
def test_migrations_of_the_log_go_back_and_forth():
    call_command("migrate", "audit", "zero", verbosity=0)
    call_command("migrate", "audit", verbosity=0)

    assert triggers.missing() == []


@REAL_TRANSACTIONS
def test_an_installation_with_some_of_the_squashed_migrations_goes_on_with_the_rest():
    squashed = ("audit", "0001_squashed_0006_folder_and_action")
    executor = MigrationExecutor(connection)
    executor.loader = MigrationLoader(connection, replace_migrations=False)
    triggers.take_away()
    executor.migrate([("audit", "0004_payments")])
    executor.recorder.record_unapplied(*squashed)

    call_command("migrate", "audit", verbosity=0)

    assert triggers.missing() == []
    assert {squashed, ("audit", "0005_chain")} <= executor.recorder.applied_migrations().keys()
    record(Action.LOGIN, email="person@example.org")
    assert Event.objects.get().seq == 1


@pytest.mark.postgres
def test_a_trigger_that_was_switched_off_is_missing(log):
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE audit_event DISABLE TRIGGER audit_event_no_update")

    assert triggers.missing() == ["audit_event_no_update"]


def test_erasing_a_user_keeps_the_chain_whole(log, people):
    people["colleague"].delete()

    assert verdict() == []
    assert Event.objects.filter(actor_email="colleague@example.org").count() >= 6


# --- The command and the daily head -----------------------------------------------------------------


def test_the_command_says_that_all_is_well(log, capsys):
    call_command("verify_audit")

    assert f"whole: {len(log)} rows, to row {len(log)}" in capsys.readouterr().out


def test_the_command_names_the_first_bad_row_and_fails(log, capsys):
    for row in log[2:5]:
        tamper("UPDATE audit_event SET size_bytes = 7 WHERE id = %s", pk(row))

    with pytest.raises(CommandError, match="not whole"):
        call_command("verify_audit")

    assert capsys.readouterr().err.count("Row ") == 1


def test_the_command_speaks_json(log, capsys):
    call_command("verify_audit", "--json")

    facts = json.loads(capsys.readouterr().out)
    assert (facts["checked"], facts["last_seq"], facts["faults"]) == (len(log), len(log), [])


def test_a_part_is_checked_behind_a_row_whose_hash_is_known(log, capsys):
    call_command("verify_audit", "--after", "3")
    assert "3 rows" in capsys.readouterr().out

    with pytest.raises(CommandError):
        call_command("verify_audit", "--after", "3", "--after-hash", "0" * 64)


def test_after_a_fault_was_looked_into_the_log_goes_on(log, people, commits):
    tamper("DELETE FROM audit_event WHERE id = %s", pk(log[5]))

    with commits():
        call_command("verify_audit", "--accept", "--reason", "restored")

    record(Action.LOGIN, user=people["client"])
    chain.seal()
    assert verdict() == []
    detail = Event.objects.get(action="log_accepted").detail
    assert (detail["seq"], detail["before"]["seq"], detail["reason"]) == (5, 6, "restored")


def test_what_is_accepted_and_rolled_back_leaves_no_head(log, commits):
    tamper("UPDATE audit_event SET size_bytes = 7 WHERE id = %s", pk(log[1]))

    with commits(), transaction.atomic():
        verifying.accept(reason="a slip of an administrator")
        transaction.set_rollback(True)

    assert heads.kept() == ([], [])
    assert [seq for seq, _text in verdict()] == [2]


def test_what_was_accepted_is_still_told_and_what_comes_after_is_watched(log, people, capsys, commits):
    verifying.keep_head()
    tamper("UPDATE audit_event SET size_bytes = 7 WHERE id = %s", pk(log[1]))
    with commits():
        verifying.accept(reason="a slip of an administrator")
    for _time in range(3):
        record(Action.LOGIN, user=people["client"])
    chain.seal()

    call_command("verify_audit")
    assert "Accepted before: row 2" in capsys.readouterr().err

    tamper("UPDATE audit_event SET size_bytes = 7 WHERE seq = 8")
    assert [seq for seq, _text in verdict()] == [8]


@REAL_TRANSACTIONS
def test_accepting_while_rows_are_placed_breaks_nothing(settings, tmp_path):
    settings.STORAGES = {
        **settings.STORAGES,
        "default": {"BACKEND": "django.core.files.storage.FileSystemStorage", "OPTIONS": {"location": tmp_path}},
    }
    user = UserFactory()
    record(Action.LOGIN, user=user)

    def act(number):
        for _time in range(10):
            if number:
                record(Action.LOGIN, user=user)
        if not number:
            verifying.accept()
        return True

    assert all(at_once(4, act))
    chain.seal()
    assert verdict() == []


def test_one_head_a_day_and_none_over_a_fault(log, caplog):
    head, _faults = verifying.keep_head()
    assert (head.seq, head.hash) == (6, log[5].hash)
    assert verifying.keep_head()[0] is None, "today's is there"
    assert heads.kept() == ([head], [])
    record(Action.LOGIN, email="a@example.org")
    chain.seal()
    tamper("UPDATE audit_event SET size_bytes = 7 WHERE seq = 7")
    name = f"{heads.FOLDER}/{timezone.now():%Y-%m-%d}.json"
    yesterday = f"{heads.FOLDER}/{timezone.now() - timedelta(days=1):%Y-%m-%d}.json"
    with default_storage.open(name) as stored:
        default_storage.save(yesterday, ContentFile(stored.read()))
    default_storage.delete(name)

    tasks.keep_head()

    assert len(heads.kept()[0]) == 1
    assert "row 7: it was changed or moved" in caplog.text


def test_a_strange_file_among_the_heads_stops_nothing_and_is_told(log):
    verifying.keep_head()
    default_storage.save(f"{heads.FOLDER}/9999.json", ContentFile(b"{"))

    assert verdict() == [(None, "audit-heads/9999.json is no head of the log")]


def test_a_head_nobody_signed_does_not_steer_the_next(log):
    forged = heads.Head(seq=10**6, hash="x", signed_at="2999-01-01T00:00:00+00:00", signature="x")
    heads.write(forged, "9999.json")

    head, (fault,) = verifying.keep_head()

    assert head.seq == 6
    assert "is not signed by this portal" in fault.text


@pytest.mark.parametrize("text", [b"", b"{}", b"[]", b'{"seq": "1", "hash": "", "signed_at": "", "signature": ""}'])
def test_a_file_that_is_no_head_is_named(text, log, tmp_path, capsys):
    (tmp_path / "2026-01-01.json").write_bytes(text)

    with pytest.raises(CommandError, match=r"2026-01-01\.json is no head"):
        call_command("verify_audit", "--heads", tmp_path)


def test_an_empty_log_is_whole(capsys):
    call_command("verify_audit")

    assert "whole: 0 rows" in capsys.readouterr().out
    assert verifying.keep_head()[0] is None
