"""The check that tests leave no secret in a log can fail."""

import os
import re
import subprocess
import sys

import pytest

from tests.plugin import ROOT

pytestmark = pytest.mark.once

# Each of these tests leaves one secret in a log whose lines are not redacted.
LEAKY = """
import logging, sys
import pytest
from django.conf import settings
from django.contrib.auth.hashers import make_password
from django.core import signing
from accounts.credentials import tokens
from accounts.second_factors import totp
from config.outside import sealing
from config.watch import logs
from tests import leaks, servers

say = logging.getLogger("leaky").warning
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJ1c2VyX2lkIjoiMSJ9.c2lnbmF0dXJlLW9mLWl0"


@pytest.fixture
def careless(monkeypatch):
    monkeypatch.setattr(logs, "redact", str)
    monkeypatch.setattr(logs, "hide", str)


def test_quiet(careless):
    say("Nothing to hide, not even %s", "0f" * 32)


@pytest.mark.parametrize(
    "secret",
    [
        lambda: settings.SECRET_KEY,
        lambda: settings.LINK_KEYS[0],
        lambda: signing.dumps({"u": 1}),
        lambda: JWT,
        lambda: "pat_" + "x" * 43,
        lambda: "gAAAA" + "x" * 80,
        lambda: "https://b/k?X-Amz-Signature=" + "0f" * 32,
        lambda: totp.key_uri(totp.new_secret(), email="a@example.org"),
        lambda: totp.key_text(totp.new_secret()),
        lambda: make_password("seven green boats") and "seven green boats",
        lambda: "postgres://portal:hush@db/portal",
    ],
)
def test_leaks(secret, careless):
    say("It is %s", secret())


def test_leaks_by_a_traceback(careless):
    try:
        raise ValueError(JWT)
    except ValueError:
        logging.getLogger("leaky").exception("Failed")


def test_leaks_in_a_process(tmp_path):
    servers.spawn([sys.executable, "-c", "print('GET /share/" + "x" * 43 + "')"], log=tmp_path / "log").wait()


def test_redacted():
    say("It is %s and %s", settings.SECRET_KEY, JWT)
"""


def test_a_secret_in_a_log_fails_the_test_that_left_it(tmp_path):
    (tmp_path / "test_leaky.py").write_text(LEAKY)
    environment = {**os.environ, "PYTEST_ADDOPTS": ""}
    for name in ("PYTEST_XDIST_WORKER", "TEST_SECOND_RUN"):
        environment.pop(name, None)
    command = [sys.executable, "-m", "pytest", "-n", "0", "-p", "no:cacheprovider", "-c", str(ROOT / "pytest.ini")]

    done = subprocess.run(
        [*command, "--rootdir", str(ROOT), str(tmp_path / "test_leaky.py")],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
    )

    assert done.returncode == 1, done.stdout + done.stderr
    assert re.search(r"\b15 passed, 13 errors\b", done.stdout), done.stdout
    errors = re.findall(r"^ERROR \S*::(\w+)", done.stdout, re.MULTILINE)
    assert set(errors) == {"test_leaks", "test_leaks_by_a_traceback", "test_leaks_in_a_process"}
    assert done.stdout.count("logger leaky: ") >= 12
    assert "log file " in done.stdout
