"""An index that finds a part of a file's folded name quickly. The modules sqlite and postgresql implement it.

No Django model or migration makes the index: PostgreSQL may lack the extension, and SQLite drops the triggers when a
later migration makes the table of files again. So `ensure` runs after each `migrate` and makes what is missing.
"""

from django.db import connection, connections

from config.outside import statistics
from fileshare.models import File

from . import postgresql, sqlite

LEAST_LETTERS = 3
"""Shorter pieces have no trigram, so the index cannot find them."""

_BODIES = {"postgresql": postgresql, "sqlite": sqlite}


def ensure(*, using="default", **_facts):
    """Make the index of the database `using` if it is missing or incomplete. A receiver of post_migrate.

    When it was made, or the database has no statistics, they are made too. Does nothing on a database that is migrated
    to a state before the column of folded names.
    """
    database = connections[using]
    with database.cursor() as cursor:
        tables = database.introspection.table_names(cursor)
        table = File._meta.db_table
        described = database.introspection.get_table_description(cursor, table) if table in tables else ()
    if any(column.name == "folded_name" for column in described) and _BODIES[database.vendor].ensure(database):
        statistics.refresh(database)


def named(groups, *, tagged=None):
    """(SQL, parameters) for the ids of files whose folded name contains one piece of each group.

    The pieces are folded; each has at least LEAST_LETTERS letters. `tagged` is a queryset of ids that are added to
    them, or None.
    """
    sql, params = _body().named(groups)
    if tagged is not None:
        more, more_params = tagged.query.sql_with_params()
        sql, params = f"{sql} UNION {more}", [*params, *more_params]
    return sql, params


def among(sql, params):
    """The ids that `named` selects, as an expression for `pk__in`."""
    return _body().among(sql, params)


def _body():
    return _BODIES[connection.vendor]
