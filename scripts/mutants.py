"""Delete one clause at a time, run the tests that import or name it, and list the deletions that no test noticed.

    make mutants ARGS="--seed 7 --number 60"              60 drawn, the same share of each kind
    make mutants ARGS="--list --kind lock"                lists all candidates of a kind, runs nothing
    make mutants ARGS="--only fileshare/files.py --number 10"

It makes each deletion in a copy of the working tree and tests it on PostgreSQL and Redis, which it finds or starts as
`make test` does. Without PostgreSQL it uses SQLite, where no test can notice a lost lock. A test that hangs for two
minutes counts as failed, and the list says so. Tests that take longer than --limit count as having noticed nothing. At
the end every failed test runs once on the unchanged source; if it fails there too, it has noticed nothing.
`scripts/mutants_allowed.txt` names clauses that are redundant by design, each with the guard that makes it so; they are
not drawn.

Exits with 0 when tests noticed at least 11 of 12 deletions, with 130 after Ctrl-C, else with 1.
"""

import argparse
import contextlib
import os
import queue
import random
import re
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from scripts import clauses, covering, run_tests  # noqa: E402  the import needs the path set above
from tests import servers  # noqa: E402

APPS = ("config", "audit", "accounts", "fileshare", "payments")
ALLOWED = ROOT / "scripts" / "mutants_allowed.txt"
HUNG_SECONDS = 120
# Options for pytest: stop at the first failure, name each test before it runs, end a test that hangs.
PYTEST = ["-x", "-v", "--tb=short", "--reuse-db", "-p", "no:cacheprovider"]
PYTEST += ["-o", f"faulthandler_timeout={HUNG_SECONDS}", "-o", "faulthandler_exit_on_timeout=true"]
NONE_COLLECTED = 5  # pytest's exit status
# The line that pytest's faulthandler prints after the name of a test that it ends.
HUNG = f"Timeout (0:{HUNG_SECONDS // 60:02}:{HUNG_SECONDS % 60:02})!"
BAD = ("FAILED", "ERROR", HUNG)
PROGRAMS = ("browser", "nginx", "clamd", "gettext")
# Leave out the inventories of tests/guards: they compare a table with the source, so they would notice each deletion,
# even if no case of the table notices it.
NO_INVENTORIES = ["-k", "not has_its_case and not says_why"]
# Creates the database, as pytest does before its first test. It stays as the template of all others.
MAKE_DATABASE = (
    "import tests.plugin, django; django.setup(); from django.test.utils import setup_databases;"
    "setup_databases(verbosity=0, interactive=False, keepdb=True)"
)


def main(arguments):
    options = parse(arguments)
    texts = {str(path.relative_to(ROOT)): path.read_text(encoding="utf-8") for path in sources()}
    candidates = [
        clause
        for clause in find_all(texts)
        if clause.path.startswith(options.only) and (not options.kind or clause.kind in options.kind)
    ]
    allowed = read_allowed()
    if options.list:
        for clause in candidates:
            print(f"{place(clause):<60} {clause.kind:<11}{short(clause.text)}{allowed_note(clause, allowed)}")
        print(", ".join(f"{number} {kind}" for kind, number in Counter(c.kind for c in candidates).items()))
        return 0
    drawn = draw([clause for clause in candidates if clause.name not in allowed], options.seed, options.number)
    print(f"Seed {options.seed}: {len(drawn)} of {len(candidates)} clauses.", flush=True)
    if not drawn:
        return 0
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="portal-mutants-")))
        places = set_up(stack, folder, min(options.at_once, len(drawn)))
        verdicts = try_all(drawn, texts, places, options.limit)
        confirm(verdicts, places[0])
    return report(verdicts, texts)


def parse(arguments):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 10_000, help="which are drawn (default: any)")
    parser.add_argument("--number", type=int, default=60, help="how many are drawn (default 60)")
    parser.add_argument("--kind", action="append", choices=clauses.KINDS, help="of this kind only; may come twice")
    parser.add_argument("--only", default="", metavar="PATH", help="in files whose path begins so")
    parser.add_argument("--list", action="store_true", help="list all candidates, draw none")
    parser.add_argument("--at-once", type=int, default=2, help="how many at once (default 2)")
    parser.add_argument("--limit", type=int, default=300, help="seconds for the tests of one (default 300)")
    return parser.parse_args(arguments)


# --- What can be deleted ------------------------------------------------------------------------------


def sources():
    """The files of the apps, without migrations."""
    return [path for app in APPS for path in sorted((ROOT / app).rglob("*.py")) if "migrations" not in path.parts]


def find_all(texts):
    """The Clauses in `texts`, a dict of paths to sources."""
    refusals = clauses.refusals_of(texts.values())
    return [clause for path, text in texts.items() for clause in clauses.find(path, text, refusals)]


def read_allowed():
    """{name of a clause: the guard that makes it redundant}, from mutants_allowed.txt."""
    lines = (line.strip() for line in ALLOWED.read_text(encoding="utf-8").splitlines())
    pairs = (line.rsplit("  # ", 1) for line in lines if line and not line.startswith("#"))
    return {name.strip(): guard for name, guard in pairs}


def draw(candidates, seed, number):
    """`number` random candidates: one of each kind in turn, until a kind has no more."""
    chance = random.Random(seed)  # noqa: S311  the draw must be repeatable
    kinds = {kind: [clause for clause in candidates if clause.kind == kind] for kind in clauses.KINDS}
    for pool in kinds.values():
        chance.shuffle(pool)
    turns = max(map(len, kinds.values()), default=0)
    return [pool[turn] for turn in range(turns) for pool in kinds.values() if turn < len(pool)][:number]


# --- Where it is tried --------------------------------------------------------------------------------


class Place:
    """A copy of the tree with its own database and Redis database. It tries one deletion at a time."""

    def __init__(self, root, settings, server=None, name=None, template=None):
        self.root, self.server, self.name, self.template = root, server, name, template
        gone = ("DATABASE_URL", "REDIS_URL", "TEST_S3_URL", "TEST_REDIS_URLS", "PYTEST_ADDOPTS")
        self.environment = {key: value for key, value in os.environ.items() if key not in gone}
        # With compiled modules a run starts in a third of the time, so let Python write them.
        self.environment.pop("PYTHONDONTWRITEBYTECODE", None)
        self.environment |= {"PYTHONUNBUFFERED": "1", "TMPDIR": str(root.parent)}
        self.settings = settings
        self.process = None

    def fresh_database(self, *, migrated=True):
        """Create a database as the migrations leave it. Without `migrated` only drop the old one; the run creates
        it."""
        if self.server is None:
            return
        name, template = sql.Identifier(f"test_{self.name}"), sql.Identifier(f"test_{self.template}")
        with psycopg.connect(f"{self.server}/postgres", connect_timeout=5, autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(name))
            if migrated:
                with COPYING:
                    connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(name, template))

    def run(self, command, seconds, *, on_servers=True):
        """Run Python with `command` in this tree. Returns (exit status, output); the status is None after a
        time-out."""
        environment = self.environment | (self.settings if on_servers else {})
        with tempfile.TemporaryFile() as output:
            self.process = subprocess.Popen(
                [sys.executable, *command],
                cwd=self.root,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            try:
                status = self.process.wait(seconds)
            except subprocess.TimeoutExpired:
                status = None
            finally:
                self.stop()
            output.seek(0)
            return status, output.read().decode(errors="replace")

    def stop(self):
        """Kill the run and the processes that it started. Does nothing if the run has ended: its id may be reused."""
        if self.process is not None and self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    @contextlib.contextmanager
    def without(self, clause, text):
        """Delete the clause from the tree for a block; a constraint also from the migrations."""
        changed = {clause.path: clause.deleted_from(text)}
        if clause.kind == "constraint":
            app = clause.path.split("/")[0]
            for path in (self.root / app / "migrations").glob("*.py"):
                before = path.read_text(encoding="utf-8")
                after = clauses.without_constraint(before, clause.text)
                if after != before:
                    changed[str(path.relative_to(self.root))] = after
        before = {path: (self.root / path).read_text(encoding="utf-8") for path in changed}
        try:
            for path, after in changed.items():
                (self.root / path).write_text(after, encoding="utf-8")
            yield
        finally:
            for path, same in before.items():
                (self.root / path).write_text(same, encoding="utf-8")


COPYING = threading.Lock()  # PostgreSQL cannot copy a template twice at the same time.


def set_up(stack, folder, count):
    """Create `count` Places in `folder`. Their databases are dropped when `stack` closes."""
    trees = [copy_tree(folder / f"tree{number}" / "portal") for number in range(count)]
    try:
        url, postgres = run_tests.provide_postgres(stack, 5432)
        redis_urls, redis = run_tests.provide_redis(stack, 6379, count)
    except servers.Unavailable as problem:
        print(f"{problem}\nOn SQLite then, where no test can notice a lost lock.", flush=True)
        return [Place(tree, {}) for tree in trees]
    if len(redis_urls) < count:
        print(f"Room for {len(redis_urls)} at once in Redis.", flush=True)
    server = urlsplit(url)._replace(path="", query="").geturl()
    base = f"mutants_{secrets.token_hex(4)}"
    stack.callback(servers.drop_databases, server, f"test_{base}")
    places = []
    for number, (tree, redis_url) in enumerate(zip(trees, redis_urls, strict=False), 1):
        settings = {"DATABASE_URL": f"{server}/{base}_{number}", "REDIS_URL": redis_url}
        places.append(Place(tree, settings, server, f"{base}_{number}", base))
    print(f"On {postgres}, {redis}.", flush=True)
    maker = Place(trees[0], {"DATABASE_URL": f"{server}/{base}", "REDIS_URL": redis_urls[0]})
    status, output = maker.run(["-c", MAKE_DATABASE], 600)
    if status != 0:
        raise SystemExit(f"The tests' database cannot be made:\n{output}")
    return places


def copy_tree(target):
    """Copy the working tree's files, except ignored ones, into the new folder `target`."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
    for name in filter(None, listed.stdout.decode().split("\0")):
        path = target / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):  # deleted, but not committed yet
            shutil.copy2(ROOT / name, path, follow_symlinks=False)
    return target


# --- Trying -------------------------------------------------------------------------------------------


@dataclass
class Verdict:
    """The result of one deletion. `noticed_by` is a test, or "" for none; `how` is a remark for the report."""

    clause: clauses.Clause
    noticed: bool
    noticed_by: str = ""
    how: str = ""
    files: tuple = ()
    seconds: float = 0

    def __str__(self):
        what = f"{'noticed' if self.noticed else 'SURVIVED':<9}{self.seconds:4.0f} s  {self.clause.kind:<11}"
        by = f"  by {self.noticed_by}" if self.noticed_by else ""
        return f"{what}{place(self.clause)}  {short(self.clause.text)}{by}{f' ({self.how})' if self.how else ''}"


def try_all(drawn, texts, places, limit):
    """Try each drawn clause and print the Verdicts as they come. Returns them."""
    tests = covering.Tests(ROOT, texts)
    free = queue.SimpleQueue()
    for each in places:
        free.put(each)

    def job(clause):
        here = free.get()
        try:
            return attempt(clause, texts[clause.path], here, tests, limit)
        finally:
            free.put(here)

    verdicts = []
    with ThreadPoolExecutor(len(places) or 1) as pool:
        jobs = [pool.submit(job, clause) for clause in drawn]
        try:
            for number, done in enumerate(as_completed(jobs), 1):
                verdicts.append(done.result())
                print(f"{number:3} {verdicts[-1]}", flush=True)
        except BaseException:
            for each in jobs:
                each.cancel()
            for each in places:
                each.stop()
            raise
    return sorted(verdicts, key=lambda verdict: (verdict.clause.path, verdict.clause.line))


def attempt(clause, text, here, tests, limit):
    """Delete the clause in the Place `here` and run its tests, nearest first. Returns the Verdict."""
    start, files = time.monotonic(), ()
    here.fresh_database(migrated=clause.kind != "constraint")
    with here.without(clause, text):
        for chosen, meant, on_servers in tests.runs_for(clause):
            left = limit - (time.monotonic() - start)
            if left <= 0:
                return Verdict(clause, False, how="time ran out", files=files, seconds=limit)
            files += tuple(chosen)
            marks = " and ".join(f"not {name}" for name in PROGRAMS)
            if meant and here.settings:
                marks += f" and ({meant})"
            command = ["-m", "pytest", *PYTEST, *NO_INVENTORIES, "-m", marks, *chosen]
            status, output = here.run(command, left, on_servers=on_servers)
            verdict = judge(clause, status, output)
            if verdict is not None:
                verdict.files, verdict.seconds = files, time.monotonic() - start
                return verdict
    return Verdict(clause, False, files=files, seconds=time.monotonic() - start)


def judge(clause, status, output):
    """The Verdict of one run of pytest, or None when no test failed."""
    if status in (0, NONE_COLLECTED):
        return None
    if status is None:
        return Verdict(clause, False, how="time ran out")
    if status < 0:
        return Verdict(clause, False, how=f"pytest was ended by signal {-status}")
    outcomes = outcomes_of(output)
    for test, outcome in outcomes.items():
        if outcome in BAD:
            return Verdict(clause, True, test, how=f"it hung for {HUNG_SECONDS} s" if outcome == HUNG else "")
    end = " / ".join(line for line in output.strip().splitlines()[-8:] if line.startswith("E ") or "rror" in line)
    return Verdict(clause, True, how=f"no test began: {short(end)}")


def outcomes_of(output):
    """{test: PASSED, FAILED, ERROR, HUNG ...}, from the output of `pytest -v`."""
    return dict(
        re.findall(rf"^(tests/\S+::.+?) (PASSED|SKIPPED|XFAIL|FAILED|ERROR|{re.escape(HUNG)})", output, re.MULTILINE)
    )


def confirm(verdicts, here):
    """Run the tests that noticed a deletion on the unchanged source. If one fails there too, its verdicts become "not
    noticed"."""
    noticing = sorted({verdict.noticed_by for verdict in verdicts if verdict.noticed_by})
    print(f"\nThe {len(noticing)} tests that noticed something, on the unchanged source:", flush=True)
    failing, unasked = set(), noticing
    for on_servers in (True, False) if here.settings else (False,):
        here.fresh_database()
        left = known(here, unasked, on_servers)
        unasked = [test for test in unasked if test not in left]
        while left:
            _status, output = here.run(["-m", "pytest", *PYTEST, *left], 1800, on_servers=on_servers)
            outcomes = outcomes_of(output)
            failing |= {test for test, outcome in outcomes.items() if outcome in BAD}
            # A test that fails or hangs ends the run: run the others again.
            left = [test for test in left if test not in outcomes] if failing & set(outcomes) else []
    print(f"{len(failing)} failed.", flush=True)
    for verdict in verdicts:
        if verdict.noticed and (verdict.noticed_by in failing if verdict.noticed_by else not readable(here, verdict)):
            verdict.noticed, verdict.how = False, "the same without the deletion"


def known(here, names, on_servers):
    """Those of `names` that pytest finds in the tree. Some parametrised tests are named after the deleted clause."""
    if not names:
        return []
    files = sorted({name.split("::")[0] for name in names})
    _status, output = here.run(["-m", "pytest", "--collect-only", "-q", *files], 300, on_servers=on_servers)
    there = set(output.splitlines())
    return [name for name in names if name in there]


def readable(here, verdict):
    """Whether pytest can collect the test files of the verdict on the unchanged source."""
    status, _output = here.run(["-m", "pytest", "--collect-only", "-q", *verdict.files], 300)
    return status == 0


# --- Telling ------------------------------------------------------------------------------------------


def report(verdicts, texts):
    """Print the deletions that no test noticed, and totals. Returns the exit status."""
    survivors = [verdict for verdict in verdicts if not verdict.noticed]
    if survivors:
        print("\n=== Not noticed")
    for verdict in survivors:
        clause = verdict.clause
        note = f"  ({verdict.how})" if verdict.how else ""
        print(f"{place(clause)}  {clause.kind}  {len(set(verdict.files))} test files, {verdict.seconds:.0f} s{note}")
        print(f"    {difference(texts[clause.path], clause.deleted_from(texts[clause.path]))}")
        print(f"    {clause.name}")
    print()
    for kind in clauses.KINDS:
        of_kind = [verdict.noticed for verdict in verdicts if verdict.clause.kind == kind]
        if of_kind:
            print(f"{kind:<11}{sum(of_kind):3} of {len(of_kind):2}  {clauses.KINDS[kind]}")
    hung = sum("hung" in verdict.how for verdict in verdicts)
    noticed = len(verdicts) - len(survivors)
    print(f"caught {noticed} of {len(verdicts)}{f', {hung} of them by a test that hung' if hung else ''}")
    return 0 if noticed * 12 >= len(verdicts) * 11 else 1


def place(clause):
    """The position of a clause, to print."""
    return f"{clause.path}:{clause.line} {clause.function}"


def allowed_note(clause, allowed):
    return f"  (allowed: {allowed[clause.name]})" if clause.name in allowed else ""


def difference(before, after):
    """What a deletion changed, on one line."""
    old, new = before.splitlines(), after.splitlines()
    while old and new and old[0] == new[0]:
        del old[0], new[0]
    while old and new and old[-1] == new[-1]:
        del old[-1], new[-1]
    return f"- {short(' '.join(old))}  + {short(' '.join(new))}"


def short(text):
    return textwrap.shorten(text, 150, placeholder=" ...")


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, run_tests.terminate)
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        print("\nStopped.", file=sys.stderr)
        sys.exit(130)
