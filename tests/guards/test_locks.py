"""Two calls at once for every lock and conditional UPDATE: the second waits, skips the row or overtakes the first.

Deleting `select_for_update()` fails a case: the first never reaches the statement at which it must stop. Deleting
the condition of an UPDATE fails a case: the first, which stopped before it, does not lose. A lock or an UPDATE
without a case fails the inventories below.
"""

import ast
from functools import cache

import pytest
from django.db import connections

from tests.emptying import empty_tables
from tests.guards import races_of_accounts, races_of_files, races_of_links, races_of_logins, races_of_payments
from tests.guards.cases import CASES, World, told
from tests.guards.inventory import functions_that_call, name_of
from tests.guards.waiting import Statement, Stop, race

# Importing these modules registers their cases.
TABLES = (races_of_accounts, races_of_files, races_of_links, races_of_logins, races_of_payments)

# Functions with a conditional UPDATE that decides no race, and why.
NO_RACE = {
    "accounts.notices.digests._send": "rows that this transaction has locked",
    "accounts.notices.preferences.choose": "all that wait for the digest, whatever they say; their user is locked",
    "accounts.privacy.subject_rights._erase_account": "all lines of the admin's list about the user, who is locked",
    "accounts.second_factors.totp.check": "redundant: the device is locked, and matching_step takes newer steps only",
    "fileshare.files.move_to_trash": "rows that its caller has locked",
    "fileshare.files.take_from_trash": "rows that its caller has locked",
    "fileshare.folders.change_folder": "all files of the folder, which is locked",
    "fileshare.incoming.completion._claim_renewed.renew": "_mine is its condition, and that of _unclaim, "
    "which has a case",
    "fileshare.many.moving._update": "rows that this transaction has locked",
    "fileshare.models.files.FileQuerySet.count_downloads": "adds one to rows that this transaction has locked",
    "fileshare.outgoing.downloads._write": "adds how many there were, however many do",
    "fileshare.privacy.close": "all public files of the user",
    "fileshare.requests.file_requests._end_uploads": "rows that this transaction has locked",
}


@pytest.fixture(scope="module")
def transactional_db(django_db_setup, django_db_blocker):
    """Replaces pytest-django's fixture: empties the tables after the last case only, as the cases share no rows."""
    with django_db_blocker.unblock():
        yield
        empty_tables()
        connections.close_all()


@cache
def functions_with(statement):
    """The functions of the apps that send such a statement. For other kinds, only the functions that have a case."""
    if statement == Statement.LOCK:
        return frozenset(locks())
    if statement == Statement.UPDATE:
        return frozenset(functions_that_call(lambda call, _used: is_update(call)))
    return frozenset(case.function for case in CASES if case.statement == statement)


def locks():
    return functions_that_call(lambda call, _used: name_of(call) == "select_for_update")


def is_update(call):
    """Whether the call is an UPDATE by the ORM: `update` with keywords. That of a dict or a digest has none."""
    return name_of(call) == "update" and bool(call.keywords) and not call.args


def is_conditional(call, result_is_used):
    """Whether its result is used, or it filters by more than the primary key."""
    rows = call.func.value
    by_key_alone = isinstance(rows, ast.Call) and name_of(rows) == "filter" and not rows.args
    by_key_alone = by_key_alone and [keyword.arg for keyword in rows.keywords] == ["pk"]
    return result_is_used or not by_key_alone or ast.unparse(rows.func.value).count(".") > 1


@pytest.mark.postgres
@pytest.mark.parametrize("case", CASES, ids=str)
def test_of_two_at_once(case, transactional_db, settings, monkeypatch):
    first, second = case.acts(World(settings, monkeypatch.setattr))
    functions = functions_with(case.statement)

    outcome = race(first, second, Stop(case.function, case.statement, functions, case.number, case.before))

    assert (told(outcome.first), told(outcome.second)) == case.outcome, outcome
    assert outcome.second_waited is case.waits


@pytest.mark.once
def test_each_lock_has_its_case():
    cases = {}
    for case in CASES:
        if case.statement == Statement.LOCK:
            cases.setdefault(case.function, set()).add(case.number)

    assert set(cases) == set(locks())
    assert {name for name, count in locks().items() if len(cases[name]) < count} == set()


@pytest.mark.once
def test_each_conditional_update_has_its_case():
    functions = functions_that_call(lambda call, used: is_update(call) and is_conditional(call, used))

    cases = {case.function for case in CASES if case.statement == Statement.UPDATE}
    assert set(functions) == cases | set(NO_RACE)


@pytest.mark.once
def test_each_advisory_lock_has_its_case():
    functions = functions_that_call(
        lambda call, _used: any(
            isinstance(text, ast.Constant) and "pg_advisory_xact" in str(text.value) for text in call.args
        )
    )

    assert set(functions) == functions_with(Statement.ADVISORY_LOCK)
