"""The index of folded names on PostgreSQL: a GIN index of their trigrams, made by the extension pg_trgm."""

# ruff: noqa: S608, S611 (the SQL is built from names of the portal's tables; what users write is passed as parameters)

import logging
from contextlib import nullcontext

from django.db import DatabaseError, connection, transaction
from django.db.models.expressions import RawSQL

from fileshare.models import File

logger = logging.getLogger(__name__)
FILES = File._meta.db_table


def ensure(database):
    """Make the index unless it exists. Returns True when the statistics of the tables are missing or old.

    Files are written meanwhile, except when the caller is in a transaction: PostgreSQL has no such index there.
    If the extension cannot be created, log a warning; search works without it.
    """
    aside, whole = "CONCURRENTLY", nullcontext()
    if database.in_atomic_block:
        aside, whole = "", transaction.atomic(using=database.alias)
    with database.cursor() as cursor:
        cursor.execute("SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass('file_folded_trigrams')")
        found = cursor.fetchone()
        if found == (True,):
            # PostgreSQL's own tools restore rows without statistics.
            known = "SELECT FROM pg_stats WHERE schemaname = current_schema() AND tablename = %s"
            cursor.execute(f"SELECT EXISTS (SELECT FROM {FILES}) AND NOT EXISTS ({known})", [FILES])
            return cursor.fetchone()[0]
        try:
            with transaction.atomic(using=database.alias):
                cursor.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm")
            with whole:
                if found:  # A run that was broken off left it, and PostgreSQL does not use it.
                    cursor.execute(f"DROP INDEX {aside} file_folded_trigrams")
                # No fastupdate: its list of names that are not indexed yet would slow each search.
                cursor.execute(
                    f"CREATE INDEX {aside} file_folded_trigrams ON {FILES} "
                    "USING gin (folded_name gin_trgm_ops) WITH (fastupdate = off)"
                )
        except DatabaseError as error:
            logger.warning(
                "Search goes without an index and is slow on many files: the extension pg_trgm cannot be made (%s). "
                "Let an administrator of the database run CREATE EXTENSION pg_trgm, then migrate again.",
                str(error).strip(),
            )
    return True


def named(groups):
    """See index.named."""
    one_of = [" OR ".join(["folded_name LIKE %s"] * len(group)) for group in groups]
    like = " AND ".join(f"({condition})" for condition in one_of)
    sql = f"SELECT id FROM {FILES} WHERE deleted_at IS NULL AND {like}"
    return sql, [f"%{connection.ops.prep_for_like_query(piece)}%" for group in groups for piece in group]


def among(sql, params):
    """See index.among."""
    # MATERIALIZED makes PostgreSQL ask the index first. Otherwise the planner walks the newest files to fill the page,
    # and for a rare word it walks all files.
    return RawSQL(f"WITH named AS MATERIALIZED ({sql}) SELECT * FROM named", params)
