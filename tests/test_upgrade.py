"""A database of commit 0b6d9ca, with its demo and one of each other thing, upgrades in place: all rows stay unchanged.

That commit's migrations make the database. upgrade_0b6d9ca.json holds its rows as that commit's code wrote them. So
what must never change, such as the hashes of the log, is compared with what was, and not with today's code.
"""

import json

import pytest
from django.contrib.contenttypes.models import ContentType
from django.core.management import call_command
from django.core.management.color import no_style
from django.core.management.sql import emit_post_migrate_signal
from django.db import connection, connections, transaction
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.loader import MigrationLoader
from django.test import Client

from audit import chain, triggers, verifying
from audit.heads import Head
from audit.models import Event
from tests.fileshare.helpers import REAL_TRANSACTIONS
from tests.plugin import ROOT

pytestmark = [REAL_TRANSACTIONS, pytest.mark.both]

LEAVES = [
    ("accounts", "0006_api_tokens"),
    ("admin", "0003_logentry_add_action_flag_choices"),
    ("audit", "0006_folder_and_action"),
    ("fileshare", "0009_scan_state_and_holds"),
    ("payments", "0003_paid_amounts"),
    ("sessions", "0001_initial"),
]
# {(table, column): why} of the columns that a later migration changes or drops on purpose.
CHANGED = {}


@pytest.fixture(scope="module")
def old():
    return json.loads((ROOT / "tests" / "upgrade_0b6d9ca.json").read_text(encoding="utf-8"))


@pytest.fixture
def new_schema(transactional_db):
    """The schema of the tests' own database, which today's migrations made."""
    return schema()


@pytest.fixture
def empty_database(new_schema, tmp_path):
    """Replaces the tests' database by an empty one for one test."""
    facts, kept = connection.settings_dict, connection.settings_dict["NAME"]
    on_postgres = connection.vendor == "postgresql"
    name = f"{kept}_upgraded" if on_postgres else str(tmp_path / "upgraded.sqlite3")

    def administer(*statements):
        if on_postgres:
            with connection._nodb_cursor() as cursor:
                for statement in statements:
                    cursor.execute(f'{statement} "{name}"')

    connections.close_all()
    administer("DROP DATABASE IF EXISTS", "CREATE DATABASE")
    facts["NAME"] = name
    ContentType.objects.clear_cache()
    yield
    connections.close_all()
    facts["NAME"] = kept
    ContentType.objects.clear_cache()
    administer("DROP DATABASE")


def make(old):
    """Make the database that commit 0b6d9ca leaves behind. Returns its models, as apps."""
    executor = MigrationExecutor(connection)
    # That commit knew no squashed migrations.
    executor.loader = MigrationLoader(connection, replace_migrations=False)
    apps = executor.migrate(LEAVES).apps
    for app, name in executor.loader.replacements:
        executor.recorder.record_unapplied(app, name)
    tables = {apps.get_model(label): table for label, table in old["tables"].items()}
    assert set(tables) == {model for model in apps.get_models(include_auto_created=True) if not model._meta.proxy}
    with transaction.atomic():
        for model in tables:  # the rows of the file include those that the migrations insert
            model._base_manager.all()._raw_delete(connection.alias)
        for model, (columns, *rows) in tables.items():
            for row in rows:
                insert(model, dict(zip(columns, row, strict=True)))
    with connection.cursor() as cursor:
        for statement in connection.ops.sequence_reset_sql(no_style(), list(tables)):
            cursor.execute(statement)
    # What `migrate` did at its end: content types, permissions, the index of names, the triggers of the log.
    emit_post_migrate_signal(verbosity=0, interactive=False, db=connection.alias, apps=apps, plan=[])
    # The triggers name the columns that the log had then.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(triggers, "Event", apps.get_model("audit.Event"))
        triggers.lay_down()
        assert triggers.missing() == []
    return apps


def insert(model, facts):
    fields = {field.attname: field for field in model._meta.concrete_fields}
    row = model(**{name: fields[name].to_python(value) for name, value in facts.items()})
    # Save it raw, so that the times of the file stay: otherwise some fields would get the present time.
    row.save_base(raw=True, force_insert=True)


def stored(tables):
    """{table: {primary key: {column: value}}} of `tables`, which is {table: name of the primary key}."""
    found = {}
    for table, key in tables.items():
        with connection.cursor() as cursor:
            cursor.execute(f'SELECT * FROM "{table}"')  # noqa: S608 - the name of a table of ours
            columns = [column[0] for column in cursor.description]
            rows = [dict(zip(columns, values, strict=True)) for values in cursor.fetchall()]
        found[table] = {row[key]: row for row in rows}
    return found


def schema():
    """{table: (its columns by name, its constraints and indexes by name)}, in whatever order they were made."""
    found = {}
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            columns = connection.introspection.get_table_description(cursor, table)
            found[table] = (
                {column.name: tuple(column) for column in columns},
                connection.introspection.get_constraints(cursor, table),
            )
    return found


def test_a_database_with_demo_data_upgrades_in_place_and_loses_no_row(old, new_schema, empty_database, settings):
    settings.SECRET_KEY = old["secret_key"]
    apps = make(old)
    tables = {model._meta.db_table: model._meta.pk.column for model in map(apps.get_model, old["tables"])}
    before = stored(tables)

    call_command("migrate", interactive=False, verbosity=0)

    after = stored(tables)
    for table, rows in before.items():
        assert rows.keys() <= after[table].keys(), table
        for key, row in rows.items():
            kept = {name: value for name, value in row.items() if (table, name) not in CHANGED}
            assert kept.items() <= after[table][key].items(), table
    assert schema() == new_schema
    assert_log_is_whole(old, rows=39)
    assert_portal_goes_on(old)


def assert_log_is_whole(old, *, rows):
    report = verifying.verify(kept=[Head(**old["head"])])

    assert report.faults == []
    assert (report.checked, report.unsealed) == (rows, 0)


def assert_portal_goes_on(old):
    """A user of that time logs in and finds an old file, and the log goes on after its old rows."""
    browser = Client()

    assert browser.post("/login", {"email": "ops@demo.example", "password": "try-the-portal"}).status_code == 302
    for page in ("/fileshare/templates/", "/search?q=letterhe"):
        assert "Letterhead.docx" in browser.get(page).content.decode()
    chain.seal()
    assert Event.objects.latest("seq").action == "login"
    assert_log_is_whole(old, rows=40)
