"""Everything that can be said about the code without running it. Each check runs, whatever the others say.

    make lint       ruff (rules and format), djlint, JavaScript syntax, Django's own checks, missing migrations

Ends with 0 when there is nothing to say. `make format` mends what ruff can mend by itself.
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


def main():
    with tempfile.TemporaryDirectory(prefix="portal-lint-") as folder:
        # Django is asked about the code, not about the `.env` and the database of whoever asks.
        environment = {"PATH": os.environ["PATH"], "ENV_FILE": os.devnull, "DATA_DIR": folder}
        results = [run(*check, environment=environment) for check in checks()] + [check_scripts()]
    failed = [name for name, ok in results if not ok]
    print(f"Not clean: {', '.join(failed)}" if failed else "All clean.")
    return 1 if failed else 0


def checks():
    """(what is checked, command) of the checks that are one command."""
    return [
        ("ruff rules", [BIN / "ruff", "check", "."]),
        ("ruff format", [BIN / "ruff", "format", "--check", "."]),
        ("templates", [BIN / "djlint", "templates", "--lint", "--quiet"]),
        ("Django", [sys.executable, "manage.py", "check", "--fail-level", "WARNING"]),
        ("Django, deployed", [sys.executable, "scripts/check_deploy.py"]),
        ("migrations", [sys.executable, "manage.py", "makemigrations", "--check", "--dry-run"]),
    ]


def run(name, command, environment):
    """Run one check and show its output only when it has something to say; (name, did it pass)."""
    done = subprocess.run(
        command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    return tell(name, done.returncode == 0, done.stdout.decode(errors="replace"))


def check_scripts():
    """Does every script parse as the module it is loaded as? Asked of Node.js, where there is one."""
    node = shutil.which("node")
    if node is None:
        return tell("JavaScript (no Node.js here: left out)", True)
    complaints = []
    for path in sorted(path for folder in SCRIPTS for path in (ROOT / folder).glob("**/*.*js")):
        # Given a file's name, some versions check a module and find nothing at all; given its text, they do.
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
