"""All checks of the code that do not run it. Every check runs, even after one has failed.

    make lint       ruff (rules and format), djlint, long lines of pages, JavaScript syntax, Django's own checks,
                    missing migrations

Exits with 0 when all checks pass. `make format` fixes what ruff can fix.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
SCRIPTS = ("static", "tests/js")
PAGES = ("templates", "static")
PAGE_FILES = (".css", ".html", ".js", ".svg", ".txt")
LONGEST_LINE = 200  # characters in a line of a page's file; ruff holds Python's lines


def main():
    with tempfile.TemporaryDirectory(prefix="portal-lint-") as folder:
        # Check the code, and not the developer's `.env` and database.
        environment = {"PATH": os.environ["PATH"], "ENV_FILE": os.devnull, "DATA_DIR": folder}
        results = [run(*check, environment=environment) for check in checks()]
        results += [check_line_lengths(), check_scripts()]
    failed = [name for name, ok in results if not ok]
    print(f"Not clean: {', '.join(failed)}" if failed else "All clean.")
    return 1 if failed else 0


def checks():
    """(name, command) of the checks that are a single command."""
    return [
        ("ruff rules", [BIN / "ruff", "check", "."]),
        ("ruff format", [BIN / "ruff", "format", "--check", "."]),
        ("templates", [BIN / "djlint", "templates", "--lint", "--quiet"]),
        ("Django", [sys.executable, "manage.py", "check", "--fail-level", "WARNING"]),
        ("Django, deployed", [sys.executable, "scripts/check_deploy.py"]),
        ("migrations", [sys.executable, "manage.py", "makemigrations", "--check", "--dry-run"]),
    ]


def run(name, command, environment):
    """Run one check and show its output only if it failed. Returns (name, True when it passed)."""
    done = subprocess.run(
        command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    return tell(name, done.returncode == 0, done.stdout.decode(errors="replace"))


def check_line_lengths():
    """Check that each line of the templates, style sheets, scripts and drawings is at most LONGEST_LINE characters."""
    paths = [path for folder in PAGES for path in (ROOT / folder).rglob("*") if path.suffix in PAGE_FILES]
    complaints = [
        f"{path.relative_to(ROOT)}:{number}: {len(line)} characters, at most {LONGEST_LINE}"
        for path in sorted(paths)
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if len(line) > LONGEST_LINE
    ]
    return tell("line lengths", not complaints, "\n".join(complaints))


def check_scripts():
    """Check that every script parses as a module, if Node.js is installed."""
    node = shutil.which("node")
    if node is None:
        return tell("JavaScript (no Node.js here: left out)", True)
    complaints = []
    for path in sorted(path for folder in SCRIPTS for path in (ROOT / folder).glob("**/*.*js")):
        # Pass the text: given a file's name, some versions of Node.js check a module without finding any error.
        command = [node, "--input-type=module", "--check", "-"]
        done = subprocess.run(command, input=path.read_bytes(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if done.returncode:
            complaints.append(f"{path.relative_to(ROOT)}: {done.stdout.decode(errors='replace')}")
    return tell("JavaScript", not complaints, "\n".join(complaints))


def tell(name, ok, output=""):
    print(f"{'ok  ' if ok else 'FAIL'} {name}", flush=True)
    if not ok:
        print(output.strip(), flush=True)
    return name, ok


if __name__ == "__main__":
    sys.exit(main())
