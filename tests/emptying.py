"""Empties the tables after a test on real transactions."""

from contextlib import ExitStack

from django.db import connection, transaction

from audit import triggers

# `migrate` fills these from the code.
KEPT = {"django_migrations", "django_content_type", "auth_permission"}


def empty_tables():
    """Delete all rows, also those of the log, except KEPT.

    Django would truncate: on PostgreSQL that makes a new file for each of some 200 tables and indexes, which takes far
    longer than to delete the few rows of a test. Django would also make content types and permissions again.
    """
    tables = sorted(set(connection.introspection.django_table_names(only_existing=True, include_views=False)) - KEPT)
    with ExitStack() as stack:
        if connection.vendor == "sqlite":
            stack.enter_context(triggers.lifted())
        # Foreign keys are checked at the commit, so the order does not matter.
        stack.enter_context(transaction.atomic())
        cursor = stack.enter_context(connection.cursor())
        statements = [f'DELETE FROM "{table}"' for table in tables]  # noqa: S608  names of our own models
        if connection.vendor == "sqlite":
            for statement in statements:
                cursor.execute(statement)
        else:
            log = [f"ALTER TABLE {triggers.TABLE} {verb} TRIGGER USER" for verb in ("DISABLE", "ENABLE")]
            cursor.execute("; ".join([log[0], *statements, "SET CONSTRAINTS ALL IMMEDIATE", log[1]]))
