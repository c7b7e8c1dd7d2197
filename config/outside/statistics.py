"""The statistics from which PostgreSQL plans its queries. SQLite plans well without."""

from django.db import connection


def refresh(database=connection):
    """Have PostgreSQL look at all tables again; call it when many rows have changed at once.

    Autovacuum does so too, but some minutes later, and never where it is switched off.
    """
    if database.vendor == "postgresql":
        with database.cursor() as cursor:
            cursor.execute("ANALYZE")
