"""Where backups are stored: in the object store itself, or in a folder with the layout of a local store.

FOLDER/objects/backups/<stamp>/…    the backups
FOLDER/objects/<key>                a copy of each object that a backup names
"""

import contextlib
import fcntl
import heapq
import json
import re
import time
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from itertools import chain
from pathlib import Path

from django.conf import settings
from django.db import Error, connection
from django.utils import timezone
from django.utils.translation import gettext as _

from ..storage import BLOCK_SIZE, ObjectMissing, ObjectStore, get_store
from ..storage.local import LocalStore
from . import BackupBusy, BackupRefused, objects

PREFIX = "backups/"
DATABASE, MANIFEST, SUMMARY = "database.jsonl.gz", "manifest.jsonl.gz", "backup.json"
STAMP = "%Y%m%dT%H%M%SZ"
LATEST = "latest"
LOCK_NUMBER = 7_265_098_113_554_021
"""The number of the advisory lock in PostgreSQL. No other lock may use it."""
LOCK_PATIENCE_SECONDS = 10
"""Wait this long for the lock: PostgreSQL releases the lock of a killed process only when it notices the end."""
INCOMPLETE_FOR = timedelta(days=1)
"""An incomplete backup may still be in progress for this long."""

_KEY = re.compile(r"backups/(\d{8}T\d{6}Z)/([a-z.]+)")


@dataclass(frozen=True, slots=True)
class Shelf:
    """A place for backups. `holds_copies` is True for a folder, which also contains copies of the objects."""

    store: ObjectStore
    holds_copies: bool
    name: str

    def stamps(self):
        """({stamp: time of its last object} of the complete backups, the same of the incomplete ones), oldest first."""
        complete, others = {}, {}
        for key, _size_bytes, modified_at in self.store.list(PREFIX):
            if match := _KEY.fullmatch(key):
                stamp, name = match.groups()
                others[stamp] = max(modified_at, others.get(stamp, modified_at))
                if name == SUMMARY:
                    complete[stamp] = None
        for stamp in complete:
            complete[stamp] = others.pop(stamp)
        return complete, others

    def new_stamp(self):
        """The present time in UTC, in seconds, as a stamp that no backup here has yet."""
        while True:
            stamp = datetime.now(UTC).strftime(STAMP)
            if next(iter(self.store.list(f"{PREFIX}{stamp}/")), None) is None:
                return stamp
            time.sleep(0.2)

    def find(self, which):
        """(stamp, summary) of a complete backup; `which` is its stamp or `latest`. Raises BackupRefused."""
        complete, _others = self.stamps()
        if not complete:
            raise BackupRefused(_("There is no complete backup in %s.") % self.name)
        stamp = max(complete) if which == LATEST else which
        if stamp not in complete:
            raise BackupRefused(
                _("There is no complete backup %(stamp)s in %(place)s; there are: %(stamps)s.")
                % {"stamp": which, "place": self.name, "stamps": ", ".join(complete)}
            )
        return stamp, self.summary(stamp)

    def summary(self, stamp):
        """The content of backup.json. Raises BackupRefused when it cannot be read."""
        with self.store.open(_key(stamp, SUMMARY)) as file:
            try:
                return json.load(file)
            except ValueError:
                raise BackupRefused(_("The summary of backup %s cannot be read.") % stamp) from None

    def put(self, stamp, name, file):
        """Store the content of the seekable `file`. Returns its size and SHA-256 for the summary."""
        size_bytes = file.seek(0, 2)
        file.seek(0)
        info = self.store.write(_key(stamp, name), file, size_limit=size_bytes)
        return {"size_bytes": info.size_bytes, "sha256": info.sha256}

    @contextmanager
    def fetched(self, stamp, name, facts):
        """A temporary file with the content that was put. Raises BackupRefused when that is missing or damaged."""
        digest = sha256()
        with objects.temporary_file() as file:
            try:
                with self.store.open(_key(stamp, name)) as source:
                    while block := source.read(BLOCK_SIZE):
                        digest.update(block)
                        file.write(block)
            except ObjectMissing:
                raise BackupRefused(
                    _("Backup %(stamp)s has lost its %(name)s.") % {"stamp": stamp, "name": name}
                ) from None
            if digest.hexdigest() != facts["sha256"]:
                raise BackupRefused(
                    _("%(name)s of backup %(stamp)s is damaged: its SHA-256 is not the one that was noted.")
                    % {"name": name, "stamp": stamp}
                )
            file.seek(0)
            yield file

    def prune(self, *, keep):
        """Delete all complete backups except the newest `keep`, and incomplete ones that are a day old.

        In a folder, delete also the copies that no backup names any more. Returns the deleted stamps.
        """
        complete, others = self.stamps()
        stale = timezone.now() - INCOMPLETE_FOR
        old = sorted(complete)[:-keep]
        old += [stamp for stamp, modified_at in others.items() if modified_at < stale]
        for stamp in old:
            # Delete the summary first: if the process is killed here, the rest counts as incomplete.
            for name in (SUMMARY, MANIFEST, DATABASE):
                self.store.delete(_key(stamp, name))
        if self.holds_copies:
            self._drop_unnamed_copies(complete.keys() - set(old))
            self.store.sweep(older_than=stale)
        return old

    def _drop_unnamed_copies(self, stamps):
        with contextlib.ExitStack() as stack:
            # Check all manifests before deleting a copy: a damaged one might not name the copies it needs.
            manifests = [
                stack.enter_context(self.fetched(stamp, MANIFEST, self.summary(stamp)["manifest"])) for stamp in stamps
            ]
            named = heapq.merge(*(_keys(manifest) for manifest in manifests))
            at = next(named, None)
            for key, *_facts in chain(self.store.list(objects.FILES), self.store.list(objects.MEDIA)):
                while at is not None and at < key:
                    at = next(named, None)
                if at != key:
                    self.store.delete(key)


def open_shelf(place):
    """The Shelf in the folder at a path, or in the object store for an empty path. Raises BackupRefused.

    The folder must exist. If it were created, backups for a disk that is not mounted would go to another disk.
    """
    if not place:
        return Shelf(get_store(), False, _("the object store"))
    folder = Path(place).expanduser().resolve()
    if not folder.is_dir():
        raise BackupRefused(_("There is no folder %s.") % folder)
    if folder.is_relative_to((settings.DATA_DIR / "store").resolve()):
        raise BackupRefused(_("%s belongs to the object store; backups need a folder of their own.") % folder)
    return Shelf(LocalStore(folder, fsync=settings.STORE_FSYNC), True, str(folder))


@contextmanager
def one_at_a_time():
    """Hold the lock to make or restore a backup. Raises BackupBusy when another process holds it.

    The lock ends with the process, also when that is killed. On PostgreSQL it is an advisory lock of a separate
    connection, because several machines may share the database. With SQLite, which only one machine uses, it is a
    locked file.
    """
    if connection.vendor == "postgresql":
        with contextlib.closing(connection.copy("backups")) as own, own.cursor() as cursor:
            deadline = time.monotonic() + LOCK_PATIENCE_SECONDS
            while True:
                cursor.execute("SELECT pg_try_advisory_lock(%s)", [LOCK_NUMBER])
                if cursor.fetchone() == (True,):
                    break
                if time.monotonic() > deadline:
                    raise BackupBusy
                time.sleep(0.2)
            try:
                yield
            finally:
                # Closing the connection releases it too, but only later, when the server's process handles that.
                with contextlib.suppress(Error):
                    cursor.execute("SELECT pg_advisory_unlock(%s)", [LOCK_NUMBER])
    else:
        with open(settings.DATA_DIR / "backup.lock", "wb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise BackupBusy from None
            yield


def _key(stamp, name):
    return f"{PREFIX}{stamp}/{name}"


def _keys(manifest):
    return (entry.key for entry in objects.read_manifest(manifest))
