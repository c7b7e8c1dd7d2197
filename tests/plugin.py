"""A pytest plugin (named in pytest.ini): the surroundings of a test run, laid out before settings are read.

However pytest is started, no test sees the developer's `.env`, shell or `var/`: every setting that
`.env.example` names is taken out of the environment, except DATABASE_URL and REDIS_URL, which choose what
the run is about, and CHROMIUM. Each xdist worker gets a DATA_DIR and, from TEST_REDIS_URLS, a Redis
database to itself, since emptying a cache empties the whole database. With TEST_S3_URL the portal keeps its
files in the S3 server there, a bucket for each worker.

Tests marked for a server that this run is not about are deselected, for it is another run's business
(`scripts/run_tests.py` makes both). Tests whose server or browser is missing on this machine are skipped,
with a word on how to get it.

No test may leave a secret in a log (tests.leaks).
"""

import atexit
import os
import re
import shutil
import tempfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests import leaks, servers

ROOT = Path(__file__).resolve().parent.parent
FAMILIES = ("AWS_", "S3_", "EMAIL_", "MPESA_", "RATE_")
KEPT = ("DATABASE_URL", "REDIS_URL")
S3_URL = "TEST_S3_URL"


def lay_out(environment):
    """Turn the mapping `environment` into that of a test run; of one xdist worker, when it is one's."""
    worker = environment.get("PYTEST_XDIST_WORKER")  # gw0, gw1, ...; the workers inherit from their controller
    if worker is None:
        for name in settings_names():
            if name not in KEPT:
                environment.pop(name, None)
        for name in [name for name in environment if name.startswith(FAMILIES)]:
            del environment[name]
        environment["ENV_FILE"] = os.devnull
        environment["DJANGO_SETTINGS_MODULE"] = "config.settings"
        environment["RATELIMIT_ENABLE"] = "0"
        environment["DATA_DIR"] = tempfile.mkdtemp(prefix="portal-tests-")
        atexit.register(shutil.rmtree, environment["DATA_DIR"], ignore_errors=True)
    else:
        environment["DATA_DIR"] = str(Path(environment["DATA_DIR"], worker))
    if environment.get(S3_URL):
        environment["STORAGE"] = "s3"
        environment["S3_ENDPOINT_URL"] = environment[S3_URL]
        environment["S3_FILESHARE_BUCKET"] = f"portal-{worker or 'tests'}-{os.getpid()}"
        environment["AWS_ACCESS_KEY_ID"] = servers.S3_KEYS["access_key"]
        environment["AWS_SECRET_ACCESS_KEY"] = servers.S3_KEYS["secret_key"]
        environment["AWS_REGION"] = servers.S3_KEYS["region"]
    redis_urls = environment.get("TEST_REDIS_URLS", "").split()
    if redis_urls:
        environment["REDIS_URL"] = redis_urls[int(worker[2:]) % len(redis_urls) if worker else 0]


def settings_names():
    """The names `.env.example` explains, those it leaves commented out included."""
    return re.findall(r"^#?([A-Z][A-Z0-9_]*)=", (ROOT / ".env.example").read_text(encoding="utf-8"), re.MULTILINE)


lay_out(os.environ)


def pytest_configure(config):
    config.pluginmanager.register(leaks.Plugin(), "leaks")
    if os.environ.get(S3_URL):
        server = SimpleNamespace(endpoint_url=os.environ[S3_URL], **servers.S3_KEYS)
        servers.new_bucket(server, name=os.environ["S3_FILESHARE_BUCKET"])


def pytest_collection_modifyitems(config, items):
    on_postgres = os.environ.get("DATABASE_URL", "").startswith("postgres")
    elsewhere = {"sqlite", "once"} if on_postgres else {"postgres"}
    if not os.environ.get("REDIS_URL"):
        elsewhere.add("redis")
    missing = {
        "browser": None if servers.chromium_path() else servers.HOW_TO_GET["chromium"],
        "nginx": None if servers.nginx_path() else servers.HOW_TO_GET["nginx"],
        "gettext": None if shutil.which("xgettext") else servers.HOW_TO_GET["gettext"],
        "clamd": None if servers.clamd_path() else servers.HOW_TO_GET["clamd"],
        "s3": None if servers.weed_path() else servers.HOW_TO_GET["s3"],
    }
    here, deselected = [], []
    for item in items:
        marks = {mark.name for mark in item.iter_markers()}
        (deselected if marks & elsewhere else here).append(item)
        if "browser_name" in item.fixturenames and "browser" not in marks:
            # A parameter called "page" is the browser's page, and draws all browser tests to its place in the order.
            raise pytest.UsageError(f"{item.nodeid} asks for a browser: give its parameter another name")
        for name, remedy in missing.items():
            if remedy and name in marks:
                item.add_marker(pytest.mark.skip(reason=remedy))
    if deselected:
        config.hook.pytest_deselected(items=deselected)
        items[:] = here


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    # What a test had logged goes to the controller as UTF-8, which carries no half characters.
    report.sections = [(name, text.encode("utf-8", "replace").decode()) for name, text in report.sections]
    return report
