"""The settings of the servers that the portal talks to: database, cache and queue, mail."""

import re
import ssl
from pathlib import Path
from urllib.parse import unquote, urlsplit

import environ
from django.core.exceptions import ImproperlyConfigured

from config.environment import env

SQLITE, POSTGRESQL = "django.db.backends.sqlite3", "django.db.backends.postgresql"
WATCHED_POSTGRESQL = "config.outside.postgresql"
"""Django's own backend, which also notices a server that is frozen."""
MAIL_BACKENDS = {
    "file": "config.outside.mail_backends.OneFileEachBackend",
    "console": "django.core.mail.backends.console.EmailBackend",
    "smtp": "config.outside.mail_backends.NamedSMTPBackend",
    "brevo": "anymail.backends.brevo.EmailBackend",
    # By SMTP: anymail keeps a back end for SendGrid's API, but no longer supports it.
    "sendgrid": "config.outside.mail_backends.NamedSMTPBackend",
}
# https://www.twilio.com/docs/sendgrid/ui/account-and-settings/smtp-ports; 465 speaks TLS from the start.
SENDGRID_PORTS = (587, 25, 2525)


def read(given):
    """Settings by name, from the environment; `given` are the settings read before. Raises ImproperlyConfigured."""
    return _database(given) | _redis(given) | _mail(given)


# --- Database -----------------------------------------------------------------------------------


def _database(given):
    url = env.secret("DATABASE_URL", f"sqlite:///{given.DATA_DIR / 'portal.sqlite3'}")
    # Check this first: for an unknown scheme the parser prints a warning that shows the password.
    engine = environ.Env.DB_SCHEMES.get(url.partition("://")[0])
    if engine not in (SQLITE, POSTGRESQL):
        raise ImproperlyConfigured("DATABASE_URL must be a postgres:// or sqlite:/// address.")
    try:
        database = environ.Env.db_url_config(url)
    except ValueError:
        # Do not show the address: it holds a password.
        raise ImproperlyConfigured("DATABASE_URL is not an address, or has a port that is none.") from None
    password = env.secret("PGPASSWORD")
    if engine == SQLITE:
        _prepare_sqlite(database, given.DATA_DIR)
    else:
        _prepare_postgresql(database, password, given)
    return {"DATABASES": {"default": database}, "PGPASSWORD": password}


def _prepare_sqlite(database, data_dir):
    Path(data_dir).mkdir(mode=0o750, parents=True, exist_ok=True)
    # With a database in memory, all threads of a test's server would share one connection.
    database["TEST"] = {"NAME": str(data_dir / "test.sqlite3")}
    database["OPTIONS"] = {
        "timeout": 20,
        # Take the write lock at the start. The second of two writers then waits for the first, instead of failing when
        # it upgrades a read lock.
        "transaction_mode": "IMMEDIATE",
        # temp_store: each statement that a trigger may stop would otherwise make a file and delete it.
        "init_command": (
            "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA busy_timeout=20000; PRAGMA temp_store=MEMORY;"
        ),
    }
    # Keep connections open. SQLite deletes the write-ahead log when the last one closes, and cannot create it again on
    # a full disk, not even to read.
    database["CONN_MAX_AGE"] = None


def _prepare_postgresql(database, password, given):
    database["ENGINE"] = WATCHED_POSTGRESQL
    database["CONN_MAX_AGE"] = env.count("DATABASE_CONN_MAX_AGE", 60)
    database["CONN_HEALTH_CHECKS"] = True
    # Notice a lost database: connecting fails within seconds, waiting within a minute (tcp_user_timeout in
    # milliseconds).
    defaults = {"connect_timeout": 5, "keepalives_idle": 20, "keepalives_interval": 10, "keepalives_count": 3}
    database["OPTIONS"] = defaults | {"tcp_user_timeout": 50_000} | database.get("OPTIONS", {})
    if not given.SITE_IS_LOCAL:
        _demand_password(database, password)
    # libpq reads PGPASSWORD by itself, but does not know PGPASSWORD_FILE.
    if password and not database["PASSWORD"] and not env.text("PGPASSWORD"):
        database["PASSWORD"] = password


def _demand_password(database, password):
    """Raise for a missing or weak password.

    It may be missing for a server on this machine, with a certificate, or where libpq finds it by itself.
    """
    found_by_libpq = env.text("PGPASSFILE") or env.text("PGSERVICE")
    needs_none = env.is_here(database.get("HOST", "")) or {"sslcert", "passfile", "service"} & {*database["OPTIONS"]}
    if database["PASSWORD"] or not (password or found_by_libpq or needs_none):
        env.demand_secret("DATABASE_URL's password", database["PASSWORD"])
    elif password:
        env.demand_secret("PGPASSWORD", password)


# --- Cache and queue ----------------------------------------------------------------------------


def _redis(given):
    url = env.secret("REDIS_URL")
    address = urlsplit(url)
    # Refuse unix://: the cache could use it, the queue could not.
    if url and address.scheme not in ("redis", "rediss"):
        raise ImproperlyConfigured("REDIS_URL must be a redis:// or rediss:// address.")
    env.demand_port("REDIS_URL", url)
    # For a Redis in a private network that asks for no password.
    without_password = env.switch("REDIS_WITHOUT_PASSWORD", False)
    needs_none = without_password or env.is_here(address.hostname or "")
    if url and not given.SITE_IS_LOCAL and (address.password or not needs_none):
        env.demand_secret("REDIS_URL's password", unquote(address.password or ""))
    settings = {
        "REDIS_URL": url,
        "REDIS_WITHOUT_PASSWORD": without_password,
        "CACHES": {"default": _cache(url)},
        # Without a broker the queue lives in the web process (config.embedded). Work that must not be lost is also a
        # row in the database, which the schedule finds.
        "CELERY_BROKER_URL": url or "memory://",
        "CELERY_BROKER_TRANSPORT_OPTIONS": _transport_options(url),
    }
    if address.scheme == "rediss":
        # kombu checks no certificate by default. A ?ssl_ca_certs=… in the address overrides this setting, and checks
        # too.
        settings["CELERY_BROKER_USE_SSL"] = {"ssl_cert_reqs": ssl.CERT_REQUIRED}
    return settings


def _cache(url):
    if url:
        return {
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": url,
            "KEY_PREFIX": "portal",
            # A Redis that hangs counts as down after these seconds, so that it does not block threads.
            "OPTIONS": {"socket_connect_timeout": 2, "socket_timeout": 3},
        }
    return {
        "BACKEND": "django.core.cache.backends.locmem.LocMemCache",
        "LOCATION": "portal",
        # Django's default of 300 entries would evict the counters of rate limits once a few hundred users are active.
        "OPTIONS": {"MAX_ENTRIES": 50_000},
    }


def _transport_options(url):
    if not url:
        return {"polling_interval": 0.2}
    return {
        # Redis delivers a job a second time when it runs longer than this (seconds), and some jobs take hours. A killed
        # worker's jobs wait as long, but the schedule finds again all that must not be lost. One value for both queues:
        # Redis keeps the unacknowledged jobs of both in one place.
        "visibility_timeout": 86_400,
        "socket_connect_timeout": 2,
        "socket_timeout": 5,
        # For a request that queues a task: kombu would retry for six seconds. Worker and beat wait for a broker as
        # CELERY_BROKER_CONNECTION_MAX_RETRIES says.
        "max_retries": 0,
    }


# --- Mail ---------------------------------------------------------------------------------------


def _mail(given):
    kind = env.one_of("EMAIL_BACKEND_KIND", "file", list(MAIL_BACKENDS))
    domain = env.mail_domain(given.SITE_HOST)
    settings = {
        "MAIL_DOMAIN": domain,
        "EMAIL_BACKEND_KIND": kind,
        "EMAIL_BACKEND": MAIL_BACKENDS[kind],
        "EMAIL_FILE_PATH": str(given.DATA_DIR / "mail"),
        "EMAIL_HOST": env.text("EMAIL_HOST", "localhost"),
        "EMAIL_PORT": env.count("EMAIL_PORT", 587, least=1),
        "EMAIL_HOST_USER": env.text("EMAIL_HOST_USER"),
        "EMAIL_HOST_PASSWORD": env.secret("EMAIL_HOST_PASSWORD"),
        "EMAIL_USE_TLS": env.switch("EMAIL_USE_TLS", True),
        "EMAIL_USE_SSL": env.switch("EMAIL_USE_SSL", False),
        "EMAIL_TIMEOUT": 10,
        "EMAIL_HELO_NAME": env.text("EMAIL_HELO_NAME", domain),
        "DEFAULT_FROM_EMAIL": env.mailbox("DEFAULT_FROM_EMAIL", (given.SITE_NAME, f"portal@{domain}")),
        "ANYMAIL": {"BREVO_API_KEY": env.secret("BREVO_API_KEY"), "REQUESTS_TIMEOUT": 10},
    }
    if not re.fullmatch(r"[A-Za-z0-9.-]+|\[[A-Za-z0-9.:]+\]", settings["EMAIL_HELO_NAME"]):
        raise ImproperlyConfigured(f"EMAIL_HELO_NAME must be a host's name; it is {settings['EMAIL_HELO_NAME']!r}.")
    keys = {"brevo": settings["ANYMAIL"]["BREVO_API_KEY"], "sendgrid": env.secret("SENDGRID_API_KEY")}
    if kind == "sendgrid":
        # https://www.twilio.com/docs/sendgrid/for-developers/sending-email/integrating-with-the-smtp-api
        settings |= {"EMAIL_HOST": "smtp.sendgrid.net", "EMAIL_HOST_USER": "apikey", "EMAIL_HOST_PASSWORD": keys[kind]}
        settings |= {"EMAIL_USE_TLS": True, "EMAIL_USE_SSL": False}
        if settings["EMAIL_PORT"] not in SENDGRID_PORTS:
            ports = ", ".join(map(str, SENDGRID_PORTS))
            raise ImproperlyConfigured(
                f"EMAIL_PORT is {settings['EMAIL_PORT']}; SendGrid takes mail at {ports}. Remove EMAIL_PORT for 587."
            )
    if settings["EMAIL_USE_TLS"] and settings["EMAIL_USE_SSL"]:
        raise ImproperlyConfigured(
            "EMAIL_USE_TLS and EMAIL_USE_SSL exclude each other: STARTTLS, or TLS from the start."
        )
    if kind == "smtp" and settings["EMAIL_HOST_USER"] and not given.SITE_IS_LOCAL:
        env.demand_secret("EMAIL_HOST_PASSWORD", settings["EMAIL_HOST_PASSWORD"])
    if kind in keys:
        name = f"{kind.upper()}_API_KEY"
        if not keys[kind]:
            raise ImproperlyConfigured(f"EMAIL_BACKEND_KIND={kind} needs {name}.")
        if not given.SITE_IS_LOCAL:
            env.demand_secret(name, keys[kind], least=16)
    return settings
