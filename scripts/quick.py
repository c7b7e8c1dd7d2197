"""Run the tests of what has changed, on SQLite, for at most 80 seconds: the check before a commit.

    make quick                        what differs from HEAD, new files included
    make quick ARGS="--base main"     what a branch has changed
    make quick ARGS="--list"          only print the files of these tests

A changed test runs itself. For a changed module it runs, nearest first: tests of the same name, tests of its package,
tests that import it. For a template or a script of the pages it runs the page tests of its app. It says which tests it
could not reach in time: `make test` runs all. Exits with pytest's status, or 0 when no test fits.
"""

import argparse
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
APPS = ("accounts", "audit", "config", "fileshare", "payments")
SECONDS = 80
NO_TESTS_COLLECTED = 5


def main(arguments):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", default="HEAD", help="compare with this commit (default HEAD)")
    parser.add_argument("--list", action="store_true", help="only print the files of tests")
    options, rest = parser.parse_known_args(arguments)
    chosen = tests_of(changed_since(options.base))
    print("\n".join(chosen) or "Nothing that has tests has changed.")
    if options.list or not chosen:
        return 0
    command = [sys.executable, "-m", "pytest", "-n", "2", "-q", f"--seconds={SECONDS}", *chosen, *rest]
    status = subprocess.run(command, cwd=ROOT).returncode
    return 0 if status == NO_TESTS_COLLECTED else status


def changed_since(base):
    """Paths that differ from the commit `base` in the working tree, and paths that git does not track yet."""
    asked = (["diff", "--name-only", base, "--"], ["ls-files", "--others", "--exclude-standard"])
    return [path for question in asked for path in git(*question) if (ROOT / path).is_file()]


def git(*arguments):
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def tests_of(paths):
    """The test files to run for these changed paths, nearest first, without repetition."""
    texts = {
        str(path.relative_to(ROOT)): path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py")
    }
    ranked = {}
    for path in paths:
        for rank, fits in enumerate(questions(Path(path))):
            for test, text in texts.items():
                if fits(test, text):
                    ranked[test] = min(rank, ranked.get(test, rank))
    if ranked:
        ranked.setdefault("tests/test_imports.py", 0)
    return sorted(ranked, key=lambda test: (ranked[test], test))


def questions(path):
    """Functions of (test path, test text) that are true when the test should run for `path`, nearest first."""
    app = path.parts[0]
    if app == "tests":
        module = ".".join(path.with_suffix("").parts)
        named = re.compile(
            rf"{re.escape(module)}\b|from {re.escape(module.rpartition('.')[0])} import .*\b{path.stem}\b"
        )
        yield lambda test, text: test == str(path)
        yield lambda test, text: bool(named.search(text))
    elif app in APPS and path.suffix == ".py":
        stem = path.stem.removesuffix("s")
        yield lambda test, text: test.startswith(f"tests/{app}/") and stem in Path(test).stem
        yield lambda test, text: len(path.parts) > 2 and test.startswith(f"tests/{path.parent}/")
        yield lambda test, text: imports(text, path)
    elif app in ("templates", "static"):
        part = path.parts[1]
        yield lambda test, text: test.startswith(f"tests/{part}/") and "page" in Path(test).stem
        yield lambda test, text: path.name in text
    elif app == "locale":
        yield lambda test, text: Path(test).stem == "test_translations"
    else:
        yield lambda test, text: path.name in text


def imports(text, path):
    """True when the source `text` imports the module at `path`, or names it in a string."""
    module, parent = ".".join(path.with_suffix("").parts), ".".join(path.parent.parts)
    return bool(re.search(rf"{re.escape(module)}\b|from {re.escape(parent)} import .*\b{re.escape(path.stem)}\b", text))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
