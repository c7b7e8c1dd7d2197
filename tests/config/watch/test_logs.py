"""The lines of the log: one for each event, with its request and user, and without secrets."""

import io
import json
import logging
import subprocess
import sys
import threading
from datetime import datetime

import pytest
from celery.contrib.testing.worker import start_worker
from django.test import Client

from accounts.credentials import tokens
from config import context
from config import gunicorn as gunicorn_config
from config.celery import app
from config.outside import queue
from config.watch import logs
from tests.factories import PASSWORD
from tests.plugin import ROOT

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJ1c2VyX2lkIjoiMSJ9.c2lnbmF0dXJlLW9mLWl0"
SIGNED = "eyJ1IjoiMSJ9:1vMabc:" + "Qx-_" * 10 + "abc"
FERNET = "gAAAAABp" + "Zm9vYmFy" * 12 + "=="
OPAQUE = "h" * 21 + "-_" + "K" * 20
BASE32 = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"

SECRETS = [
    (f"Authorization: Bearer {OPAQUE}", OPAQUE),
    (f"{{'Authorization': 'Basic {OPAQUE}'}}", OPAQUE),
    (f"('authorization', b'Bearer {OPAQUE}')", OPAQUE),
    (f"got {JWT} from it", JWT),
    (f"token pat_{OPAQUE}!", OPAQUE),
    (f"link {FERNET} is old", FERNET.rstrip("=")),
    *((f"Gone: /{door}/{OPAQUE}/download", OPAQUE) for door in ("share", "request", "secure-download", "unsubscribe")),
    (f"/store/put.{SIGNED}", SIGNED.rpartition(":")[2]),
    (f"/store/get.{SIGNED.replace(':', '%3A')} cut", SIGNED.rpartition(":")[2]),
    (f"next=%2Fshare%2F{OPAQUE}", OPAQUE),
    (f"/api/payments/cb/{OPAQUE}", OPAQUE),
    (f"/verify-email?token={SIGNED}&x=1", SIGNED.rpartition(":")[2]),
    (f"/reset-password?a=b&token={OPAQUE}", OPAQUE),
    (f"https://b.s3/k?X-Amz-Credential=AK%2F1&X-Amz-Signature={'0f' * 32}", "0f" * 32),
    (f"x-amz-security-token={OPAQUE}", OPAQUE),
    (f"Cookie: language=en; session={OPAQUE}", OPAQUE),
    (f"Set-Cookie: __Host-session={OPAQUE}; Path=/", OPAQUE),
    (f"session={OPAQUE}", OPAQUE),
    (f"postgres://portal:{OPAQUE}@db:5432/portal", OPAQUE),
    (f"redis://:{OPAQUE}@redis:6379/0", OPAQUE),
    (f'{{"email": "a@example.org", "password": "{PASSWORD}"}}', PASSWORD),
    (f"{{'new_password': '{PASSWORD}'}}", PASSWORD),
    ("Password=c2Vj&PassKey=bfb279f9aa9bdbcf", "bfb279f9aa9bdbcf"),
    (f'"refresh": "{OPAQUE}"', OPAQUE),
    (f"api_key={OPAQUE}", OPAQUE),
    (f"{{'password': ['{PASSWORD}']}}", PASSWORD),
    (f"<QueryDict: {{'email': ['a@example.org'], 'password': ['{PASSWORD}'], 'next': ['/']}}>", PASSWORD),
    (f"{{'password': ['no]pe', '{PASSWORD}']}}", PASSWORD),
    (f"{{'token': ('{OPAQUE}',)}}", OPAQUE),
    (f"'password': [[b'{PASSWORD}']]", PASSWORD),
    (f"password1={OPAQUE}&password2={OPAQUE}", OPAQUE),
    (f"{{'Password1': ['{PASSWORD}'], 'new_password_2': ['{PASSWORD}']}}", PASSWORD),
    (f"newPassword={OPAQUE}", OPAQUE),
    (f"https://storage.example/k?X-Goog-Credential=a%40b&X-Goog-Signature={'0f' * 32}", "0f" * 32),
    ("recovery_code=abcd-efgh-ijkl-2345", "ijkl-2345"),
    ("{'recovery_code': ['abcd-efgh-ijkl-2345']}", "ijkl-2345"),
    ("{'code': ['123456']}", "123456"),
    ('{"code": "abcd-efgh-ijkl-2345"}', "ijkl-2345"),
    ("totp_code: 987654", "987654"),
    ('{"password": "seven \\"green boats"}', "boats"),
    (f'{{\\"password\\": \\"{OPAQUE}\\"}}', OPAQUE),
    ("password='seven green bo", "green"),
    (f"otpauth://totp/Portal:a%40b.c?secret={BASE32}&issuer=Portal", BASE32),
]
HARMLESS = [
    "Backup 2026-11-21T01-30 is in the object store: 120 rows, 3 objects",
    "Not Found: /fileshare/baobab-files/",
    "/api/files/00000000-0000-4000-8000-000000000000/download",
    "Upload 0f0f0f0f-0000-4000-8000-000000000000 of report.docx: sha256 " + "0f" * 32,
    "https://portal.example.org/files/?q=report&page=2",
    "the session is over, the password was wrong, a token was refused",
    "{'code': 'not_found', 'status': 404}",
    "code: file-gone, status_code=404123",
    "Invalid fields: ['password', 'email']",
]
NASTY = [
    *["password", 'password="', "password=[", "password\\", "password=['a',", "code=[("],
    *["a_", "token-", "otp_", "sig-", "secret" + " " * 40, 'password=\\"'],
]


@pytest.fixture
def written():
    """lines = written("json"); lines() is what that formatter has written since."""
    handlers = []
    root = logging.getLogger()

    def lines_of(kind):
        stream = io.StringIO()
        handler = logging.StreamHandler(stream)
        handler.addFilter(logs.RequestFilter())
        handler.setFormatter({"json": logs.JSONFormatter, "line": logs.LineFormatter}[kind]())
        root.addHandler(handler)
        handlers.append(handler)
        read = {"json": json.loads, "line": str}[kind]
        return lambda: [read(line) for line in stream.getvalue().split("\n") if line]

    yield lines_of
    for handler in handlers:
        root.removeHandler(handler)


def fail_with(text):
    """Log an exception with this text."""
    try:
        raise ValueError(text)
    except ValueError:
        logging.getLogger("somewhere").exception("It failed")


@pytest.mark.once
@pytest.mark.parametrize(("text", "secret"), SECRETS)
@pytest.mark.parametrize("kind", ["json", "line"])
def test_a_secret_is_in_no_message_argument_or_traceback(kind, text, secret, written):
    lines = written(kind)

    logging.getLogger("somewhere").warning("It says %s and %r", text, {"what": text})
    fail_with(text)

    out = json.dumps(lines(), ensure_ascii=False)
    assert "It says" in out
    assert "ValueError" in out
    assert logs.HIDDEN in out
    assert secret not in out


@pytest.mark.once
@pytest.mark.parametrize("text", HARMLESS)
def test_what_is_no_secret_stays_readable(text):
    assert logs.redact(text) == text


@pytest.mark.once
@pytest.mark.parametrize("text", NASTY)
def test_a_line_made_to_keep_it_busy_does_not(text):
    """A pattern that tries every way to split such a line would run for ages."""
    line = text * (200_000 // len(text)) + " password=" + OPAQUE

    assert OPAQUE not in logs.hide(line)


@pytest.mark.once
def test_the_secrets_of_the_settings_are_hidden_wherever_they_stand(settings):
    settings.MPESA_PASSKEY, settings.METRICS_TOKEN = "bfb279f9aa9bdbcf158e97dd", "m" * 32

    said = logs.redact(f"x{settings.SECRET_KEY}y {settings.LINK_KEYS[0]} bfb279f9aa9bdbcf158e97dd {'m' * 32}")

    assert said == f"x{logs.HIDDEN}y {logs.HIDDEN} {logs.HIDDEN} {logs.HIDDEN}"


@pytest.mark.once
@pytest.mark.parametrize("kind", ["json", "line"])
@pytest.mark.parametrize(
    "mark", ["\n", "\r\n", "\x1b[2J", "\x00", "\x85", "\u2028", "\u202e", "\ud800"], ids=lambda mark: ascii(mark)
)
def test_nobody_writes_a_line_of_their_own(kind, mark, written):
    lines = written(kind)
    forged = f"x{mark}2026-11-21T00:00:00.000Z INFO portal.access [-] forged"

    logging.getLogger("somewhere").warning("%s", forged)
    fail_with(forged)

    found = lines()
    texts = [line if kind == "line" else line["message"] for line in found]
    assert all(mark not in text for text in texts)
    assert len([text for text in texts if text.startswith(("2026-11-21T00:00:00.000Z", "forged"))]) == 0
    assert len(found) == 2 if kind == "json" else all(line.startswith(("20", "    ")) for line in found)


@pytest.mark.once
def test_a_line_of_json_has_what_a_collector_needs(written):
    lines = written("json")
    token = context.enter(context.RequestFacts(request_id="r" * 32, task_id="t" * 36))

    logging.getLogger("somewhere").warning("Said with %d arguments", 1)
    context.leave(token)
    logging.getLogger("somewhere").error("A wrong number of %s %s", "arguments")  # noqa: PLE1206

    first, second = lines()
    assert datetime.fromisoformat(first.pop("time")).utcoffset().total_seconds() == 0
    assert first == {
        "level": "WARNING",
        "logger": "somewhere",
        "message": "Said with 1 arguments",
        "request_id": "r" * 32,
        "task_id": "t" * 36,
    }
    assert (second["message"], "request_id" in second) == ("A wrong number of %s %s", False)


@pytest.mark.django_db
def test_each_request_has_one_line_which_says_who_but_not_by_name(written, client, people):
    client.force_login(people["client"])
    lines = written("json")

    response = client.get("/profile?token=hidden-from-everybody")

    (line,) = [line for line in lines() if line["logger"] == "portal.access"]
    assert isinstance(line.pop("duration_ms"), float)
    del line["time"]
    assert line == {
        "level": "INFO",
        "logger": "portal.access",
        "message": "profile",
        "request_id": response["X-Request-ID"],
        "method": "GET",
        "path": "/profile",
        "status": 200,
        "bytes": len(response.content),
        "user_id": str(people["client"].pk),
        "address": "127.0.0.1",
    }
    assert "client@example.org" not in json.dumps(lines())


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/share/" + OPAQUE, "/secure-download/" + OPAQUE, "/store/get." + SIGNED])
def test_the_line_of_a_link_does_not_hold_it(path, written, client):
    lines = written("json")

    client.get(path)

    assert [line["path"] for line in lines() if "path" in line] == [path[: path.index("/", 1)] + f"/{logs.HIDDEN}"]
    assert OPAQUE not in json.dumps(lines())


@pytest.mark.django_db
def test_the_line_of_a_script_says_who_it_was(written, api_as, people):
    lines = written("json")

    api_as("client").get("/api/users/me")

    assert [line["user_id"] for line in lines() if "path" in line] == [str(people["client"].pk)]


@pytest.mark.django_db
def test_what_django_says_of_a_request_bears_its_id(written, client):
    lines = written("json")

    response = client.get("/nowhere")

    assert {line["logger"]: line["request_id"] for line in lines()} == {
        "django.request": response["X-Request-ID"],
        "portal.access": response["X-Request-ID"],
    }


@pytest.mark.django_db
def test_a_refused_page_is_one_line_without_a_traceback(written, client, people):
    client.force_login(people["client"])
    lines = written("json")

    assert client.get("/audit/").status_code == 403

    (refused,) = (line for line in lines() if line["logger"] == "django.request")
    assert (refused["level"], "exception" in refused) == ("WARNING", False)


class BrokenBody:
    """A `wsgi.input` whose connection breaks."""

    def __init__(self, error):
        self.error = error

    def read(self, size=-1):
        raise self.error

    readline = read


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ConnectionResetError("gone"), (400, "incomplete_body")),
        (TimeoutError("slow"), (408, "body_too_slow")),
    ],
)
@pytest.mark.parametrize(
    ("path", "content_type"),
    [
        ("/api/files/upload", "multipart/form-data; boundary=x"),
        ("/api/fileshare/upload/complete", "application/json"),
        ("/csp-report", "application/csp-report"),
        ("/files/upload", "multipart/form-data; boundary=x"),
    ],
)
def test_a_client_that_leaves_in_mid_form_is_no_error(path, content_type, error, said, written, people):
    lines = written("json")
    client = Client(headers={"Authorization": f"Bearer {tokens.access_for(people['client'])}"})
    client.force_login(people["client"])

    answer = client.generic("POST", path, b"x" * 100, content_type, **{"wsgi.input": BrokenBody(error)})

    assert (answer.status_code, answer.json()["code"]) == said
    assert {line["level"] for line in lines()} <= {"INFO", "WARNING"}
    assert not any("exception" in line for line in lines())


@pytest.mark.django_db
def test_a_fault_is_one_line_with_its_id_and_its_traceback(written, people, monkeypatch):
    client = Client(raise_request_exception=False)
    client.force_login(people["client"])
    lines = written("json")

    def fail(*args, **kwargs):
        raise ZeroDivisionError(f"with Bearer {OPAQUE}")

    monkeypatch.setattr("accounts.people.roles.role_names", fail)
    response = client.get("/profile")

    fault, access = (line for line in lines() if line["logger"] in ("django.request", "portal.access"))
    assert fault["request_id"] == access["request_id"] == response["X-Request-ID"]
    assert (fault["level"], access["status"]) == ("ERROR", 500)
    assert f"ZeroDivisionError: with Bearer {logs.HIDDEN}" in fault["exception"]


@pytest.mark.once
@pytest.mark.parametrize("path", ["/healthz", "/metrics"])
def test_probes_are_silent_unless_asked_for(path, written, client, db):
    lines = written("json")

    client.get(path)

    assert not [line for line in lines() if line["logger"] == "portal.access"]


@pytest.mark.django_db
@pytest.mark.local
def test_the_bytes_of_a_download_are_counted(written, api_as, report):
    script = api_as("colleague")
    location = script.get(f"/api/files/{report.pk}/download")["Location"]
    lines = written("json")

    b"".join(script.get(location[location.index("/store/") :]).streaming_content)

    assert [line["bytes"] for line in lines() if line.get("status") == 200] == [report.size_bytes]


@pytest.mark.once
def test_a_task_bears_its_id_and_that_of_the_request_that_caused_it(written):
    @app.task(name="tests.say")
    def say():
        logging.getLogger("somewhere").warning("In a task")
        done.release()

    done = threading.Semaphore(0)
    with start_worker(app, perform_ping_check=False, pool="solo", shutdown_timeout=30):
        # Begin only here: a worker that starts sets up logging again.
        lines = written("json")
        token = context.enter(context.RequestFacts(request_id="r" * 32))
        queue._send("tests.say", {})
        context.leave(token)
        queue._send("tests.say", {})
        assert done.acquire(timeout=30)
        assert done.acquire(timeout=30)

    first, second = [line for line in lines() if line["message"] == "In a task"]
    assert (first["request_id"], "request_id" in second) == ("r" * 32, False)
    assert len({first["task_id"], second["task_id"]}) == 2
    assert context.current() == context.NOBODY


@pytest.mark.once
def test_gunicorn_writes_as_the_portal_does(settings, capfd):
    settings.LOG_FORMAT = "json"
    code = (
        "import os; from gunicorn.app.base import BaseApplication; from config.gunicorn import Logger\n"
        "from gunicorn.config import Config\n"
        f"Logger(Config()).error('Error handling request %s', '/store/get.{SIGNED}\\n')"
    )

    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={"PATH": "", "ENV_FILE": "/dev/null", "LOG_FORMAT": "json", "DATA_DIR": str(settings.DATA_DIR)},
        capture_output=True,
        text=True,
    )

    (line,) = done.stderr.splitlines()
    assert json.loads(line)["message"] == f"Error handling request /store/{logs.HIDDEN}\\n"
    assert gunicorn_config.logger_class is gunicorn_config.Logger
