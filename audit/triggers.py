"""Database triggers that make the log append-only: they refuse to change, delete or truncate its rows.

A row is inserted without a place in the chain and gets its place once; no other column ever changes. The triggers are
created after each migrate. Before a migrate that changes the log's table they are dropped: SQLite loses the triggers of
a table that it rebuilds, and PostgreSQL changes no column that a trigger names.
"""

from contextlib import contextmanager

from django.db import connection

from .models import Event

TABLE = Event._meta.db_table
PLACE = ("seq", "prev_hash", "hash")
MESSAGE = "the audit log is append-only"
FUNCTION_BODY = f" BEGIN RAISE EXCEPTION '{MESSAGE}' USING ERRCODE = 'restrict_violation'; END "
NO_UPDATE, NO_DELETE, PLACED_ONCE, NO_PLACED_INSERT, NO_TRUNCATE = NAMES = (
    "audit_event_no_update",
    "audit_event_no_delete",
    "audit_event_placed_once",
    "audit_event_no_placed_insert",
    "audit_event_no_truncate",
)
# pg_trigger.tgtype: row 1, before 2, insert 4, delete 8, update 16, truncate 32.
TYPES = {NO_UPDATE: 19, NO_DELETE: 11, PLACED_ONCE: 19, NO_PLACED_INSERT: 7, NO_TRUNCATE: 34}


def _facts():
    return ", ".join(f'"{field.column}"' for field in Event._meta.local_fields if field.name not in PLACE)


def _statements():
    """{name: the statement that creates the trigger} for this database."""
    place = ", ".join(f'"{name}"' for name in PLACE)
    if connection.vendor == "postgresql":
        each, refuse, open_, close = "FOR EACH ROW ", "EXECUTE FUNCTION audit_event_refuse()", "(", ")"
    else:
        each, refuse, open_, close = "", f"BEGIN SELECT RAISE(ABORT, '{MESSAGE}'); END", "", ""
    rewritten = f"WHEN {open_}OLD.seq IS NOT NULL OR NEW.seq IS NULL{close} "
    placed = f"WHEN {open_}NEW.seq IS NOT NULL{close} "
    made = {
        NO_UPDATE: f"CREATE TRIGGER {NO_UPDATE} BEFORE UPDATE OF {_facts()} ON {TABLE} {each}{refuse}",
        NO_DELETE: f"CREATE TRIGGER {NO_DELETE} BEFORE DELETE ON {TABLE} {each}{refuse}",
        PLACED_ONCE: f"CREATE TRIGGER {PLACED_ONCE} BEFORE UPDATE OF {place} ON {TABLE} {each}{rewritten}{refuse}",
        NO_PLACED_INSERT: f"CREATE TRIGGER {NO_PLACED_INSERT} BEFORE INSERT ON {TABLE} {each}{placed}{refuse}",
    }
    if connection.vendor == "postgresql":  # SQLite has no TRUNCATE
        made[NO_TRUNCATE] = f"CREATE TRIGGER {NO_TRUNCATE} BEFORE TRUNCATE ON {TABLE} FOR EACH STATEMENT {refuse}"
    return made


def _columns(cursor):
    if TABLE not in connection.introspection.table_names(cursor):
        return set()
    return {column.name for column in connection.introspection.get_table_description(cursor, TABLE)}


def take_away(plan=(), **signal):
    """Drop the triggers.

    As a signal's receiver only before a migrate whose `plan` touches the log; called directly, always.
    """
    if signal and not any(migration.app_label == Event._meta.app_label for migration, _backwards in plan):
        return
    on_table = f" ON {TABLE}" if connection.vendor == "postgresql" else ""
    with connection.cursor() as cursor:
        if _columns(cursor):
            for name in NAMES:
                cursor.execute(f"DROP TRIGGER IF EXISTS {name}{on_table}")


def lay_down(**signal):
    """Create missing or wrong triggers; after each migrate, unless it went back to before the log's columns."""
    wrong = missing()
    with connection.cursor() as cursor:
        if not wrong or not {field.column for field in Event._meta.local_fields} <= _columns(cursor):
            return
        if connection.vendor == "postgresql":
            cursor.execute(
                "CREATE OR REPLACE FUNCTION audit_event_refuse() RETURNS trigger LANGUAGE plpgsql AS "
                f"$refuse${FUNCTION_BODY}$refuse$"
            )
        on_table = f" ON {TABLE}" if connection.vendor == "postgresql" else ""
        for name, statement in _statements().items():
            if name in wrong:
                cursor.execute(f"DROP TRIGGER IF EXISTS {name}{on_table}")
                cursor.execute(statement)


def missing():
    """The names of triggers that are missing, disabled, or different from what they should be."""
    with connection.cursor() as cursor:
        found = _found_on_postgresql(cursor) if connection.vendor == "postgresql" else _found_on_sqlite(cursor)
    return [name for name in _statements() if name not in found]


def _found_on_sqlite(cursor):
    cursor.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = %s", [TABLE])
    wanted = _statements()
    return {name for name, sql in cursor.fetchall() if sql == wanted.get(name)}


def _found_on_postgresql(cursor):
    if not _columns(cursor):
        return set()
    cursor.execute(
        "SELECT t.tgname, t.tgtype, coalesce(array_length(t.tgattr::int2[], 1), 0), t.tgqual IS NOT NULL "
        "FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid "
        "WHERE t.tgrelid = %s::regclass AND t.tgenabled IN ('O', 'A') AND p.prosrc = %s",
        [TABLE, FUNCTION_BODY],
    )
    columns = {NO_UPDATE: len(Event._meta.local_fields) - len(PLACE), PLACED_ONCE: len(PLACE)}
    conditional = (PLACED_ONCE, NO_PLACED_INSERT)
    return {
        name
        for name, kind, count, has_condition in cursor.fetchall()
        if (kind, count, has_condition) == (TYPES.get(name), columns.get(name, 0), name in conditional)
    }


@contextmanager
def lifted():
    """Drop the triggers for a block: a restore replaces the whole log by the backup's.

    On PostgreSQL call it in a transaction, so that other connections never see the table without triggers. In a nested
    block, the outermost creates them again.
    """
    outermost = len(missing()) < len(_statements())
    take_away()
    yield
    # Not after an error: the rollback restores the triggers.
    if outermost:
        lay_down()
