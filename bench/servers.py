"""The portal in several configurations, and the servers to compare with. All on loopback, stopped after the block."""

import contextlib
import getpass
import json
import os
import re
import secrets
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import httpx
import psycopg
from psycopg import sql

from tests.servers import (
    LOOPBACK,
    S3_KEYS,
    drop_databases,
    find_postgres,
    free_ports,
    new_bucket,
    nginx_path,
    spawn,
    started_s3,
    stop,
    wait_until,
)

from . import EMAIL, MIB, PASSWORD, meters

ROOT = Path(__file__).resolve().parent.parent
WORKERS = os.cpu_count()
SIGNED_IN_SECONDS = 60


class Portal:
    """A running portal. `pids` are its own processes, and those of nginx or S3 where it uses them."""

    def __init__(self, name, port, url, process, shell):
        self.name = name
        self.port = port
        self.url = url
        self.pids = [process.pid]
        self._shell = shell
        self._signed_in = float("-inf")

    def inside(self, job, *arguments):
        """The result of a job of bench.inside."""
        self._shell.stdin.write(json.dumps([job, arguments]) + "\n")
        self._shell.stdin.flush()
        answer = self._shell.stdout.readline()
        if not answer:
            raise RuntimeError(f"{job} failed, see above")
        return json.loads(answer)

    def headers(self):
        """The headers of a signed-in user. Reuses the token for SIGNED_IN_SECONDS, since a log-in is slow by design."""
        if time.monotonic() > self._signed_in + SIGNED_IN_SECONDS:
            facts = {"email": EMAIL, "password": PASSWORD}
            answer = httpx.post(f"{self.url}/api/auth/login", json=facts, timeout=60).raise_for_status()
            self._headers = {"Authorization": f"Bearer {answer.json()['access']}", "Accept": "application/json"}
            self._signed_in = time.monotonic()
        return self._headers

    def web(self):
        """A signed-in HTTP client."""
        return httpx.Client(base_url=self.url, headers=self.headers(), timeout=600)

    def cookie(self):
        """The headers of a browser's signed-in session."""
        with httpx.Client(base_url=self.url) as browser:
            token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', browser.get("/login").text)[1]
            form = {"email": EMAIL, "password": PASSWORD, "csrfmiddlewaretoken": token}
            browser.post("/login", data=form, headers={"Referer": f"{self.url}/login"})
            return {"Cookie": f"session={browser.cookies['session']}", "Accept": "text/html"}


@contextlib.contextmanager
def portal(name, folder, *, behind=None, root=ROOT, **settings):
    """A portal by `make run`'s own command: one process, SQLite. `behind` is the port of the nginx in front.

    `root` is the checkout to run, with a .venv of its own if it is not this one.
    """
    (port,) = free_ports(1)
    url = f"http://{LOOPBACK}:{behind or port}"
    inherited = {key: os.environ[key] for key in ("PATH", "LANG", "HOME") if key in os.environ}
    environment = inherited | {
        "ENV_FILE": os.devnull,
        "DATA_DIR": str(folder / name),
        "PORT": str(port),
        "SITE_URL": url,
        "DEMO": "0",
        "RATELIMIT_ENABLE": "0",
        "LOG_LEVEL": "ERROR",
        **settings,
    }
    (folder / name).mkdir()
    log = folder / f"{name}.log"
    manage = [sys.executable if root == ROOT else str(root / ".venv" / "bin" / "python"), "manage.py"]
    process = spawn([*manage, "portal_run"], log=log, env=environment, cwd=root)
    try:
        wait_until(lambda: listens(port), process=process, log=log, seconds=60)
        with subprocess.Popen(
            [*manage, "shell", "--verbosity", "0", "--command", "from bench.inside import main; main()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            cwd=root,
            text=True,
        ) as shell:  # leaving the block closes the shell's input, and the shell ends
            made = Portal(name, port, url, process, shell)
            made.inside("people")
            yield made
    finally:
        stop(process, seconds=30)


def listens(port):
    """True when a server takes connections on this port."""
    with contextlib.suppress(OSError), socket.create_connection((LOOPBACK, port), timeout=1):
        return True
    return False


@contextlib.contextmanager
def new_database():
    """The address of a new database in this machine's PostgreSQL, dropped after the block; None without PostgreSQL."""
    found = find_postgres()
    if found is None:
        yield None
        return
    url, _version = found
    name = f"bench_{secrets.token_hex(4)}"
    with psycopg.connect(f"{url}/postgres", autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    try:
        yield f"{url}/{name}"
    finally:
        drop_databases(url, name)


# --- nginx -----------------------------------------------------------------------------------------


@contextlib.contextmanager
def _nginx(folder, name, body, ports):
    place = folder / name
    place.mkdir()
    temporary = "".join(
        f"{kind}_temp_path {place}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (place / "nginx.conf").write_text(
        f"daemon off;\npid {place}/pid;\nworker_processes {WORKERS};\n"
        + (f"user {getpass.getuser()};\n" if os.geteuid() == 0 else "")
        + f"events {{ worker_connections 512; }}\nhttp {{\n{temporary}{body}\n}}\n"
    )
    command = [nginx_path(), "-e", str(place / "error.log"), "-c", str(place / "nginx.conf")]
    process = spawn(command, log=place / "log")
    try:
        wait_until(lambda: listens(ports[-1]), process=process, log=place / "error.log")
        yield SimpleNamespace(pids=[process.pid], url=f"http://{LOOPBACK}:{ports[-1]}", folder=place)
    finally:
        stop(process)


@contextlib.contextmanager
def plain_nginx(folder):
    """nginx alone, as the limit: serves and accepts files in `files/`. `takes` is False when it lacks WebDAV."""
    (port,) = free_ports(1)
    files = folder / "nginx" / "files"
    told = subprocess.run([nginx_path(), "-V"], capture_output=True, text=True).stderr
    takes = "http_dav_module" in told
    body = f"""server {{
        listen {LOOPBACK}:{port};
        access_log off;
        sendfile on;
        sendfile_max_chunk 2m;
        tcp_nopush on;
        keepalive_requests 100000;
        location / {{
            root {files};
            client_max_body_size 0;
            {"dav_methods PUT;" if takes else ""}
        }}
    }}"""
    with _nginx(folder, "nginx", body, [port]) as made:
        files.mkdir()
        made.files, made.takes = files, takes
        yield made


@contextlib.contextmanager
def portal_behind_nginx(name, folder, *, root=ROOT, **settings):
    """The portal behind nginx with deploy/nginx/portal.conf, hand-off on, without TLS. The CPU of both is counted."""
    ports = free_ports(2)
    bodies = folder / name / "store" / "bodies"
    with portal(
        name,
        folder,
        behind=ports[1],
        root=root,
        TRUSTED_PROXY_COUNT="1",
        X_ACCEL_PREFIX="/_store/",
        BODY_FILE_DIR=str(bodies),
        **settings,
    ) as made:
        bodies.mkdir(parents=True)
        text = (root / "deploy" / "nginx" / "portal.conf").read_text(encoding="utf-8")
        text = re.sub(r"^ssl_.*\n", "", text, flags=re.MULTILINE)
        text = re.sub(r"^    #(?=location|    |\})", "    ", text, flags=re.MULTILINE)
        changes = {
            "listen 8080 ": f"listen {LOOPBACK}:{ports[0]} ",
            "listen 8443 ssl http2 ": f"listen {LOOPBACK}:{ports[1]} ",
            "/dev/stdout portal": "off",
            "$portal_backend": f"{LOOPBACK}:{made.port}",
            "/data/store/bodies": str(bodies),
            "alias /data/": f"alias {folder / name}/",
        }
        for there, here in changes.items():
            if there not in text:
                raise RuntimeError(f"deploy/nginx/portal.conf has changed: there is no {there!r} in it")
            text = text.replace(there, here)
        with _nginx(folder, f"{name}-nginx", text, ports) as nginx:
            made.pids = [*made.pids, *nginx.pids]
            yield made


# --- S3 --------------------------------------------------------------------------------------------


@contextlib.contextmanager
def portal_on_s3(name, folder, **settings):
    """The portal with its store in a bucket of SeaweedFS, whose CPU is counted too. Raises Unavailable."""
    mine = set(meters.family(os.getpid()))
    with started_s3() as url:
        s3_pids = set(meters.family(os.getpid())) - mine
        bucket = new_bucket(SimpleNamespace(endpoint_url=url, **S3_KEYS), name=f"bench-{secrets.token_hex(4)}")
        with portal(
            name,
            folder,
            STORAGE="s3",
            S3_FILESHARE_BUCKET=bucket.name,
            S3_ENDPOINT_URL=url,
            AWS_ACCESS_KEY_ID=S3_KEYS["access_key"],
            AWS_SECRET_ACCESS_KEY=S3_KEYS["secret_key"],
            **settings,
        ) as made:
            made.pids = [*made.pids, *s3_pids]
            yield made


def random_file(path, size_bytes):
    """A file of random bytes, which compression cannot shorten: the same 16 MiB repeated, each block numbered."""
    block = bytearray(os.urandom(min(size_bytes, 16 * MIB)))
    with open(path, "wb") as file:
        for number in range(-(-size_bytes // len(block))):
            block[:8] = number.to_bytes(8, "big")
            file.write(block[: size_bytes - number * len(block)])
    return path
