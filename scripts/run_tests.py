"""Run the tests as the portal runs: on PostgreSQL, Redis and S3; and where backends differ also on SQLite and a folder.

    make test                                          everything this machine can run
    make test ARGS="tests/accounts -k login -x"        pytest's arguments, passed on to both runs
    make test-all                                      the same, but anything missing or skipped is a failure

Production is PostgreSQL, Redis and S3: that run has all tests, except those for other backends. A second run uses
SQLite, memory and a folder. It has the tests marked `both` (code with a variant for each backend), `sqlite` and `once`.
Without PostgreSQL the SQLite run has every test. When no test is named, tests/faults on PostgreSQL are a run of their
own: most of the time they wait for a server that is down. All runs go on at the same time and share the machine's
cores. The output of each follows when the runs before it are done.

PostgreSQL is DATABASE_URL; else a server started from a package, which does not wait for the disk; else one on
127.0.0.1:5432 that accepts our log-in. Redis is REDIS_URL; else a server on 127.0.0.1:6379; else one started from a
package. Existing databases are left alone: the tests create and drop their own. Exits with 0 when every test passed,
with 130 after Ctrl-C, else with 1.
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
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests import migrated, servers  # noqa: E402  the project is not a package, so the import needs the path set above

NO_TESTS_COLLECTED = 5  # pytest's exit status
FAULTS = "tests/faults"


@dataclass
class Outcome:
    """The result of one run. `ok` is the runner's own verdict: False also after an error outside of any test."""

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
    missing, failed, jobs = [], [], []
    every_test = all(argument.startswith("-") for argument in pytest_arguments)
    with contextlib.ExitStack() as stack:
        embedded = {}
        try:
            name, settings = provide_servers(stack, options)
        except servers.Unavailable as problem:
            missing.append(str(problem))
            if asked_for_servers():
                failed.append(Outcome("PostgreSQL, Redis: not as DATABASE_URL and REDIS_URL say", ok=False))
        else:
            settings |= copies(stack, settings["DATABASE_URL"])
            *redis_urls, redis_of_faults = settings["TEST_REDIS_URLS"].split()
            if every_test and redis_urls:
                others = settings | {"TEST_REDIS_URLS": " ".join(redis_urls)}
                jobs.append(pytest_job(name, others, options.workers, [f"--ignore={FAULTS}", *pytest_arguments]))
                settings |= {"DATABASE_URL": beside(settings["DATABASE_URL"], "_f"), "TEST_REDIS_URLS": redis_of_faults}
                jobs.append(pytest_job(f"{name}: faults", settings, 1, [*pytest_arguments, FAULTS]))
            else:
                jobs.append(pytest_job(name, settings, options.workers, pytest_arguments))
            embedded = {"TEST_SECOND_RUN": "1", "TEST_S3_SERVER": settings["TEST_S3_URL"]}
            embedded[migrated.SQLITE] = settings[migrated.SQLITE]
        jobs.append(pytest_job("SQLite, memory", embedded or copies(stack), options.workers, pytest_arguments))
        if every_test:
            scripts = sorted(map(str, (ROOT / "tests" / "js").glob("**/*.test.*js")))
            if scripts and node_version() < 20:
                missing.append(servers.HOW_TO_GET["node"])
            elif scripts:
                jobs.append(node_job(scripts))
        # A debugger needs the terminal to itself, so the runs must not overlap.
        together = not {"--pdb", "--trace", "-s", "--capture=no"} & set(pytest_arguments)
        outcomes = failed + run_jobs(jobs, together=together)
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
    """Print what the runs covered. Returns the exit status."""
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
    """Find or start PostgreSQL and Redis, and start an S3 server, until `stack` closes.

    Returns (description, settings for the tests). Raises Unavailable with a remedy.
    """
    database_url, postgres = provide_postgres(stack, options.postgres_port)
    redis_urls, redis = provide_redis(stack, options.redis_port, options.workers + 1)
    settings = {"DATABASE_URL": database_url, "REDIS_URL": redis_urls[0], "TEST_REDIS_URLS": " ".join(redis_urls)}
    settings["TEST_S3_URL"] = stack.enter_context(servers.started_s3())
    return f"{postgres}, {redis}, S3", settings


def provide_postgres(stack, port):
    given = os.environ.get("DATABASE_URL", "")
    if given.startswith("postgres"):
        try:
            # Its database need not exist: the tests create their own beside it.
            return given, f"PostgreSQL {servers.postgres_version(urlsplit(given)._replace(path='/postgres').geturl())}"
        except psycopg.Error as problem:
            raise servers.Unavailable(f"the PostgreSQL of DATABASE_URL is of no use: {problem}".strip()) from problem
    try:
        url, version = stack.enter_context(servers.started_postgres())
    except servers.Unavailable as problem:
        found = servers.find_postgres(port)
        if found is None:
            raise servers.Unavailable(f"{servers.HOW_TO_GET['postgres']} ({problem})") from problem
        url, version = found
    # A unique name: two runs at once, in two clones, share a server but must not share a database.
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


def beside(url, suffix):
    """The address of another database on the same server: its name has the `suffix`."""
    parts = urlsplit(url)
    return parts._replace(path=f"{parts.path}{suffix}").geturl()


@contextlib.contextmanager
def created(url):
    """A database on PostgreSQL, made for the block."""
    parts = urlsplit(url)
    name = sql.Identifier(parts.path.strip("/"))
    with psycopg.connect(parts._replace(path="/postgres").geturl(), autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(name))
        try:
            yield
        finally:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(name))


def copies(stack, postgres_url=None):
    """Make a database with all tables on SQLite and, with `postgres_url`, beside that database; they are copied.

    Returns the environment variables that name them (tests.migrated).
    """
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="portal-migrated-")))
    sqlite = folder / "portal.sqlite3"
    found, making = {migrated.SQLITE: str(sqlite)}, [migrated.start_making(f"sqlite:///{sqlite}", folder)]
    if postgres_url:
        name = f"test_{urlsplit(postgres_url).path.strip('/')}_migrated_{secrets.token_hex(4)}"
        url = urlsplit(postgres_url)._replace(path=f"/{name}").geturl()
        stack.enter_context(created(url))
        making.append(migrated.start_making(url, folder / "postgresql"))
        found[migrated.POSTGRESQL] = name
    for process in making:
        stack.callback(process.kill)  # does nothing to one that has ended
    for process in making:
        _out, words = process.communicate()
        if process.returncode:
            raise SystemExit(f"The tables could not be made:\n{words}")
    return found


# --- Runs ------------------------------------------------------------------------------------------


@dataclass
class Job:
    """A test runner's command. `outcome(status, seconds)` reads its results and returns an Outcome."""

    name: str
    command: list
    environment: dict
    outcome: Callable


def pytest_job(name, settings, workers, arguments):
    away = ("DATABASE_URL", "REDIS_URL", "TEST_S3_URL", "PYTHONDONTWRITEBYTECODE")
    environment = {key: value for key, value in os.environ.items() if key not in away}
    folder = tempfile.TemporaryDirectory(prefix="portal-report-")
    results = Path(folder.name, "results.xml")

    def outcome(status, seconds):
        outcome = Outcome(name, ok=status in (0, NO_TESTS_COLLECTED), status=status, seconds=seconds)
        if results.exists():
            for case in ElementTree.parse(results).iter("testcase"):  # noqa: S314  written by our own pytest
                count_case(outcome, case)
        folder.cleanup()
        return outcome

    command = [sys.executable, "-m", "pytest", "-n", str(workers), f"--junit-xml={results}", *arguments]
    return Job(name, command, environment | settings, outcome)


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


def node_job(scripts):
    folder = tempfile.TemporaryDirectory(prefix="portal-report-")
    results = Path(folder.name, "results.tap")

    def outcome(status, seconds):
        tap = results.read_text() if results.exists() else ""
        folder.cleanup()
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

    command = ["node", "--test", "--test-reporter=spec", "--test-reporter-destination=stdout"]
    command += ["--test-reporter=tap", f"--test-reporter-destination={results}", *scripts]
    return Job("JavaScript", command, dict(os.environ), outcome)


def run_jobs(jobs, *, together):
    """Run `jobs` at the same time (`together`) or one after another. Returns the Outcomes.

    The first job's output is shown as it comes; that of each other job after the jobs before it are done.
    """
    with contextlib.ExitStack() as stack:
        running = []
        for number, job in enumerate(jobs):
            output = stack.enter_context(tempfile.TemporaryFile()) if together and number else None
            if output is None:
                print(f"\n=== {job.name}", flush=True)
            running.append((job, output, start(stack, job, output)))
            if not together:
                wait_for([running[-1][2]])
        wait_for([process for *_, process in running])
        outcomes = []
        for job, output, process in running:
            if output is not None:
                print(f"\n=== {job.name}", flush=True)
                output.seek(0)
                shutil.copyfileobj(output, sys.stdout.buffer)
                sys.stdout.flush()
            outcomes.append(job.outcome(process.returncode, process.seconds))
        return outcomes


def wait_for(processes):
    """Wait until all processes have ended, and set the `seconds` of each."""
    waiting = [process for process in processes if not hasattr(process, "seconds")]
    while waiting:
        for process in [each for each in waiting if each.poll() is not None]:
            process.seconds = time.monotonic() - process.began
            waiting.remove(process)
        time.sleep(0.2)


def start(stack, job, output):
    """Start the process of `job` in the project's folder.

    When `stack` closes early the process is interrupted first, so that pytest can print its summary, and then ended.
    """
    process = subprocess.Popen(
        job.command,
        cwd=ROOT,
        env=job.environment,
        stdin=None if output is None and sys.stdin.isatty() else subprocess.DEVNULL,
        stdout=output,
        stderr=output and subprocess.STDOUT,
    )
    process.began = time.monotonic()
    stack.callback(end, process)
    return process


def end(process):
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired, KeyboardInterrupt):
            process.wait(10)
        servers.stop(process)


class Terminated(KeyboardInterrupt):
    """SIGTERM. A subclass of KeyboardInterrupt, so that a terminated run stops its servers like an interrupted one."""


def terminate(signum, frame):
    raise Terminated


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, terminate)
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        print("\nStopped.", file=sys.stderr)
        sys.exit(130)
