"""A pytest plugin (named in pytest.ini): it prepares the environment of a test run before the settings are read.

However pytest is started, no test sees the developer's `.env`, shell or `var/`. The plugin removes every setting that
`.env.example` names from the environment. It leaves DATABASE_URL and REDIS_URL, which choose the servers of the run,
and CHROMIUM. Each xdist worker gets a DATA_DIR of its own and, from TEST_REDIS_URLS, a Redis database of its own,
because emptying a cache empties the whole database. With TEST_S3_URL the portal keeps its files in the S3 server
there, in a bucket for each worker.

The plugin deselects tests marked for a server that this run does not use: another run has them
(`scripts/run_tests.py` makes both). With TEST_SECOND_RUN only those marked `both`, `sqlite` or `once` are left, as a
run on PostgreSQL has the others. The plugin skips tests whose server or browser is missing on this machine, and says
how to get it.

A test that leaves a secret in a log fails (tests.leaks).
"""

import atexit
import os
import re
import shutil
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests import leaks, servers

ROOT = Path(__file__).resolve().parent.parent
FAMILIES = ("AWS_", "S3_", "EMAIL_", "MPESA_", "RATE_")
KEPT = ("DATABASE_URL", "REDIS_URL")
S3_URL = "TEST_S3_URL"
SECOND_RUN = "TEST_SECOND_RUN"
BEGUN = pytest.StashKey[float]()


def lay_out(environment):
    """Turn the mapping `environment` into that of a test run, or into that of an xdist worker in a worker's process."""
    worker = environment.get("PYTEST_XDIST_WORKER")  # gw0, gw1, ...; a worker inherits the controller's environment
    if worker is None:
        for name in settings_names():
            if name not in KEPT:
                environment.pop(name, None)
            environment.pop(f"{name}_FILE", None)
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
    """The names that `.env.example` explains, also those that it leaves commented out."""
    return re.findall(r"^#?([A-Z][A-Z0-9_]*)=", (ROOT / ".env.example").read_text(encoding="utf-8"), re.MULTILINE)


lay_out(os.environ)


def pytest_addoption(parser):
    parser.addoption("--seconds", type=int, help="leave out what has not begun after so many seconds (make quick)")


def pytest_configure(config):
    config.stash[BEGUN] = time.monotonic()
    config.pluginmanager.register(leaks.Plugin(), "leaks")
    if os.environ.get(S3_URL):
        server = SimpleNamespace(endpoint_url=os.environ[S3_URL], **servers.S3_KEYS)
        servers.new_bucket(server, name=os.environ["S3_FILESHARE_BUCKET"])


def pytest_collection_modifyitems(config, items):
    on_postgres = os.environ.get("DATABASE_URL", "").startswith("postgres")
    elsewhere = {"sqlite", "once"} if on_postgres else {"postgres"}
    second = bool(os.environ.get(SECOND_RUN))
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
        left_out = marks & elsewhere or (second and not marks & {"both", "sqlite", "once"})
        (deselected if left_out else here).append(item)
        if "browser_name" in item.fixturenames and "browser" not in marks:
            # A parameter called "page" is pytest-playwright's page, which starts a browser and moves all browser tests.
            raise pytest.UsageError(f"{item.nodeid} asks for a browser: give its parameter another name")
        for name, remedy in missing.items():
            if remedy and name in marks:
                item.add_marker(pytest.mark.skip(reason=remedy))
    if deselected:
        config.hook.pytest_deselected(items=deselected)
        items[:] = here


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    limit = item.config.getoption("--seconds")
    if limit and time.monotonic() - item.config.stash[BEGUN] > limit:
        pytest.skip(f"not reached in {limit} seconds: make test has it")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    # The controller gets what a test has logged as UTF-8, which cannot encode half characters.
    report.sections = [(name, text.encode("utf-8", "replace").decode()) for name, text in report.sections]
    return report
