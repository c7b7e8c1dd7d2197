"""The portal reports a full disk as full, whichever part of it fails first."""

import errno
import sqlite3

import psycopg
import pytest
from django.db import OperationalError

from config.http.refusals import refusal_of
from config.outside.fullness import is_full

pytestmark = pytest.mark.once


def sqlite_full():
    """The error that SQLite raises when its file may not grow."""
    database = sqlite3.connect(":memory:")
    database.executescript("CREATE TABLE t (x); PRAGMA max_page_count = 1")
    with pytest.raises(sqlite3.OperationalError) as raised:
        database.execute("INSERT INTO t VALUES (zeroblob(1000000))")
    return raised.value


def of_django(cause):
    error = OperationalError("as Django wraps it")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (lambda: of_django(sqlite_full()), "disk_full"),
        (lambda: of_django(psycopg.errors.DiskFull("No space left on device")), "disk_full"),
        (lambda: OSError(errno.ENOSPC, "No space left on device"), "disk_full"),
        (lambda: of_django(psycopg.errors.AdminShutdown("ended")), "database_unavailable"),
        (lambda: OperationalError("database is locked"), "database_unavailable"),
    ],
)
def test_only_a_full_disk_is_called_full(make, code):
    error = make()

    refusal = refusal_of(error)

    assert (refusal.status, refusal.code, is_full(error)) == (503, code, code == "disk_full")
    assert refusal.retry_after > 0


def test_another_error_of_a_file_is_a_fault():
    assert refusal_of(FileNotFoundError(errno.ENOENT, "gone")) is None
