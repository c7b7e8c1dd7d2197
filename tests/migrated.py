"""Databases with all tables, which a run of the tests makes once and then copies.

To migrate an empty database takes some ten seconds of a processor, to copy one no time. The run's script
(scripts/run_tests.py) makes them and names them in the environment. Without it, tests migrate.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SQLITE = "TEST_MIGRATED_SQLITE"
"""The path of an SQLite file."""
POSTGRESQL = "TEST_MIGRATED_POSTGRESQL"
"""The name of a database on the server of DATABASE_URL."""


def start_making(url, folder):
    """Start to migrate the empty database at `url` in a process, which is returned. Its data is in `folder`."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR") if name in os.environ}
    environment = kept | {"ENV_FILE": os.devnull, "DATA_DIR": str(folder), "DATABASE_URL": url, "DEMO": "0"}
    return subprocess.Popen(
        [sys.executable, "manage.py", "migrate", "--verbosity", "0"],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def migrate(environment):
    """Give the portal of `environment` its tables: those of the copy, or new ones.

    On PostgreSQL a copy was made with the database itself (`template`).
    """
    url = environment.get("DATABASE_URL", f"sqlite:///{environment['DATA_DIR']}/portal.sqlite3")
    if SQLITE in os.environ and url.startswith("sqlite"):
        path = Path(url.removeprefix("sqlite:///"))
        path.parent.mkdir(parents=True, exist_ok=True)
        for ending in ("-wal", "-shm"):  # of a database that was here
            path.with_name(path.name + ending).unlink(missing_ok=True)
        shutil.copyfile(os.environ[SQLITE], path)
    elif not (POSTGRESQL in os.environ and url.startswith("postgres")):
        command = [sys.executable, "manage.py", "migrate", "--verbosity", "0"]
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
