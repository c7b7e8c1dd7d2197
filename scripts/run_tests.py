"""Run the tests the way the portal runs: once embedded (SQLite, memory, a folder), once on PostgreSQL, Redis and S3.

    make test                                          everything this machine can run
    make test ARGS="tests/accounts -k login -x"        pytest's arguments, passed on to both runs
    make test-all                                      the same, but anything missing or skipped is a failure

PostgreSQL is DATABASE_URL, else one on 127.0.0.1:5432 that lets us in, else started from a package; Redis
is REDIS_URL, else one on 127.0.0.1:6379, else started from a package. Databases that exist are left alone:
the tests make and drop their own. Ends with 0 when every test passed, 130 after Ctrl-C, else 1.
"""

import argparse
import contextlib
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import psycopg

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests import servers  # noqa: E402  the project is not a package: its folder has to be named first

NO_TESTS_COLLECTED = 5  # pytest's exit status


@dataclass
class Outcome:
    """What one run did. `ok` is its own verdict, which an error outside of any test can make False."""

    name: str
    ok: bool = True
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    seconds: float = 0
    status: int = 0

    def __str__(self):
        return f"{self.name}: {self.passed} passed, {self.failed} failed, {self.skipped} skipped, {self.seconds:.0f} s"


def main(arguments):
    options, pytest_arguments = parse(arguments)
    missing = []
    outcomes = [run_pytest("SQLite, memory", {}, options.workers, pytest_arguments)]
    with contextlib.ExitStack() as stack:
        try:
            name, settings = provide_servers(stack, options)
        except servers.Unavailable as problem:
            missing.append(str(problem))
            if asked_for_servers():
                outcomes.append(Outcome("PostgreSQL, Redis: not as DATABASE_URL and REDIS_URL say", ok=False))
        else:
            outcomes.append(run_pytest(name, settings, options.workers, pytest_arguments))
    if all(argument.startswith("-") for argument in pytest_arguments):  # nothing was singled out
        scripts = sorted(map(str, (ROOT / "tests" / "js").glob("**/*.test.*js")))
        if scripts and node_version() < 20:
            missing.append(servers.HOW_TO_GET["node"])
        elif scripts:
            outcomes.append(run_node(scripts))
    if servers.chromium_path() is None:
        missing.append(servers.HOW_TO_GET["chromium"])
    return report(outcomes, missing, strict=options.all)


def parse(arguments):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--all", action="store_true", help="fail when anything was missing or skipped")
    parser.add_argument("--workers", type=int, default=2, help="how many tests at once (default 2)")
    parser.add_argument("--postgres-port", type=int, default=5432, help="where to look for PostgreSQL on loopback")
    parser.add_argument("--redis-port", type=int, default=6379, help="where to look for Redis on loopback")
    return parser.parse_known_args(arguments)


def report(outcomes, missing, *, strict):
    """Print what was covered; the exit status."""
    print("\n=== What the runs covered")
    for outcome in outcomes:
        print(outcome)
    for remedy in missing:
        print(f"missing: {remedy}")
    empty = all(outcome.status == NO_TESTS_COLLECTED for outcome in outcomes)
    if empty:
        print("No test fits what was asked for.")
    passed, failed, skipped = (sum(getattr(o, name) for o in outcomes) for name in ("passed", "failed", "skipped"))
    ok = not empty and all(outcome.ok for outcome in outcomes)
    if strict and (missing or skipped):
        print("This run was asked to cover everything: whatever is missing or skipped above is a failure.")
        ok = False
    print(f"{passed} passed, {failed} failed, {skipped} skipped in all: {'OK' if ok else 'NOT OK'}")
    return 0 if ok else 1


def asked_for_servers():
    return os.environ.get("DATABASE_URL", "").startswith("postgres") or bool(os.environ.get("REDIS_URL"))


# --- Servers ---------------------------------------------------------------------------------------


def provide_servers(stack, options):
    """Find or start PostgreSQL and Redis, start an S3, until `stack` closes; (what they are, settings for the tests).

    Raises Unavailable with a remedy.
    """
    database_url, postgres = provide_postgres(stack, options.postgres_port)
    redis_urls, redis = provide_redis(stack, options.redis_port, options.workers)
    settings = {"DATABASE_URL": database_url, "REDIS_URL": redis_urls[0], "TEST_REDIS_URLS": " ".join(redis_urls)}
    settings["TEST_S3_URL"] = stack.enter_context(servers.started_s3())
    return f"{postgres}, {redis}, S3", settings


def provide_postgres(stack, port):
    given = os.environ.get("DATABASE_URL", "")
    if given.startswith("postgres"):
        try:
            # Its database need not be there yet: the tests make one of their own beside it.
            return given, f"PostgreSQL {servers.postgres_version(urlsplit(given)._replace(path='/postgres').geturl())}"
        except psycopg.Error as problem:
            raise servers.Unavailable(f"the PostgreSQL of DATABASE_URL is of no use: {problem}".strip()) from problem
    found = servers.find_postgres(port)
    try:
        url, version = found or stack.enter_context(servers.started_postgres())
    except servers.Unavailable as problem:
        raise servers.Unavailable(f"{servers.HOW_TO_GET['postgres']} ({problem})") from problem
    # A name of this run's own: two runs at once, in two clones, share a server and no database.
    name = f"portal_{secrets.token_hex(4)}"
    stack.callback(servers.drop_databases, url, f"test_{name}")
    return f"{url}/{name}", f"PostgreSQL {version}"


def provide_redis(stack, port, count):
    given = os.environ.get("REDIS_URL")
    url = given or f"redis://127.0.0.1:{port}"
    try:
        try:
            urls, version = stack.enter_context(servers.held_redis_databases(url, count))
        except servers.Unavailable:
            if given:
                raise
            url = stack.enter_context(servers.started_redis())
            urls, version = stack.enter_context(servers.held_redis_databases(url, count))
    except servers.Unavailable as problem:
        raise servers.Unavailable(f"{servers.HOW_TO_GET['redis']} ({problem})") from problem
    return urls, f"Redis {version}"


# --- Runs ------------------------------------------------------------------------------------------


def run_pytest(name, settings, workers, arguments):
    print(f"\n=== {name}", flush=True)
    environment = {
        key: value for key, value in os.environ.items() if key not in ("DATABASE_URL", "REDIS_URL", "TEST_S3_URL")
    }
    with tempfile.TemporaryDirectory(prefix="portal-report-") as folder:
        results = Path(folder, "results.xml")
        command = [sys.executable, "-m", "pytest", "-n", str(workers), f"--junit-xml={results}", *arguments]
        status, seconds = run(command, environment | settings)
        outcome = Outcome(name, ok=status in (0, NO_TESTS_COLLECTED), status=status, seconds=seconds)
        if results.exists():
            for case in ElementTree.parse(results).iter("testcase"):  # noqa: S314  written by our own pytest
                count_case(outcome, case)
    return outcome


def count_case(outcome, case):
    skip = case.find("skipped")
    if case.find("failure") is not None or case.find("error") is not None:
        outcome.failed += 1
    elif skip is not None and skip.get("type") == "pytest.skip":
        outcome.skipped += 1
    else:
        outcome.passed += 1


def node_version():
    """The major version of Node.js; 0 without one."""
    program = shutil.which("node")
    output = subprocess.run([program, "--version"], capture_output=True, text=True).stdout if program else ""
    found = re.match(r"v(\d+)", output)
    return int(found[1]) if found else 0


def run_node(scripts):
    print("\n=== JavaScript", flush=True)
    with tempfile.TemporaryDirectory(prefix="portal-report-") as folder:
        results = Path(folder, "results.tap")
        command = ["node", "--test", "--test-reporter=spec", "--test-reporter-destination=stdout"]
        command += ["--test-reporter=tap", f"--test-reporter-destination={results}", *scripts]
        status, seconds = run(command, os.environ)
        tap = results.read_text() if results.exists() else ""
    counts = {key: int(number) for key, number in re.findall(r"^# (pass|fail|skipped) (\d+)$", tap, re.MULTILINE)}
    return Outcome(
        "JavaScript",
        ok=status == 0,
        passed=counts.get("pass", 0),
        failed=counts.get("fail", 0),
        skipped=counts.get("skipped", 0),
        seconds=seconds,
        status=status,
    )


def run(command, environment):
    """Run `command` in the project's folder with its output shown; (exit status, seconds)."""
    start = time.monotonic()
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment, stdin=None if sys.stdin.isatty() else subprocess.DEVNULL
    )
    try:
        status = process.wait()
    except BaseException as reason:
        # Ctrl-C reached the child as well, SIGTERM did not; either way pytest has a few words to say before it goes.
        if isinstance(reason, Terminated):
            process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired, KeyboardInterrupt):
            process.wait(10)
        servers.stop(process)
        raise
    return status, time.monotonic() - start


class Terminated(KeyboardInterrupt):
    """SIGTERM: a terminated run stops its servers like an interrupted one."""


def terminate(signum, frame):
    raise Terminated


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, terminate)
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        print("\nStopped.", file=sys.stderr)
        sys.exit(130)
