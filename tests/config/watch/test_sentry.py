"""Errors are reported to a Sentry over HTTP, without secrets."""

import gzip
import http.server
import json
import os
import subprocess
import sys
import threading

import pytest

from tests.environments import ROOT, reason_of
from tests.servers import free_ports

pytestmark = pytest.mark.once

SECRET = "q" * 20 + "-_" + "Z" * 21
PASSWORD = "seven green boats"
# Run this in its own process: sentry_sdk hooks into Django and logging for good.
PORTAL = f"""
import logging
import django
import httpx
import sentry_sdk
django.setup()
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.urls import path
from config import urls

def fail(request, token=""):
    password = {PASSWORD!r}
    logging.getLogger("somewhere").info("On the way: Bearer {SECRET}")
    raise ValueError(f"It fell over pat_{SECRET} at postgres://portal:{SECRET}@db/x with " + settings.SECRET_KEY)

fail.csrf_exempt = True
urls.urlpatterns[:0] = [path("share/<str:token>/fail", fail), path("fine", lambda request: HttpResponse("fine"))]
client = httpx.Client(
    transport=httpx.WSGITransport(get_wsgi_application(), raise_app_exceptions=False), base_url="http://localhost"
)
answer = client.post(
    "/share/{SECRET}/fail?token={SECRET}&q=hello",
    data={{"email": "person@example.org", "password": {PASSWORD!r}}},
    headers={{"Authorization": "Bearer {SECRET}", "X-Request-ID": "x", "Cookie": "device={SECRET}"}},
)
print("failed", answer.status_code, answer.headers["X-Request-ID"])
logging.getLogger("somewhere").error("Told: %s", "/request/{SECRET}/start")
print("fine", client.get("/fine").status_code)
sentry_sdk.flush(10)
"""


@pytest.fixture
def sentry():
    """A Sentry: its address as `dsn`, and the texts of the envelopes that it received."""
    received = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            received.append(body.decode())
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *arguments):
            """Print nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        server.dsn, server.received = f"http://publickey@127.0.0.1:{server.server_port}/1", received
        yield server
        server.shutdown()


def portal(tmp_path, **environment):
    """What PORTAL prints with these settings, as {first word: rest of the line}."""
    facts = {"PATH": os.environ["PATH"], "ENV_FILE": os.devnull, "DATA_DIR": str(tmp_path), "DEMO": "0"}
    facts |= {"DJANGO_SETTINGS_MODULE": "config.settings", **environment}
    done = subprocess.run([sys.executable, "-c", PORTAL], cwd=ROOT, env=facts, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return dict(line.split(" ", 1) for line in done.stdout.splitlines())


def events(sentry):
    """The events of all envelopes: an envelope is lines of JSON, headers and payloads in turn."""
    found = []
    for envelope in sentry.received:
        lines = [json.loads(line) for line in envelope.splitlines() if line]
        found += [after for header, after in zip(lines, lines[1:], strict=False) if header.get("type") == "event"]
    return found


def test_a_fault_is_told_with_its_place_and_request_and_without_secrets_or_persons(sentry, tmp_path):
    said = portal(tmp_path, SENTRY_DSN=sentry.dsn, SENTRY_ENVIRONMENT="trial", SENTRY_TRACES_SAMPLE_RATE="1")

    status, request_id = said["failed"].split()
    fault = next(event for event in events(sentry) if "exception" in event)
    (value,) = fault["exception"]["values"]
    assert status == "500"
    assert (value["type"], value["value"][:13], fault["environment"]) == ("ValueError", "It fell over ", "trial")
    assert value["stacktrace"]["frames"][-1]["function"] == "fail"
    assert not [frame for frame in value["stacktrace"]["frames"] if "vars" in frame]
    assert fault["tags"]["request_id"] == request_id
    assert fault["request"] == {"method": "POST", "url": "http://localhost/share/[…]/fail"}
    assert "user" not in fault
    everything = "".join(sentry.received)
    key = (tmp_path / "secrets.env").read_text().splitlines()[0].partition("=")[2]
    for hidden in (SECRET, PASSWORD, "person@example.org", "hello", key):
        assert hidden not in everything.replace(PORTAL, "")


def test_an_error_line_is_told_too(sentry, tmp_path):
    portal(tmp_path, SENTRY_DSN=sentry.dsn)

    told = [json.dumps(event) for event in events(sentry) if event.get("logger") == "somewhere"]
    assert len(told) == 1
    assert "/request/" in told[0]


def test_a_sentry_that_is_away_costs_no_request(tmp_path):
    (port,) = free_ports(1)

    said = portal(tmp_path, SENTRY_DSN=f"http://publickey@127.0.0.1:{port}/1")

    assert (said["failed"].split()[0], said["fine"]) == ("500", "200")


def test_without_an_address_nobody_is_told(sentry, tmp_path):
    assert portal(tmp_path)["fine"] == "200"
    assert sentry.received == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SENTRY_DSN", "http://key@sentry.example.org/1"),
        ("SENTRY_DSN", "https://sentry.example.org/1"),
        ("SENTRY_DSN", "https://key@sentry.example.org/"),
        ("SENTRY_DSN", "nonsense"),
        ("SENTRY_TRACES_SAMPLE_RATE", "2"),
        ("SENTRY_TRACES_SAMPLE_RATE", "some"),
        ("METRICS_TOKEN", "short"),
        ("METRICS_TOKEN", "a" * 40),
        ("LOG_FORMAT", "xml"),
    ],
)
def test_a_wrong_setting_stops_the_start_and_is_named(name, value, tmp_path):
    reason = reason_of(tmp_path, base={}, **{name: value})

    assert name in reason
    assert "key@" not in reason.replace("https://key@sentry.example.org/1;", "")
