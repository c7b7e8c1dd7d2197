"""A full disk under the local store or the database: a clear refusal, nothing half done, and reads go on."""

import contextlib
import os
import resource
import subprocess
from pathlib import Path

import httpx
import pytest

from tests.faults.mail_server import MailServer
from tests.faults.portal import (
    MIB,
    PASSWORD,
    SUPER,
    Portal,
    assert_settled,
    begun,
    complete,
    eventually,
    listed,
    new_folder,
    promise,
    read,
    readiness,
    refusal,
    send,
    text_of,
    uploaded,
)

pytestmark = [pytest.mark.sqlite, pytest.mark.local, pytest.mark.both]
SMALL, LARGE = 8 * MIB, 30 * MIB
"""Below and above the size from which on files come in parts; neither fits on a full disk."""


class SmallDisk:
    """A file system of `size_bytes`, if this process may mount one."""

    def __init__(self, path, size_bytes):
        self._path = path
        self._ballast = path / "ballast"
        path.mkdir(parents=True)
        command = ["mount", "-t", "tmpfs", "-o", f"size={size_bytes}", "tmpfs", str(path)]
        self.is_mounted = subprocess.run(command, capture_output=True).returncode == 0

    def fill(self, *, leave=None):
        """Fill the disk, or all but about `leave` bytes of it."""
        with self._ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(65536))
        if leave:  # tmpfs gives the space back at once
            os.truncate(self._ballast, self._ballast.stat().st_size - leave)

    def free(self):
        """Give the space back."""
        self._ballast.unlink(missing_ok=True)

    def unmount(self):
        """Unmount the disk; it goes away when it is no longer in use."""
        if self.is_mounted:
            subprocess.run(["umount", "--lazy", str(self._path)], check=True)


class ShortFiles:
    """Used where mounting is not allowed: limits the size of each file of the web server (RLIMIT_FSIZE)."""

    def __init__(self, portal):
        self._portal = portal

    def fill(self, *, leave=None):
        """Limit each file to `leave` bytes, or else to the size of the database's write-ahead log."""
        self._limit(self._portal.sqlite_log().stat().st_size if leave is None else leave)

    def free(self):
        """Remove the limit."""
        self._limit(resource.RLIM_INFINITY)

    def _limit(self, size_bytes):
        for pid in self._portal.pids("web"):
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (size_bytes, resource.RLIM_INFINITY))


@pytest.fixture(scope="module")
def cramped(tmp_path_factory):
    """A portal with its store on one small disk and its database on another: `store_disk`, `database_disk`."""
    folder = tmp_path_factory.mktemp("cramped")
    (folder / "temporary").mkdir()
    disks = [SmallDisk(folder / "data" / "store", 64 * MIB), SmallDisk(folder / "database", 32 * MIB)]
    mail = MailServer()
    portal = Portal(
        folder,
        ["web"],
        mail=mail,
        lines={},
        sqlite=folder / "database" / "portal.sqlite3",
        MULTIPART_THRESHOLD=str(20 * MIB),
        EMAIL_BACKEND_KIND="file",
        TMPDIR=str(folder / "temporary"),
    )
    portal.temporary = folder / "temporary"
    try:
        with portal.running():
            if not all(disk.is_mounted for disk in disks):
                disks = [ShortFiles(portal)] * 2
            portal.store_disk, portal.database_disk = disks
            yield portal
    finally:
        mail.stop()
        for disk in disks:
            if isinstance(disk, SmallDisk):
                disk.unmount()


@pytest.fixture(autouse=True)
def freed(cramped):
    yield
    cramped.store_disk.free()
    cramped.database_disk.free()


@pytest.fixture
def api(cramped):
    with cramped.signed_in() as client:
        yield client


def bytes_of_files(folder):
    """The bytes on the disk under a folder of the store. Locks and prepared files are empty."""
    return sum(
        path.stat().st_blocks * 512 for path in Path(folder).rglob("*") if path.is_file() and path.name != "ballast"
    )


def test_a_store_without_space_refuses_and_everything_else_goes_on(cramped, api):
    folder, kept = new_folder(api), text_of(MIB)
    file = uploaded(api, folder, kept)
    before = bytes_of_files(cramped.folder / "data" / "store")
    waiting = begun(api, folder, text_of(SMALL))
    parts = begun(api, folder, text_of(LARGE))

    cramped.store_disk.fill(leave=6 * MIB)

    whole = httpx.put(waiting["upload_url"], content=text_of(SMALL), headers=waiting["headers"], timeout=60)
    assert refusal(whole).code == "store_full"
    part = httpx.put(parts["parts"][1]["upload_url"], content=text_of(parts["part_size"]), timeout=60)
    if part.status_code != 200:
        assert refusal(part).code == "store_full"
    form = api.post("/api/files/upload", files={"file": ("a.txt", text_of(SMALL))}, data={"folder_id": folder})
    assert refusal(form).code == "store_full"
    assert refusal(promise(api, folder, text_of(LARGE))).code == "store_full"
    assert refusal(complete(api, waiting, {}), status=409).code == "not_uploaded"
    assert cramped.space(folder) == (MIB, SMALL + LARGE)
    # The unfinished uploads keep their reserved space. The refused requests leave nothing else.
    assert api.post("/api/fileshare/upload/abort", json={"file_id": parts["file_id"]}).status_code == 204
    assert bytes_of_files(cramped.folder / "data" / "store") <= before + 65536
    assert read(api, file["id"]) == kept
    with cramped.signed_in() as other:
        assert [each["id"] for each in listed(other, folder)] == [file["id"]]
        readiness(other, 200)

    cramped.store_disk.free()

    body = text_of(SMALL)
    send(waiting, body)
    assert complete(api, waiting, {}).status_code == 200
    assert read(api, waiting["file_id"]) == body
    assert_settled(cramped, folder, [MIB, SMALL])


def test_a_database_without_space_refuses_what_it_cannot_keep_and_is_read_on(cramped, api):
    folder, kept = new_folder(api), text_of(MIB)
    file = uploaded(api, folder, kept)
    waiting, body = begun(api, folder, kept), text_of(MIB)
    send(waiting, body)
    browser = cramped.browser()
    assert browser.get("/fileshare/").status_code == 200  # the first visit makes the user's own folder
    url = api.get(f"/api/client/download/{file['id']}").json()["download-link"]

    cramped.database_disk.fill()

    # The database may have some free pages, which are soon used up.
    eventually(lambda: promise(api, folder, text_of(10)).status_code == 503)
    assert refusal(promise(api, folder, text_of(10))).code == "disk_full"
    assert refusal(complete(api, waiting, {})).code == "disk_full"
    facts = {"email": SUPER, "password": PASSWORD}
    assert refusal(api.post("/api/auth/login", json=facts)).code == "disk_full"
    assert [each["id"] for each in listed(api, folder)] == [file["id"]]
    for path in ("/api/users/me", "/api/client/files", "/healthz"):
        assert api.get(path).status_code == 200
    readiness(api, 200)
    assert browser.get("/fileshare/").status_code == 200
    tail = api.get(url, headers={"Range": "bytes=-10"})
    assert (tail.status_code, tail.content) == (206, kept[-10:])

    cramped.database_disk.free()

    assert complete(api, waiting, {}).status_code == 200
    assert read(api, waiting["file_id"]) == body
    assert_settled(cramped, folder, [MIB, MIB])


def test_a_form_that_finds_no_space_to_wait_in_is_refused(cramped, api, tmp_path):
    """The folder for temporary files is often on a disk of its own."""
    folder = new_folder(api)
    limit = ShortFiles(cramped)
    # Allow more than the size of the database's own files.
    limit.fill(leave=6 * MIB)
    try:
        for size in (SMALL, 6 * MIB + 10):  # it fails in the middle, and at the last few bytes
            # A server that refuses a half-read body closes the connection, because it does not read the rest.
            options = {"data": {"folder_id": folder}, "headers": {"Connection": "close"}}
            form = api.post("/api/files/upload", files={"file": ("a.txt", text_of(size))}, **options)
            assert refusal(form).code == "store_full"
        small = api.post("/api/files/upload", files={"file": ("a.txt", text_of(50))}, data={"folder_id": folder})
        assert small.status_code == 201, small.text
    finally:
        limit.free()

    # The server removes the file of a form after its answer has gone.
    eventually(lambda: not list(cramped.temporary.glob("*.upload*")))
    assert_settled(cramped, folder, [50])
