"""Checks that ask the database and Redis whether they are set up so that the portal works.

The checks of the database run at each `manage.py migrate`, so with each start of a container set-up, and by
`manage.py check --database default`. Those of Redis need `--deploy` too. Plain `check --deploy` asks no server.
"""

import contextlib

from django.conf import settings
from django.core import checks
from django.db import DatabaseError, connections
from redis import Redis
from redis.exceptions import RedisError

LEAST_POSTGRESQL = 140_000
SHORTEST_TIMEOUT_MS = 60_000
"""A statement_timeout below this ends backups and migrations of a large portal."""
TRIES = 3
RESTORE = "Make a new one: CREATE DATABASE … ENCODING 'UTF8' LC_CTYPE 'C.UTF-8' TEMPLATE template0, backup, restore."


def _error(number, text, hint):
    return checks.Error(text, hint=hint, id=f"config.E{number:03}")


def _warning(number, text, hint):
    return checks.Warning(text, hint=hint, id=f"config.W{number:03}")


# --- Database -----------------------------------------------------------------------------------


@checks.register(checks.Tags.database)
def database_fits(app_configs, databases=None, **options):
    """E011…, W021…: what is wrong with each of the `databases`, and W020 when it cannot be asked."""
    found = []
    for alias in databases or ():
        connection = connections[alias]
        try:
            found += _of_postgresql(connection) if connection.vendor == "postgresql" else _of_sqlite(connection)
        except DatabaseError as error:
            # The first line names the server; libpq shows no password.
            text = f"The database could not be asked: {str(error).strip().splitlines()[0]}"
            found.append(_warning(20, text, "Start it, and compare DATABASE_URL with its address and password."))
    return found


def _of_postgresql(connection):
    facts = _facts(connection)
    text_of_ctype = f"The database's character type is {facts['ctype']}: it knows no capitals beyond A to Z."
    rules = [
        (
            facts["version"] < LEAST_POSTGRESQL,
            _error,
            11,
            f"PostgreSQL {facts['version'] // 10_000} is too old for the portal.",
            "Use PostgreSQL 14 or newer.",
        ),
        (facts["encoding"] != "UTF8", _error, 12, f"The database's encoding is {facts['encoding']}.", RESTORE),
        (
            facts["read_only"],
            _error,
            13,
            "The database can only be read: it is a replica, or default_transaction_read_only is on.",
            "Let DATABASE_URL name the primary server.",
        ),
        (
            facts["isolation"] != "read committed",
            _error,
            14,
            f"The database's default_transaction_isolation is {facts['isolation']}: requests at once would fail.",
            "ALTER DATABASE … SET default_transaction_isolation = 'read committed'.",
        ),
        (facts["encoding"] == "UTF8" and not facts["folds"], _warning, 21, text_of_ctype, RESTORE),
        (
            facts["collation_changed"],
            _warning,
            22,
            "The system's collation has changed since the database was made: its indexes may be out of order.",
            "REINDEX DATABASE …, then ALTER DATABASE … REFRESH COLLATION VERSION.",
        ),
        (
            0 < facts["statement_timeout"] < SHORTEST_TIMEOUT_MS,
            _warning,
            23,
            f"statement_timeout is {facts['statement_timeout']} ms: backups and migrations take longer.",
            "ALTER ROLE … SET statement_timeout = 0.",
        ),
        (
            facts["connections"] < settings.WEB_WORKERS * settings.WEB_THREADS + 10,
            _warning,
            24,
            f"The database takes {facts['connections']} connections, and busy web processes alone need "
            f"{settings.WEB_WORKERS * settings.WEB_THREADS}.",
            "Raise max_connections, or lower WEB_WORKERS or WEB_THREADS.",
        ),
    ]
    found = [kind(number, text, hint) for applies, kind, number, text, hint in rules if applies]
    if _is_pooled(connection):
        found.append(
            _error(
                15,
                "A pooler gives the database's connections to other clients after each transaction (transaction "
                "pooling): long reads, such as backups, exports and the check of the log, fail, and the lock on "
                "backups holds nothing.",
                "Let the portal through by pool_mode = session, or let DATABASE_URL name PostgreSQL itself.",
            )
        )
    return found


def _facts(connection):
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_encoding_to_char(encoding), datctype, current_setting('server_version_num')::int,"
            " current_setting('transaction_read_only')::bool OR pg_is_in_recovery(),"
            " current_setting('default_transaction_isolation'), current_setting('max_connections')::int,"
            " (SELECT setting::int FROM pg_settings WHERE name = 'statement_timeout')"
            " FROM pg_database WHERE datname = current_database()"
        )
        names = ("encoding", "ctype", "version", "read_only", "isolation", "connections", "statement_timeout")
        facts = dict(zip(names, cursor.fetchone(), strict=True))
        # Ask for what it does, not for its name: C, C.UTF-8 and those of ICU differ between systems. Ū and ū.
        facts["folds"] = facts["collation_changed"] = False
        if facts["encoding"] == "UTF8":
            cursor.execute(r"SELECT upper(U&'\016B') = U&'\016A'")
            facts["folds"] = cursor.fetchone()[0]
        if facts["version"] >= 150_000:
            cursor.execute(
                "SELECT COALESCE(datcollversion <> pg_database_collation_actual_version(oid), false)"
                " FROM pg_database WHERE datname = current_database()"
            )
            facts["collation_changed"] = cursor.fetchone()[0]
    return facts


def _is_pooled(connection):
    with contextlib.closing(connection.copy("first")) as first, contextlib.closing(connection.copy("second")) as second:
        return shares_a_server(first, second)


def shares_a_server(first, second):
    """True when two open connections to PostgreSQL talk to the same process of the server."""
    return any(_process(first) == _process(second) for _try in range(TRIES))


def _process(connection):
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return cursor.fetchone()[0]


def _of_sqlite(connection):
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA journal_mode")
        mode = cursor.fetchone()[0]
        cursor.execute("SELECT 1 FROM pragma_compile_options WHERE compile_options = 'ENABLE_FTS5'")
        searches = cursor.fetchone()
    found = []
    if mode not in ("wal", "memory"):
        hint = "Put DATA_DIR on a disk of this machine, not on a network's."
        found.append(_warning(25, f"SQLite writes no write-ahead log here (journal_mode={mode}).", hint))
    if not searches or connection.Database.sqlite_version_info < (3, 34):
        hint = "Use a Python with SQLite 3.34 or newer and FTS5, or PostgreSQL."
        found.append(_error(16, "This SQLite has no trigram index (FTS5), which search needs.", hint))
    return found


# --- Redis --------------------------------------------------------------------------------------


@checks.register(checks.Tags.database, deploy=True)
def redis_fits(app_configs, databases=None, **options):
    """E017…, W031…: what is wrong with Redis, and W030 when it cannot be asked."""
    if not (settings.REDIS_URL and databases):
        return []
    try:
        with Redis.from_url(settings.REDIS_URL, socket_connect_timeout=2, socket_timeout=3) as client:
            facts = client.info()
            # Managed services refuse CONFIG.
            with contextlib.suppress(RedisError):
                facts |= client.config_get("save")
    except (RedisError, OSError) as error:
        text = f"Redis could not be asked: {type(error).__name__}."
        return [_warning(30, text, "Start it, and compare REDIS_URL with its address and password.")]
    return redis_faults(facts)


def redis_faults(facts):
    """The messages on what `facts`, the answer to INFO with the setting `save`, says of a Redis."""
    policy = facts.get("maxmemory_policy", "noeviction")
    rules = [
        (facts.get("role", "master") != "master", _error, 17, "Redis is a replica.", "Let REDIS_URL name the primary."),
        (
            facts.get("redis_mode") == "cluster",
            _error,
            18,
            "Redis is a cluster, which the queue cannot use.",
            "Use a single Redis, with a replica if it has to survive a machine.",
        ),
        (
            facts.get("rdb_last_bgsave_status") == "err" or facts.get("aof_last_write_status") == "err",
            _error,
            19,
            "Redis cannot write to its disk and may refuse all changes.",
            "Make room on its disk and look into its log.",
        ),
        (
            policy != "noeviction" and facts.get("maxmemory"),
            _warning,
            31,
            f"Redis drops keys when its memory is full (maxmemory-policy {policy}): queued work and counts of rate "
            "limits get lost.",
            "Set maxmemory-policy noeviction, and a maxmemory that is large enough.",
        ),
        (
            facts.get("maxmemory") and facts.get("used_memory", 0) > 0.9 * facts["maxmemory"],
            _warning,
            32,
            "Redis uses more than nine tenths of its maxmemory.",
            "Raise maxmemory.",
        ),
        (
            facts.get("save") == "" and not facts.get("aof_enabled"),
            _warning,
            33,
            "Redis keeps nothing on disk: its restart forgets queued work, until the schedule finds it again, and all "
            "rate limits.",
            "Set appendonly yes.",
        ),
    ]
    return [kind(number, text, hint) for applies, kind, number, text, hint in rules if applies]
