"""Which servers the portal connects to, and which addresses it refuses."""

import ast
import socket
from pathlib import Path

import httpx
import pytest

from config.outside import outbound
from tests.servers import LOOPBACK, free_ports

pytestmark = pytest.mark.once
ROOT = Path(__file__).resolve().parents[3]
APPS = ("config", "audit", "accounts", "fileshare", "payments")
# Modules that can reach another server → the only files that may import them, and why.
NETWORK = {
    "httpx": {
        "config/outside/outbound.py": "the guarded client",
        "config/watch/own_parts.py": "its errors; the client comes from config.outside.outbound",
        "payments/mpesa/daraja.py": "its errors and time-outs; the client comes from config.outside.outbound",
        "payments/simulator/server.py": "calls back the portal that it is a simulator for, on loopback",
    },
    "boto3": {"fileshare/storage/s3.py": "the bucket of the settings"},
    "botocore": {
        "config/outside/bucket.py": "the bucket of the settings",
        "fileshare/management/commands/setup_bucket.py": "the bucket of the settings",
        "fileshare/storage/s3.py": "the bucket of the settings",
        "fileshare/storage/bucket.py": "the bucket of the settings",
        "fileshare/storage/checks.py": "the bucket of the settings",
    },
    "urllib3": {"fileshare/storage/s3.py": "its errors"},
    "socket": {
        "config/http/worker.py": "closes the connections of clients",
        "config/outside/outbound.py": "looks names up",
        "config/watch/own_parts.py": "looks up the name in SITE_URL",
        "config/management/commands/portal_run.py": "asks whether a port of this machine is free",
        "config/watch/metrics.py": "the name of this machine",
        "fileshare/scanning/clamd.py": "the virus scanner of the settings",
    },
    "sentry_sdk": {"config/watch/sentry.py": "the error reports of the settings"},
    "requests": {},
    "urllib.request": {},
    "http.client": {},
    "aiohttp": {},
    "ftplib": {},
    "smtplib": {},
    # Starts other programs: no file may import it.
    "subprocess": {},
}


def importers():
    """(module, file) of every import in the portal."""
    for app in APPS:
        for path in (ROOT / app).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                names = []
                if isinstance(node, ast.Import):
                    names = [alias.name for alias in node.names]
                elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                    names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
                for name in names:
                    yield name, path.relative_to(ROOT).as_posix()


def test_only_named_modules_reach_other_servers():
    found = {
        (network, file)
        for name, file in importers()
        for network in NETWORK
        if name == network or name.startswith(f"{network}.")
    }

    assert found - {(network, file) for network, files in NETWORK.items() for file in files} == set()


def test_only_the_guarded_client_and_the_simulator_make_clients():
    makers = {"Client", "AsyncClient", "get", "post", "put", "request", "stream", "HTTPTransport"}
    found = set()
    for app in APPS:
        for path in (ROOT / app).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if (
                    isinstance(node, ast.Call)
                    and isinstance(node.func, ast.Attribute)
                    and isinstance(node.func.value, ast.Name)
                    and node.func.value.id == "httpx"
                    and node.func.attr in makers
                ):
                    found.add(path.relative_to(ROOT).as_posix())

    assert found == {"config/outside/outbound.py", "payments/simulator/server.py"}


@pytest.fixture
def server():
    """A server on loopback: (its port, a function that tells whether a client has connected)."""
    (port,) = free_ports(1)
    with socket.create_server((LOOPBACK, port)) as listening:
        listening.settimeout(0.1)

        def was_asked():
            try:
                listening.accept()[0].close()
            except TimeoutError:
                return False
            return True

        yield port, was_asked


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "localhost", "[::1]", "127.1", "2130706433", "0x7f000001", "[::ffff:127.0.0.1]", "0.0.0.0"],  # noqa: S104
)
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_this_machine_is_never_asked_however_it_is_written(scheme, host, server):
    port, was_asked = server

    with outbound.client(timeout=5) as client, pytest.raises(outbound.ForbiddenAddress):
        client.get(f"{scheme}://{host}:{port}/")

    assert not was_asked()


@pytest.mark.parametrize(
    "host",
    [
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "224.0.0.1",
        "255.255.255.255",
        "[fe80::1]",
        "[fd00:ec2::254]",
        "[::ffff:169.254.169.254]",
        "[2002:a9fe:a9fe::1]",
        "[ff02::1]",
        "[64:ff9b::7f00:1]",
        "[64:ff9b::a00:1]",
        "[64:ff9b::a9fe:a9fe]",
        "[64:ff9b:1::1]",
        "[::7f00:1]",
        "[::a9fe:a9fe]",
        "[fec0::1]",
    ],
)
def test_private_link_local_and_metadata_addresses_are_never_asked(host):
    with outbound.client(timeout=1) as client, pytest.raises(outbound.ForbiddenAddress):
        client.get(f"https://{host}/latest/meta-data/")


@pytest.mark.parametrize("host", ["8.8.8.8", "2001:4860:4860::8888", "64:ff9b::808:808", "::ffff:8.8.8.8"])
def test_public_addresses_are_asked_through_nat64_too(host):
    assert outbound.assert_public(host) is None


def test_a_public_name_that_leads_inside_is_not_followed(monkeypatch):
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **kwargs: [(2, 1, 6, "", ("10.1.2.3", 0))])

    with outbound.client(timeout=1) as client, pytest.raises(outbound.ForbiddenAddress):
        client.get("https://innocent.example.org/")


@pytest.mark.parametrize(
    "url", ["http://192.0.2.1/", "ftp://example.org/", "file:///etc/passwd", "https://user:pass@example.org/"]
)
def test_nothing_but_https_without_credentials(url):
    with outbound.client(timeout=1) as client, pytest.raises(outbound.ForbiddenAddress):
        client.get(url)


def test_a_service_that_a_setting_names_may_be_here(server):
    port, was_asked = server

    with outbound.client(timeout=0.2, allow_local=True) as client, pytest.raises(httpx.ReadTimeout):
        client.get(f"http://{LOOPBACK}:{port}/")

    assert was_asked()


def test_no_redirect_is_followed():
    assert outbound.client(timeout=1).follow_redirects is False
    assert outbound.client(timeout=1, allow_local=True).follow_redirects is False
