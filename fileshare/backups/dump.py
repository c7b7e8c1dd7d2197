"""The database as gzipped lines of JSON: the same format from SQLite and PostgreSQL, and readable by both.

    {"format": 1, "made_at": …, "migrations": {app: the last one applied}}
    {"model": "accounts.user", "fields": […]}       for each table, followed by its rows:
    [value, …]
    {"rows": {model: how many}}                     the last line

Sessions are left out: they are short-lived, and a restore must end them. So are signs of life. At most a few thousand
rows are in memory at a time.
"""

import base64
import datetime
import gzip
import json
import uuid
from contextlib import contextmanager
from decimal import Decimal
from itertools import islice

from django.apps import apps
from django.contrib.contenttypes.models import ContentType
from django.contrib.sessions.models import Session as DjangoSession
from django.core.management.color import no_style
from django.db import DEFAULT_DB_ALIAS, connection, connections, models, transaction
from django.db.migrations.recorder import MigrationRecorder
from django.utils import timezone
from django.utils.duration import duration_string
from django.utils.translation import gettext as _

from accounts.models import Session
from audit import triggers
from config.models import Heartbeat

from . import BackupRefused

FORMAT = 1
CHUNK_ROWS = 2000
SNAPSHOT = "snapshot"
SHORT_LIVED = (Session, DjangoSession, Heartbeat)


@contextmanager
def snapshot():
    """The alias of a separate connection that sees the database as it is now, until the block ends.

    The connection cannot write, and other connections go on writing. On PostgreSQL it is one REPEATABLE READ
    transaction, on SQLite a read transaction of the write-ahead log.
    """
    own = connections[DEFAULT_DB_ALIAS].copy(SNAPSHOT)
    if own.vendor == "sqlite":
        # The portal's other transactions are IMMEDIATE. Here that would block all writers.
        own.settings_dict["OPTIONS"]["transaction_mode"] = "DEFERRED"
    connections[SNAPSHOT] = own
    try:
        with transaction.atomic(using=SNAPSHOT), own.cursor() as cursor:
            if own.vendor == "sqlite":
                cursor.execute("PRAGMA query_only = ON")
            else:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            # The first read fixes the moment of the snapshot.
            cursor.execute("SELECT count(*) FROM django_migrations")
            yield SNAPSHOT
    finally:
        own.close()
        del connections[SNAPSHOT]


def write(stream, *, using, progress):
    """Write the database that the alias `using` sees to the binary `stream`. Returns (header, {model: rows}).

    Two dumps of the same rows differ only in `made_at`.
    """
    header = {"format": FORMAT, "made_at": timezone.now().isoformat(), "migrations": migrations(using)}
    rows = {}
    with gzip.GzipFile(fileobj=stream, mode="wb", compresslevel=6, mtime=0) as lines:
        lines.write(_line(header))
        for model in tables():
            names = [field.attname for field in _stored(model)]
            lines.write(_line({"model": model._meta.label_lower, "fields": names}))
            count = 0
            found = model._base_manager.using(using).order_by("pk").values_list(*names)
            for row in found.iterator(chunk_size=CHUNK_ROWS):
                lines.write(_line(row))
                count += 1
                progress.advance()
            rows[model._meta.label_lower] = count
        lines.write(_line({"rows": rows}))
    return header, rows


def check(header):
    """Raise BackupRefused when a dump with this header does not fit the database's tables."""
    if header["format"] != FORMAT:
        raise BackupRefused(_("The backup has a format this portal does not know: %s.") % header["format"])
    then, now = header["migrations"], migrations(DEFAULT_DB_ALIAS)
    differing = [
        _("%(app)s is at %(then)s in the backup and at %(now)s here")
        % {"app": app, "then": then.get(app, "–"), "now": now.get(app, "–")}
        for app in sorted(then.keys() | now.keys())
        if then.get(app) != now.get(app)
    ]
    if differing:
        raise BackupRefused(
            _(
                "The tables are not those of the backup: %s. Restore it with the version of the portal that made it "
                "(or migrate an empty database to that state), then upgrade."
            )
            % "; ".join(differing)
        )


def load(stream, *, progress):
    """Replace all rows of the database with those of the dump in the binary `stream`. All sessions end.

    Call it in a transaction, and roll that back when it raises. Raises BackupRefused when the dump is cut short or has
    other columns, and IntegrityError when a row names a row that does not exist.
    """
    every = {model._meta.label_lower: model for model in tables()}
    loaded, expected = {}, None
    with gzip.GzipFile(fileobj=stream, mode="rb") as lines, connection.cursor() as cursor:
        check(json.loads(lines.readline()))
        emptied = [model._meta.db_table for model in (*every.values(), *SHORT_LIVED)]
        with triggers.lifted():
            connection.ops.execute_sql_flush(connection.ops.sql_flush(no_style(), emptied))
            for section, rows in _sections(lines):
                if "rows" in section:
                    expected = section["rows"]
                    break
                name = section["model"]
                loaded[name] = _insert(cursor, every.get(name), section, rows, progress)
        if expected is None or expected != loaded:
            raise BackupRefused(_("The dump is not whole."))
        for statement in connection.ops.sequence_reset_sql(no_style(), every.values()):
            cursor.execute(statement)
    connection.check_constraints()
    ContentType.objects.clear_cache()
    return loaded


def migrations(using):
    """{app: the last migration applied to it} of the installed apps."""
    last = {}
    for app, name in MigrationRecorder(connections[using]).applied_migrations():
        if app in apps.app_configs:
            last[app] = max(name, last.get(app, ""))
    return last


def tables():
    """The models whose rows a dump contains: one for each table, including the tables of many-to-many relations."""
    return [
        model
        for model in apps.get_models(include_auto_created=True)
        if model._meta.managed and not model._meta.proxy and model not in SHORT_LIVED
    ]


def _stored(model):
    return [field for field in model._meta.local_concrete_fields if not field.generated]


def _sections(lines):
    """Yield (the object that begins a section, an iterator over its rows). The caller reads them in order."""
    opened = json.loads(lines.readline())

    def rows():
        nonlocal opened
        opened = None
        for line in lines:
            value = json.loads(line)
            if isinstance(value, dict):
                opened = value
                return
            yield value

    while opened is not None:
        section = opened
        below = rows()
        yield section, below
        for _rest in below:
            pass


def _insert(cursor, model, section, rows, progress):
    if model is None or section["fields"] != [field.attname for field in _stored(model)]:
        raise BackupRefused(_("The columns of %s are not those of the backup.") % section["model"])
    quoted, fields = connection.ops.quote_name, _stored(model)
    columns = ", ".join(quoted(field.column) for field in fields)
    marks = ", ".join(["%s"] * len(fields))
    # Do not use the models' save(): it would change times. The names come from the models, the values are parameters.
    statement = f"INSERT INTO {quoted(model._meta.db_table)} ({columns}) VALUES ({marks})"  # noqa: S608
    savers = [_saver(field) for field in fields]
    count = 0
    while chunk := list(islice(rows, CHUNK_ROWS)):
        values = [[save(value) for save, value in zip(savers, row, strict=True)] for row in chunk]
        cursor.executemany(statement, values)
        count += len(chunk)
        progress.advance(len(chunk))
    return count


def _saver(field):
    """A function that turns a value of the dump into one for the database."""
    database = connections[DEFAULT_DB_ALIAS]  # not the proxy `connection`, which costs a look-up per value
    if isinstance(field, models.JSONField) and not field.null:
        # None means JSON's null here, because the column does not accept SQL's NULL.
        return lambda value: field.get_db_prep_value(value, database)
    return lambda value: field.get_db_prep_save(field.to_python(value), database)


def _line(value):
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=_portable).encode() + b"\n"


def _portable(value):
    """A value that JSON has no type for, as text that the field's to_python() reads back."""
    if isinstance(value, datetime.datetime | datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, datetime.timedelta):
        return duration_string(value)
    if isinstance(value, bytes | memoryview):
        return base64.b64encode(value).decode()
    if isinstance(value, uuid.UUID | Decimal):
        return str(value)
    raise TypeError(f"{type(value)} in a row")
