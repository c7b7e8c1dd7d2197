"""Two portals with a line to each service: one in a single process, and one with each part in its own process.

`embedded` is SQLite, the local store and a queue in the web process; `apart` is PostgreSQL, Redis and S3 with
web, worker and beat. Both belong to these tests alone: a test that kills or cuts disturbs no others.
"""

import contextlib
import os
import secrets
import signal
from types import SimpleNamespace
from urllib.parse import urlsplit

import psycopg
import pytest
import redis
from psycopg import sql

from tests.faults.mail_server import TAKE, MailServer
from tests.faults.portal import Portal, eventually
from tests.faults.proxy import Proxy
from tests.migrated import POSTGRESQL
from tests.servers import LOOPBACK, S3_KEYS, new_bucket, start_weed


@pytest.fixture(autouse=True)
def empty_cache():
    """Replaces the fixture that empties the whole Redis database, which here holds the queue of a running portal."""


@contextlib.contextmanager
def mail_settings():
    """(mail server, the line to it, the settings that lead to the line)."""
    server = MailServer()
    line = Proxy(server.address)
    settings = {
        "EMAIL_BACKEND_KIND": "smtp",
        "EMAIL_HOST": LOOPBACK,
        "EMAIL_PORT": str(line.port),
        "EMAIL_USE_TLS": "0",
    }
    try:
        yield server, line, settings
    finally:
        line.cut()
        server.stop()


@pytest.fixture(scope="package")
def embedded_portal(tmp_path_factory):
    with mail_settings() as (mail, line, settings):
        portal = Portal(tmp_path_factory.mktemp("embedded"), ["web"], mail=mail, lines={"mail": line}, **settings)
        with portal.running():
            yield portal


@pytest.fixture(scope="package")
def apart_portal(tmp_path_factory, own_database, own_store):
    queue = urlsplit(os.environ["REDIS_URL"])
    lines = {
        "database": Proxy((own_database.hostname or LOOPBACK, own_database.port or 5432)),
        "queue": Proxy((queue.hostname or LOOPBACK, queue.port or 6379)),
        "store": Proxy(own_store.address),
    }
    login = own_database.netloc.rpartition("@")[0]
    with mail_settings() as (mail, line, settings):
        lines["mail"] = line
        settings |= {
            "DATABASE_URL": f"postgres://{login}@{LOOPBACK}:{lines['database'].port}{own_database.path}",
            "REDIS_URL": f"redis://{LOOPBACK}:{lines['queue'].port}{queue.path}",
            "STORAGE": "s3",
            "S3_ENDPOINT_URL": f"http://{LOOPBACK}:{lines['store'].port}",
            "S3_FILESHARE_BUCKET": own_store.bucket,
            "AWS_ACCESS_KEY_ID": S3_KEYS["access_key"],
            "AWS_SECRET_ACCESS_KEY": S3_KEYS["secret_key"],
            "AWS_REGION": S3_KEYS["region"],
            "BACKUP_SCHEDULED": "0",
            "WEB_WORKERS": "2",
        }
        portal = Portal(
            tmp_path_factory.mktemp("apart"),
            ["web", "worker", "beat"],
            mail=mail,
            lines=lines,
            database_url=own_database.geturl(),
            store=own_store,
            **settings,
        )
        try:
            with portal.running():
                yield portal
        finally:
            for line in lines.values():
                line.cut()
            with redis.Redis.from_url(os.environ["REDIS_URL"]) as client:
                client.flushdb()


@pytest.fixture(scope="package")
def own_database():
    """The parsed URL of a new database beside the run's own."""
    url = urlsplit(os.environ["DATABASE_URL"])
    url = url._replace(path=f"/test_{url.path.strip('/')}_faults_{secrets.token_hex(4)}")
    name = sql.Identifier(url.path.strip("/"))
    with psycopg.connect(url._replace(path="/postgres").geturl(), autocommit=True) as connection:
        template = sql.Identifier(os.environ.get(POSTGRESQL, "template1"))
        connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(name, template))
        try:
            yield url
        finally:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(name))


class OwnStore:
    """An S3 server that a test may kill and start again; it keeps its data."""

    def __init__(self, folder):
        self._folder = folder
        self.start()
        server = SimpleNamespace(endpoint_url=f"http://{LOOPBACK}:{self.address[1]}", **S3_KEYS)
        self.bucket = new_bucket(server).name

    def start(self):
        """Start the server at a new address; returns when it serves."""
        started = start_weed(self._folder)
        self.pid, self.address = started["pid"], (LOOPBACK, started["port"])

    def kill(self):
        """kill -9."""
        os.kill(self.pid, signal.SIGKILL)


@pytest.fixture(scope="package")
def own_store(tmp_path_factory):
    store = OwnStore(tmp_path_factory.mktemp("store"))
    yield store
    with contextlib.suppress(ProcessLookupError):
        store.kill()


def whole(portal):
    """Restore every line and process of the portal, and let the mail server take all messages."""
    for line in portal.lines.values():
        line.restore()
    portal.mail.answer = TAKE
    portal.revive()
    eventually(portal.uses_its_database)
    return portal


@pytest.fixture
def embedded(embedded_portal):
    yield embedded_portal
    whole(embedded_portal)


@pytest.fixture
def apart(apart_portal):
    yield apart_portal
    whole(apart_portal)


@pytest.fixture(
    params=[
        pytest.param("embedded", marks=[pytest.mark.sqlite, pytest.mark.local]),
        pytest.param("apart", marks=[pytest.mark.postgres, pytest.mark.redis, pytest.mark.s3]),
    ]
)
def portal(request):
    """Each of the two portals, in the run that has its services."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def api(portal):
    with portal.signed_in() as client:
        yield client
