"""What finds a part of a file's name quickly: pg_trgm on PostgreSQL, FTS5 with trigrams on SQLite.

Neither is a model of Django's: PostgreSQL may lack the extension, and SQLite's triggers fall with every
table that a later migration makes anew. So `ensure` stands after every `migrate` and puts back what is missing.
"""

# ruff: noqa: S608, S611 (names of our own tables are put together here; what people write is a parameter)

import logging

from django.db import DatabaseError, connections, transaction
from django.db.models.expressions import RawSQL

from .models import File

logger = logging.getLogger(__name__)
FILES = File._meta.db_table
LEAST_LETTERS = 3
"""Shorter pieces of a name have no trigram, so that no index knows them."""

# SQLite may renumber its own rowids, so that the numbers of the index are kept in a table of ours. The index
# keeps no names: what it forgets on a change is told to it.
FORGET = (
    "INSERT INTO fileshare_name_index (fileshare_name_index, rowid, filename) "
    "SELECT 'delete', id, old.filename FROM fileshare_name_number WHERE file_id = old.id;"
)
LEARN = (
    "INSERT INTO fileshare_name_index (rowid, filename) "
    "SELECT id, new.filename FROM fileshare_name_number WHERE file_id = new.id;"
)
TABLES = {
    "fileshare_name_number": "CREATE TABLE {name} (id integer PRIMARY KEY, file_id char(32) NOT NULL UNIQUE)",
    "fileshare_name_index": "CREATE VIRTUAL TABLE {name} USING fts5(filename, content='', tokenize='trigram')",
}
TRIGGERS = {
    "fileshare_name_added": (
        f"CREATE TRIGGER {{name}} AFTER INSERT ON {FILES} BEGIN "
        f"INSERT INTO fileshare_name_number (file_id) VALUES (new.id); {LEARN} END"
    ),
    "fileshare_name_changed": (
        f"CREATE TRIGGER {{name}} AFTER UPDATE OF filename ON {FILES} WHEN old.filename <> new.filename BEGIN "
        f"{FORGET} {LEARN} END"
    ),
    "fileshare_name_removed": (
        f"CREATE TRIGGER {{name}} AFTER DELETE ON {FILES} BEGIN "
        f"{FORGET} DELETE FROM fileshare_name_number WHERE file_id = old.id; END"
    ),
}
FILL = (
    f"INSERT INTO fileshare_name_number (file_id) SELECT id FROM {FILES}",
    "INSERT INTO fileshare_name_index (rowid, filename) SELECT number.id, file.filename "
    f"FROM fileshare_name_number number JOIN {FILES} file ON file.id = number.file_id",
)


def ensure(*, using="default", **_facts):
    """Make the index of the database `using` where it is missing or not whole; receiver of post_migrate."""
    connection = connections[using]
    if FILES not in connection.introspection.table_names():
        return
    if connection.vendor == "sqlite":
        _ensure_fts5(connection)
    else:
        _ensure_trigrams(connection)


def _ensure_fts5(connection):
    wanted = {**TABLES, **TRIGGERS}
    with transaction.atomic(using=connection.alias), connection.cursor() as cursor:
        cursor.execute("SELECT name FROM sqlite_master WHERE name LIKE 'fileshare_name_%'")
        if wanted.keys() <= {name for (name,) in cursor.fetchall()}:
            return
        for kind, names in (("TRIGGER", TRIGGERS), ("TABLE", TABLES)):
            for name in names:
                cursor.execute(f"DROP {kind} IF EXISTS {name}")
        for name, sql in wanted.items():
            cursor.execute(sql.format(name=name))
        for sql in FILL:
            cursor.execute(sql)


def _ensure_trigrams(connection):
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM pg_indexes WHERE indexname = 'file_name_trigrams' AND tablename = %s", [FILES])
        if cursor.fetchone():
            return
        try:
            with transaction.atomic(using=connection.alias):
                cursor.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm")
                # The expression of Django's icontains. Names that wait to be indexed would slow every search.
                cursor.execute(
                    f"CREATE INDEX file_name_trigrams ON {FILES} "
                    "USING gin (UPPER(filename::text) gin_trgm_ops) WITH (fastupdate = off)"
                )
        except DatabaseError as error:
            logger.warning(
                "Search goes without an index and is slow on many files: the extension pg_trgm cannot be made (%s). "
                "Let an administrator of the database run CREATE EXTENSION pg_trgm, then migrate again.",
                str(error).strip(),
            )


def named(groups, *, tagged=None, using="default"):
    """(SQL, parameters): the ids of the files whose name holds, in any case, one piece of each group; and of `tagged`.

    Each piece has LEAST_LETTERS or more; `tagged` is a queryset of ids, or None.
    """
    connection = connections[using]
    if connection.vendor == "sqlite":
        quoted = [['"' + piece.replace('"', '""') + '"' for piece in group] for group in groups]
        match = " AND ".join(f"({' OR '.join(group)})" for group in quoted)
        sql = (
            "SELECT fileshare_name_number.file_id FROM fileshare_name_index "
            "JOIN fileshare_name_number ON fileshare_name_number.id = fileshare_name_index.rowid "
            "WHERE fileshare_name_index MATCH %s"
        )
        params = [match]
    else:
        one_of = [" OR ".join(["UPPER(filename::text) LIKE UPPER(%s)"] * len(group)) for group in groups]
        like = " AND ".join(f"({condition})" for condition in one_of)
        sql = f"SELECT id FROM {FILES} WHERE deleted_at IS NULL AND {like}"
        params = [f"%{connection.ops.prep_for_like_query(piece)}%" for group in groups for piece in group]
    if tagged is not None:
        more, more_params = tagged.query.sql_with_params()
        sql, params = f"{sql} UNION {more}", [*params, *more_params]
    return sql, params


def among(sql, params, *, using="default"):
    """Such ids as an expression, good for `pk__in`."""
    if connections[using].vendor != "sqlite":
        # Left to itself the planner walks the newest files for the page, and for a rare word all of them.
        sql = f"WITH named AS MATERIALIZED ({sql}) SELECT * FROM named"
    return RawSQL(sql, params)


def are_few(querysets, most):
    """True when these together have no more than `most` rows."""
    queries = [queryset.order_by().values("pk").query.sql_with_params() for queryset in querysets]
    return sum(count(queries, most)) <= most


def count(queries, most, *, using="default"):
    """How many ids each of these (SQL, parameters) gives; of more than `most` only that they are more."""
    columns = [
        f"(SELECT COUNT(*) FROM (SELECT 1 FROM ({sql}) AS found LIMIT {most + 1}) AS counted)"
        for sql, _params in queries
    ]
    with connections[using].cursor() as cursor:
        cursor.execute(f"SELECT {', '.join(columns)}", [value for _sql, params in queries for value in params])
        return list(cursor.fetchone())
