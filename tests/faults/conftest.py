"""Two portals with a line to each service behind them: one process for all, and every part on its own.

`embedded` is SQLite, the local store and a queue in the web process; `apart` is PostgreSQL, Redis and S3 with
web, worker and beat. What they have is the fixtures' own: a test that kills or cuts takes nothing from others.
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
from tests.faults.portal import Portal
from tests.faults.proxy import Proxy
from tests.servers import LOOPBACK, S3_KEYS, new_bucket, start_weed


@pytest.fixture(autouse=True)
def empty_cache():
    """In place of the one that empties the whole Redis database: here the queue of a living portal is in it."""


@contextlib.contextmanager
def mail_settings():
    """A mail server with a line to it, and the settings that lead there."""
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
    """The URL, split, of a database beside the run's own."""
    url = urlsplit(os.environ["DATABASE_URL"])
    url = url._replace(path=f"/test_{url.path.strip('/')}_faults_{secrets.token_hex(4)}")
    name = sql.Identifier(url.path.strip("/"))
    with psycopg.connect(url._replace(path="/postgres").geturl(), autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(name))
        try:
            yield url
        finally:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(name))


class OwnStore:
    """An S3 server of ours, which may be killed and started again; its data stays."""

    def __init__(self, folder):
        self._folder = folder
        self.start()
        server = SimpleNamespace(endpoint_url=f"http://{LOOPBACK}:{self.address[1]}", **S3_KEYS)
        self.bucket = new_bucket(server).name

    def start(self):
        """Start it; it serves by then, under a new address."""
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
    """Every line and process of the portal as it should be, and a mail server that takes what comes."""
    for line in portal.lines.values():
        line.restore()
    portal.mail.answer = TAKE
    portal.revive()
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
    """Each of the two, in the run it belongs to."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def api(portal):
    with portal.signed_in() as client:
        yield client
