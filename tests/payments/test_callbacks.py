"""M-Pesa's callbacks: how much of a body is read, which forged calls are kept, and which host names take callbacks."""

import io
import json
import os
import subprocess
import sys

import pytest

from audit.models import Event
from payments.api import Callback
from payments.models import CallbackRecord, Status, Verdict
from tests.payments.daraja import callback, fresh, say, settle
from tests.payments.test_settings import SECRET
from tests.plugin import ROOT

pytestmark = pytest.mark.django_db


class Counted(io.BytesIO):
    """A body that counts how many bytes were read from it."""

    taken = 0

    def read(self, size=-1):
        block = super().read(size)
        self.taken += len(block)
        return block


def call(rf, content, *, secret, **facts):
    """POST as a server passes it on; returns (answer, how many bytes of the body were read)."""

    body = Counted(content)
    request = rf.post("/api/payments/cb/x", content_type="application/json")
    request.client_address = "127.0.0.1"
    request.META |= {"wsgi.input": body, **facts}
    if "HTTP_TRANSFER_ENCODING" in facts:
        request.META.pop("CONTENT_LENGTH", None)
        request._stream = io.BytesIO()
    else:
        request.META["CONTENT_LENGTH"] = str(len(content))
        request._stream = body
    return Callback.as_view()(request, secret=secret), body.taken


def test_of_a_refused_body_little_is_read(rf, settings):
    answer, taken = call(rf, b"x" * 50_000, secret="nonsense")

    assert answer.status_code == 400
    assert taken <= 1024
    assert len(CallbackRecord.objects.get().raw) <= 1024


@pytest.mark.parametrize("terminated", [True, False])
def test_a_chunked_body_is_read_where_the_server_ends_it(terminated, rf, submitted, settings):
    row = submitted()
    content = json.dumps(callback(row)).encode()
    facts = {"HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input_terminated": terminated}

    answer, taken = call(rf, content, secret=settings.MPESA_CALLBACK_SECRET, **facts)

    assert answer.status_code == (200 if terminated else 400)
    assert taken == (len(content) if terminated else 0)
    assert CallbackRecord.objects.filter(verdict=Verdict.RECEIVED).count() == terminated


def test_a_chunked_body_without_an_end_is_cut(rf, settings):
    facts = {"HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input_terminated": True}

    _answer, taken = call(rf, b"x" * 500_000, secret=settings.MPESA_CALLBACK_SECRET, **facts)

    assert taken <= 64 * 1024 + 1
    assert CallbackRecord.objects.get().verdict == Verdict.GARBAGE


def test_forgeries_from_everywhere_fill_no_table(limits_on, monkeypatch):
    monkeypatch.setattr("payments.api.REFUSALS_KEPT_OF_ALL", "7/h")
    for number in range(30):
        assert say("{}", secret="nonsense", REMOTE_ADDR=f"10.0.0.{number}").status_code == 400

    assert CallbackRecord.objects.count() == 7


def test_the_log_has_a_line_of_each_address_an_hour():
    for number in range(6):
        say("{}", secret="nonsense", REMOTE_ADDR=f"10.0.0.{number % 2}")

    assert CallbackRecord.objects.count() == 6
    assert Event.objects.filter(action="payment_callback_refused").count() == 2


def test_forgeries_of_one_network_are_of_one_caller(settings, monkeypatch):
    settings.RATELIMIT_ENABLE = True
    monkeypatch.setattr("payments.api.REFUSALS_KEPT", "3/d")
    for number in range(6):
        assert say("{}", secret="nonsense", REMOTE_ADDR=f"2001:db8:0:1::{number}").status_code == 400
    assert say("{}", secret="nonsense", REMOTE_ADDR="2001:db8:0:2::1").status_code == 400

    assert CallbackRecord.objects.count() == 4
    assert Event.objects.filter(action="payment_callback_refused").count() == 2


def test_a_forgery_is_refused_as_ever_while_the_cache_is_away(settings, cache_away):
    settings.RATELIMIT_ENABLE = True

    answer = say("{}", secret="nonsense")

    assert (answer.status_code, answer.json()["code"]) == (400, "callback_refused")
    assert not CallbackRecord.objects.exists()


def test_a_forgery_nobody_can_count_leaves_no_line(cache_away):
    assert say("{}", secret="nonsense").status_code == 400

    assert not Event.objects.filter(action="payment_callback_refused").exists()


@pytest.mark.parametrize("amount", ["١٠٠", "१००", "1_00", "1e2", "100 ", "+100", "0x64"])
def test_an_amount_in_other_writing_is_none(amount, submitted):
    row = submitted()

    settle(callback(row, amount=amount))

    assert fresh(row).status == Status.NEEDS_REVIEW


@pytest.mark.parametrize("body", ['{"x": "\\ud800"}', '{"\\udfff": 1}', "[" * 900, "x"], ids=range(4))
def test_whatever_a_stranger_sends_can_be_read_in_the_administration(body, client, people):
    say(body, secret="wrong")
    kept = CallbackRecord.objects.get()
    client.force_login(people["super"])

    page = client.get(f"/admin/payments/callbackrecord/{kept.pk}/change/")

    assert page.status_code == 200
    if "\\u" in body:
        assert body[body.index("\\u") :][:6] in page.content.decode()


ASK = """
import django
django.setup()
from django.test import Client
answer = Client().get("/api/payments/cb/nobody", HTTP_HOST=HOST, secure=True)
print(answer.status_code)
"""


@pytest.mark.parametrize(
    ("host", "status"),
    [("tunnel.example.org", "405"), ("portal.example.org", "405"), ("other.example.org", "400")],
)
def test_callbacks_may_come_by_a_name_of_their_own(host, status, tmp_path):
    environment = {
        "PATH": os.environ["PATH"],
        "ENV_FILE": os.devnull,
        "DATA_DIR": str(tmp_path),
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "ALLOWED_HOSTS": "portal.example.org",
        "DEMO": "0",
        "MPESA_ENV": "sandbox",
        "MPESA_CONSUMER_KEY": "Kf4Zt9Wq2LxB",
        "MPESA_CONSUMER_SECRET": "pR7vX1mGd8Ys",
        "MPESA_SHORTCODE": "174379",
        "MPESA_PASSKEY": "uJ3nC6hTq5Ve",
        "MPESA_CALLBACK_SECRET": SECRET,
        "MPESA_CALLBACK_URL": "https://tunnel.example.org",
    }

    code = ASK.replace("HOST=HOST", f"HOST={host!r}")
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False
    )

    assert done.stdout.strip() == status, done.stderr[-2000:]
