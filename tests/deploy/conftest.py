"""The portal as docs/deploy.md runs it, on loopback: production settings, gunicorn, and nginx from deploy/nginx."""

import contextlib
import datetime
import getpass
import ipaddress
import json
import os
import re
import socket
import ssl
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest
from cryptography import x509
from cryptography.fernet import Fernet
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.migrated import migrate
from tests.servers import LOOPBACK, free_ports, nginx_path, spawn, stop, wait_until

ROOT = Path(__file__).resolve().parents[2]
HOST = "portal.example.org"
PASSWORD = "correct horse battery"
SEED = f"""
from accounts.models import User
User.objects.create_superuser(email="super@example.org", password={PASSWORD!r}, name="Super")
"""


def production(data_dir, **more):
    """The environment of a portal with a public SITE_URL; the server itself listens on loopback."""
    inherited = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR") if name in os.environ}
    return inherited | {
        "ENV_FILE": os.devnull,
        "SITE_URL": f"https://{HOST}",
        "SECRET_KEY": "hT4nV8qYc2XwLk7Zr9Bd3Fs6Gp1Jm5Ua0EoRi_Wz-NxKyQvCbDe",
        "LINK_KEYS": Fernet.generate_key().decode(),
        "DATA_DIR": str(data_dir),
        "TRUSTED_PROXY_COUNT": "1",
        "RATELIMIT_ENABLE": "0",
        **more,
    }


def manage(environment, *arguments, cwd=ROOT):
    done = subprocess.run(
        [sys.executable, "manage.py", *arguments], cwd=cwd, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def image_command():
    """The command that the image runs by default."""
    (command,) = re.findall(r"^CMD (\[.+\])$", (ROOT / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE)
    return json.loads(command)


def web_command():
    """The same command with the gunicorn of this Python."""
    return [sys.executable, "-m", *image_command()]


@contextlib.contextmanager
def running(command, *, environment, log, is_ready, cwd=ROOT):
    process = spawn(command, log=log, env=environment, cwd=cwd)
    try:
        wait_until(is_ready, process=process, log=log, seconds=60)
        yield process
    finally:
        stop(process, seconds=30)


def listens(port):
    with contextlib.suppress(OSError), socket.create_connection((LOOPBACK, port), timeout=1):
        return True
    return False


@pytest.fixture(scope="session")
def portal(tmp_path_factory):
    """A live portal on SQLite and the local store, whose files nginx sends: port, data_dir, environment."""
    folder = tmp_path_factory.mktemp("portal")
    (port,) = free_ports(1)
    environment = production(folder / "data", PORT=str(port), X_ACCEL_PREFIX="/_store/")
    migrate(environment)
    manage(environment, "shell", "--verbosity", "0", "--command", SEED)
    command = web_command()
    with running(command, environment=environment, log=folder / "log", is_ready=lambda: listens(port)):
        yield SimpleNamespace(port=port, data_dir=folder / "data", environment=environment)


# --- nginx -----------------------------------------------------------------------------------------


def certificate(folder):
    """A self-signed certificate for loopback: tls.crt and tls.key in `folder`."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, HOST)])
    now = datetime.datetime.now(datetime.UTC)
    names = [x509.DNSName(HOST), x509.IPAddress(ipaddress.ip_address(LOOPBACK))]
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "tls.crt").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "tls.key").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )


def nginx_folder(folder, *, ports, portal_port, s3_port, data_dir):
    """A copy of deploy/nginx in `folder`, with the ports and paths of a container replaced by those of the test."""
    certificate(folder)
    changes = {
        "listen 8080 ": f"listen {LOOPBACK}:{ports[0]} ",
        "listen 8443 ": f"listen {LOOPBACK}:{ports[1]} ",
        "/etc/nginx/certs/": f"{folder}/",
        "/dev/stdout": f"{folder}/access.log",
        "alias /data/": f"alias {data_dir}/",
        "/var/www/acme": f"{folder}/acme",
        "resolver 127.0.0.11 valid=5s ipv6=off;": "",
        "web:8000": f"{LOOPBACK}:{portal_port}",
        "s3:8333": f"{LOOPBACK}:{s3_port}",
    }
    made, left = [], set(changes)
    for source in sorted((ROOT / "deploy" / "nginx").glob("*.conf")):
        text = source.read_text(encoding="utf-8")
        for there, here in changes.items():
            if there in text:
                left.discard(there)
                text = text.replace(there, here)
        made.append(text)
    assert not left, f"deploy/nginx has changed: {left}"
    temporary = "\n".join(
        f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "nginx.conf").write_text(
        f"daemon off;\npid {folder}/nginx.pid;\nerror_log {folder}/error.log warn;\nworker_processes 1;\n"
        + (f"user {getpass.getuser()};\n" if os.geteuid() == 0 else "")
        + f"events {{ worker_connections 256; }}\nhttp {{\n{temporary}\n{chr(10).join(made)}\n}}\n"
    )
    return folder / "nginx.conf"


@pytest.fixture
def start_nginx(tmp_path, portal):
    """start_nginx(portal_port=…, s3_port=…) starts nginx in front of them; returns http, https (ports), web, folder."""
    with contextlib.ExitStack() as stack:

        def start(*, portal_port=portal.port, s3_port=9):
            ports = free_ports(2)
            conf = nginx_folder(
                tmp_path, ports=ports, portal_port=portal_port, s3_port=s3_port, data_dir=portal.data_dir
            )
            command = [nginx_path(), "-e", str(tmp_path / "error.log"), "-c", str(conf)]
            stack.enter_context(
                running(command, environment=None, log=tmp_path / "log", is_ready=lambda: listens(ports[1]))
            )
            web = stack.enter_context(
                httpx.Client(
                    base_url=f"https://{LOOPBACK}:{ports[1]}",
                    headers={"Host": HOST, "Accept": "application/json"},
                    verify=ssl.create_default_context(cafile=tmp_path / "tls.crt"),
                    timeout=60,
                )
            )
            return SimpleNamespace(http=ports[0], https=ports[1], web=web, folder=tmp_path)

        yield start


@pytest.fixture
def nginx(start_nginx):
    """nginx in front of the live portal."""
    return start_nginx()


@pytest.fixture
def signed_in(nginx):
    """A client signed in as super, through nginx."""
    answer = nginx.web.post("/api/auth/login", json={"email": "super@example.org", "password": PASSWORD})
    nginx.web.headers["Authorization"] = f"Bearer {answer.json()['access']}"
    return nginx.web
