"""The index of folded names on SQLite: an FTS5 table of trigrams, which triggers keep up to date.

SQLite may renumber the rowids of the table of files, so a separate table keeps the number of each file in the index.
The index stores no names. So when a name changes, the trigger passes it the old name to remove.
"""

# ruff: noqa: S608, S611 (the SQL is built from names of the portal's tables; what users write is passed as parameters)

from django.db import transaction
from django.db.models.expressions import RawSQL

from fileshare.models import File

FILES = File._meta.db_table
FORGET = (
    "INSERT INTO fileshare_name_index (fileshare_name_index, rowid, folded_name) "
    "SELECT 'delete', id, coalesce(old.folded_name, '') FROM fileshare_name_number WHERE file_id = old.id;"
)
LEARN = (
    "INSERT INTO fileshare_name_index (rowid, folded_name) "
    "SELECT id, coalesce(new.folded_name, '') FROM fileshare_name_number WHERE file_id = new.id;"
)
TABLES = {
    "fileshare_name_number": "CREATE TABLE {name} (id integer PRIMARY KEY, file_id char(32) NOT NULL UNIQUE)",
    "fileshare_name_index": (
        "CREATE VIRTUAL TABLE {name} USING fts5(folded_name, content='', tokenize='trigram case_sensitive 1')"
    ),
}
TRIGGERS = {
    "fileshare_name_added": (
        f"CREATE TRIGGER {{name}} AFTER INSERT ON {FILES} BEGIN "
        f"INSERT INTO fileshare_name_number (file_id) VALUES (new.id); {LEARN} END"
    ),
    "fileshare_name_changed": (
        f"CREATE TRIGGER {{name}} AFTER UPDATE OF folded_name ON {FILES} "
        f"WHEN old.folded_name IS NOT new.folded_name BEGIN "
        f"{FORGET} {LEARN} END"
    ),
    "fileshare_name_removed": (
        f"CREATE TRIGGER {{name}} AFTER DELETE ON {FILES} BEGIN "
        f"{FORGET} DELETE FROM fileshare_name_number WHERE file_id = old.id; END"
    ),
}
FILL = (
    f"INSERT INTO fileshare_name_number (file_id) SELECT id FROM {FILES}",
    "INSERT INTO fileshare_name_index (rowid, folded_name) SELECT number.id, coalesce(file.folded_name, '') "
    f"FROM fileshare_name_number number JOIN {FILES} file ON file.id = number.file_id",
)


def ensure(database):
    """Make all tables and triggers again, and fill them, unless all exist as they stand here.

    If one was missing, the others are stale. Returns whether they were made.
    """
    wanted = {name: sql.format(name=name) for name, sql in {**TABLES, **TRIGGERS}.items()}
    with transaction.atomic(using=database.alias), database.cursor() as cursor:
        cursor.execute("SELECT name, sql FROM sqlite_master WHERE name LIKE 'fileshare_name_%'")
        if wanted.items() <= dict(cursor.fetchall()).items():
            return False
        for kind, names in (("TRIGGER", TRIGGERS), ("TABLE", TABLES)):
            for name in names:
                cursor.execute(f"DROP {kind} IF EXISTS {name}")
        for sql in wanted.values():
            cursor.execute(sql)
        for sql in FILL:
            cursor.execute(sql)
    return True


def named(groups):
    """See index.named."""
    quoted = [['"' + piece.replace('"', '""') + '"' for piece in group] for group in groups]
    match = " AND ".join(f"({' OR '.join(group)})" for group in quoted)
    sql = (
        "SELECT fileshare_name_number.file_id FROM fileshare_name_index "
        "JOIN fileshare_name_number ON fileshare_name_number.id = fileshare_name_index.rowid "
        "WHERE fileshare_name_index MATCH %s"
    )
    return sql, [match]


def among(sql, params):
    """See index.among."""
    return RawSQL(sql, params)
