"""Whether an error means that a disk is full, here or at the database."""

import errno
import sqlite3

FULL_ERRNOS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
# PostgreSQL's disk_full (53100). A DatabaseError of Django has the driver's own as its cause.
SQLSTATE_DISK_FULL = "53100"


def is_full(error):
    """True for an OSError or a database error that says: no space is left.

    SQLite reports a write that reached the limit of a file's size as an error of input and output (SQLITE_IOERR_WRITE).
    """
    if isinstance(error, OSError) and error.errno in FULL_ERRNOS:
        return True
    cause = error.__cause__ or error
    if getattr(cause, "sqlstate", None) == SQLSTATE_DISK_FULL:
        return True
    return getattr(cause, "sqlite_errorcode", None) in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE)
