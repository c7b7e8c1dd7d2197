"""The portal in processes of its own. Tests send it HTTP requests, as clients do."""

import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import httpx
import psycopg

from tests.migrated import migrate
from tests.servers import LOOPBACK, free_ports, spawn, wait_until

ROOT = Path(__file__).resolve().parents[2]
PASSWORD = "seven green boats"
SUPER = "super@example.org"
SEED = f"""
from accounts.models import User
User.objects.create_superuser(email={SUPER!r}, password={PASSWORD!r}, name="Super")
"""
MIB = 1024 * 1024
PART_SIZE = 5 * MIB
"""The least a bucket takes; what is larger than one part goes up in parts."""
PATIENCE_SECONDS = 90

COMMANDS = {
    # The application of config.wsgi, which kills a process where a test says so.
    "web": "gunicorn --config python:config.gunicorn tests.faults.mortal:application",
    "worker": "celery -A config worker --concurrency 2",
    "second worker": "celery -A config worker --concurrency 2 --hostname second@%h",
    "beat": "celery -A config beat --schedule {folder}/beat-schedule",
}


def eventually(act, *, seconds=PATIENCE_SECONDS):
    """Repeat `act` until its result is true; returns the result. Raises AssertionError with the last one."""
    end = time.monotonic() + seconds
    while True:
        found = act()
        if found:
            return found
        assert time.monotonic() < end, f"it did not come about; last: {found!r}"
        time.sleep(0.1)


def readiness(api, code, **states):
    """Wait until /readyz answers with the status `code` and these states of parts.

    On a busy machine a check may be late once, and its part is unavailable for a second.
    """

    def asked():
        answer = api.get("/readyz")
        return answer.status_code == code and states.items() <= answer.json().items()

    eventually(asked)


class Portal:
    """A portal of its own under `folder`; `settings` are environment variables, `names` the processes it runs.

    `mail` is its MailServer, `lines` the Proxy to each service by name, `store` its OwnStore if it has one.
    `database_url` leads to the database directly, without the line. It is None for SQLite, whose file is `sqlite`.
    """

    def __init__(self, folder, names, *, mail, lines, database_url=None, sqlite=None, store=None, **settings):
        self.folder = folder
        self.mail, self.lines, self.database_url, self.store = mail, lines, database_url, store
        self.log = folder / "log"
        self._sqlite = sqlite or folder / "data" / "portal.sqlite3"
        if sqlite:
            settings["DATABASE_URL"] = f"sqlite:///{sqlite}"
        self.names = names
        (self.port,) = free_ports(1)
        self.url = f"http://{LOOPBACK}:{self.port}"
        kept = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR") if name in os.environ}
        self.environment = {
            **kept,
            "ENV_FILE": os.devnull,
            "PORT": str(self.port),
            "DATA_DIR": str(folder / "data"),
            "DEMO": "0",
            "LOG_LEVEL": "WARNING",
            "MULTIPART_THRESHOLD": str(PART_SIZE),
            "PART_SIZE": str(PART_SIZE),
            # Set high limits: the portal asks its counters, and no test reaches a limit.
            **{f"RATE_{name}": "100000/m" for name in ("INITIATE", "DOWNLOAD_URL", "LOGIN", "SIGNUP")},
            **settings,
        }
        self._processes = {}

    @contextlib.contextmanager
    def running(self):
        """Migrate, seed and run the portal until the block ends."""
        (self.folder / "data").mkdir(parents=True, exist_ok=True)
        try:
            migrate(self.environment)
            self.shell(SEED)
            for name in self.names:
                self.start(name)
            yield self
        finally:
            for name in self._processes:
                self.kill(name)  # no process outlives the test

    def start(self, name):
        """Start one of the processes. Returns when a web server answers."""
        command = COMMANDS[name].format(folder=self.folder).split()
        process = spawn([sys.executable, "-m", *command], log=self.log, env=self.environment, cwd=ROOT)
        self._processes[name] = process
        if name == "web":
            wait_until(self._answers, process=process, log=self.log, seconds=60)

    def kill(self, name):
        """kill -9 of a process and its children, and wait for its end."""
        process = self._processes[name]
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def revive(self):
        """Start the processes that a failed test has killed and not started again."""
        for name in self.names:
            if self._processes[name].poll() is not None:
                self.start(name)

    def uses_its_database(self):
        """True when each of many requests at once got its answer from the database.

        Each process refuses for some seconds after it found the database silent, also when that is over.
        """
        facts = {"email": SUPER, "password": PASSWORD}
        entered = httpx.post(f"{self.url}/api/auth/login", json=facts, timeout=60)
        if entered.status_code != 200:
            return False
        with self.client(Authorization=f"Bearer {entered.json()['access']}") as api, ThreadPoolExecutor(16) as pool:
            answers = pool.map(lambda _number: api.get("/api/fileshare/folders").status_code, range(32))
            return set(answers) == {200}

    def wait_for_death(self, name):
        """Wait until a process has been killed, by another process or by itself."""
        assert self._processes[name].wait(PATIENCE_SECONDS) == -signal.SIGKILL

    def pids(self, name):
        """The ids of a process and of all its descendants."""
        found = [self._processes[name].pid]
        for pid in found:  # the list grows in the loop
            found += map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
        return found

    def memory(self):
        """Bytes of resident memory of the web server's processes."""
        lines = [line for pid in self.pids("web") for line in Path(f"/proc/{pid}/status").read_text().splitlines()]
        return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:"))

    def die_at(self, step, *, pid=0):
        """Let the next request that reaches `step` of tests.faults.mortal kill `pid`, or the web server (0)."""
        order = self.folder / "data" / "die-at"
        order.with_suffix(".new").write_text(f"{step} {pid}")
        order.with_suffix(".new").rename(order)

    def manage(self, *arguments):
        """Run a management command; gives its standard output."""
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments], cwd=ROOT, env=self.environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr + done.stdout
        return done.stdout

    def shell(self, code):
        """Run Python inside the portal; gives its standard output."""
        return self.manage("shell", "--verbosity", "0", "--command", code)

    def query(self, statement, *ids):
        """Execute a statement on the portal's database, without the line; returns the rows. `?` stand for UUIDs."""
        if self.database_url:
            with psycopg.connect(self.database_url) as connection:
                cursor = connection.execute(statement.replace("?", "%s"), ids)
                return cursor.fetchall() if cursor.description else []
        with contextlib.closing(sqlite3.connect(self._sqlite, timeout=20)) as connection:
            rows = connection.execute(statement, [uuid.UUID(each).hex for each in ids]).fetchall()
            connection.commit()
            return rows

    def sqlite_log(self):
        """SQLite's write-ahead log, the file that it writes to first."""
        return self._sqlite.with_name(f"{self._sqlite.name}-wal")

    def space(self, folder_id):
        """(used, reserved) bytes of a folder."""
        ((used, reserved),) = self.query(
            "SELECT used_bytes, reserved_bytes FROM fileshare_folder WHERE id = ?", folder_id
        )
        return used, reserved

    def forget_claims(self):
        """End the leases of all completions whose process died. A test cannot move the portal's clock."""
        self.query("UPDATE fileshare_upload SET claimed_at = '2020-01-01 00:00:00' WHERE claimed_at IS NOT NULL")

    def client(self, **headers):
        """A client that asks for JSON and is not signed in."""
        return httpx.Client(base_url=self.url, headers={"Accept": "application/json", **headers}, timeout=180)

    def signed_in(self, email=SUPER, password=PASSWORD):
        """A client with the access token of that user."""
        answer = httpx.post(f"{self.url}/api/auth/login", json={"email": email, "password": password}, timeout=60)
        assert answer.status_code == 200, answer.text
        return self.client(Authorization=f"Bearer {answer.json()['access']}")

    def browser(self):
        """A client that asks for pages, with the super's session."""
        browser = self.client(Accept="text/html")
        browser.get("/login")
        facts = {"email": SUPER, "password": PASSWORD, "csrfmiddlewaretoken": browser.cookies["csrftoken"]}
        answer = browser.post("/login", data=facts)
        assert answer.status_code == 302, answer.text
        return browser

    def _answers(self):
        with contextlib.suppress(httpx.TransportError):
            return httpx.get(f"{self.url}/healthz", timeout=10).status_code == 200
        return False


# --- Calls a script makes --------------------------------------------------------------------------


def text_of(size):
    """`size` bytes of text that no other file has."""
    line = f"{uuid.uuid4()} of a file that must come back as it was sent\n".encode()
    return (line * (size // len(line) + 1))[:size]


def new_folder(api, **facts):
    """The id of a new folder."""
    name = f"Folder {uuid.uuid4().hex[:8]}"
    answer = api.post("/api/fileshare/folders", json={"name": name, **facts})
    assert answer.status_code == 201, answer.text
    return answer.json()["id"]


def promise(api, folder, body, filename="notes.txt"):
    """The answer to an initiate."""
    facts = {"folder_id": folder, "filename": filename, "size_bytes": len(body), "content_type": "text/plain"}
    return api.post("/api/fileshare/upload/initiate", json=facts)


def begun(api, folder, body):
    """What an initiate promised."""
    answer = promise(api, folder, body)
    assert answer.status_code == 201, answer.text
    return answer.json()


def send(transfer, body):
    """PUT all that a transfer asks for; returns what complete needs to know of it."""
    if transfer["method"] == "PUT":
        answer = httpx.put(transfer["upload_url"], content=body, headers=transfer["headers"], timeout=60)
        assert answer.status_code == 200, answer.text
        return {}
    parts = []
    for part in transfer["parts"]:
        start = (part["part_number"] - 1) * transfer["part_size"]
        answer = httpx.put(part["upload_url"], content=body[start : start + transfer["part_size"]], timeout=60)
        assert answer.status_code == 200, answer.text
        parts.append({"part_number": part["part_number"], "etag": answer.headers["ETag"]})
    return {"upload_id": transfer["upload_id"], "parts": parts}


def complete(api, transfer, named):
    """The answer to a complete."""
    return api.post("/api/fileshare/upload/complete", json={"file_id": transfer["file_id"], **named})


def uploaded(api, folder, body):
    """Upload a file, from initiate to complete; returns the answer."""
    transfer = begun(api, folder, body)
    answer = complete(api, transfer, send(transfer, body))
    assert answer.status_code == 200, answer.text
    return answer.json()


def read(api, file_id):
    """The bytes of a file, by way of its signed URL."""
    answer = api.post(f"/api/fileshare/download/{file_id}")
    assert answer.status_code == 200, answer.text
    content = httpx.get(answer.json()["download_url"], timeout=60)
    assert content.status_code == 200, content.text
    return content.content


def listed(api, folder):
    """The Files of a folder."""
    return api.get(f"/api/fileshare/folders/{folder}/files").json()["results"]


def refusal(answer, *, status=503):
    """The code and the retry_after (None without one) of a refusal, whose shape it checks."""
    assert answer.status_code == status, answer.text
    body = answer.json()
    assert set(body) == {"detail", "code"}
    assert body["detail"]
    waiting = answer.headers.get("Retry-After")
    assert (status == 503) == (waiting is not None)
    return SimpleNamespace(code=body["code"], retry_after=waiting and int(waiting))


MANY = """
import io, uuid, zlib
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from django.conf import settings
from accounts.models import User
from fileshare.models import File, Folder
from fileshare.storage import get_store
settings.STORE_FSYNC = False
folder, user, store = Folder.objects.get(pk="{folder}"), User.objects.get(is_superuser=True), get_store()
def stored(number):
    body, pk = b"%d " % number * 300, uuid.uuid4()
    key = f"files/{{folder.slug}}/{{pk}}/data.txt"
    store.write(key, io.BytesIO(body), size_limit=len(body))
    return File(pk=pk, folder=folder, filename=f"file {{number}}.txt", size_bytes=len(body), crc32=zlib.crc32(body),
        sha256=sha256(body).hexdigest(), content_type="text/plain", object_key=key, uploaded_by=user)
with ThreadPoolExecutor(8) as pool:
    rows = File.objects.bulk_create(list(pool.map(stored, range({count}))))
Folder.objects.filter(pk=folder.pk).update(used_bytes=sum(row.size_bytes for row in rows))
"""


def fill(portal, folder, count):
    """Put `count` files into a folder quickly. File number 7 holds b"7 " 300 times."""
    portal.shell(MANY.format(folder=folder, count=count))


# --- A client that does not give up ----------------------------------------------------------------


def mended(api, transfer, body):
    """Finish an upload that broke off: ask what is missing, send it, complete. Returns the File."""
    status = api.get(f"/api/fileshare/upload/{transfer['file_id']}")
    assert status.status_code == 200, status.text
    named = {}
    if status.json().get("method") == "MULTIPART":
        named = send(status.json(), body)
        received = [{name: part[name] for name in ("part_number", "etag")} for part in status.json()["received"]]
        named["parts"] = sorted(received + named["parts"], key=lambda part: part["part_number"])
    elif status.json()["status"] == "pending":  # if its completion died, the store has the bytes
        send(status.json(), body)
    answer = complete(api, transfer, named)
    assert answer.status_code == 200, answer.text
    return answer.json()


SETTLE = """
from datetime import timedelta
from django.conf import settings
from fileshare.incoming import uploads
from fileshare.upkeep import reconcile
from fileshare.storage import get_store
settings.ORPHAN_GRACE = settings.UPLOAD_LIFETIME = timedelta(0)
uploads.remove_abandoned()
found = reconcile.reconcile(force=True)
assert not found.missing, found
print(*[key for key, size, modified in get_store().list("files/")], sep="\\n")
"""


def assert_settled(portal, folder, sizes):
    """Clear away the abandoned uploads. Then the folder counts exactly the files of `sizes`, and the store holds
    exactly one object for each row, as it was sent."""
    portal.query("UPDATE fileshare_upload SET expires_at = '2020-01-01 00:00:00'")
    portal.forget_claims()
    objects = portal.shell(SETTLE).split()
    assert portal.query("SELECT count(*) FROM fileshare_upload") == [(0,)]
    assert sorted(objects) == sorted(key for (key,) in portal.query("SELECT object_key FROM fileshare_file"))
    portal.manage("verify_store")
    assert portal.space(folder) == (sum(sizes), 0)
    rows = portal.query("SELECT size_bytes FROM fileshare_file WHERE folder_id = ?", folder)
    assert sorted(size for (size,) in rows) == sorted(sizes)
