"""Where backups lie: in the object store itself, or in a folder laid out like a local store.

FOLDER/objects/backups/<stamp>/…    the backups
FOLDER/objects/<key>                a copy of each object that one of them names
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
"""Any number nobody else takes an advisory lock of PostgreSQL by."""
LOCK_PATIENCE_SECONDS = 10
"""PostgreSQL gives the lock of a killed process back when it notices, which is soon and not at once."""
INCOMPLETE_FOR = timedelta(days=1)
"""So long a backup that is not complete may still be on its way."""

_KEY = re.compile(r"backups/(\d{8}T\d{6}Z)/([a-z.]+)")


@dataclass(frozen=True, slots=True)
class Shelf:
    """A place for backups. `holds_copies`: a folder, with copies of the objects."""

    store: ObjectStore
    holds_copies: bool
    name: str

    def stamps(self):
        """({stamp: when its last object came} of the complete backups, the same of the others), oldest first."""
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
        """The time in UTC, by the second, as no backup here bears it."""
        while True:
            stamp = datetime.now(UTC).strftime(STAMP)
            if next(iter(self.store.list(f"{PREFIX}{stamp}/")), None) is None:
                return stamp
            time.sleep(0.2)

    def find(self, which):
        """(stamp, summary) of a complete backup, by its stamp or as `latest`. Raises BackupRefused."""
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
        """What backup.json says. Raises BackupRefused when it cannot be read."""
        with self.store.open(_key(stamp, SUMMARY)) as file:
            try:
                return json.load(file)
            except ValueError:
                raise BackupRefused(_("The summary of backup %s cannot be read.") % stamp) from None

    def put(self, stamp, name, file):
        """Keep what the seekable `file` holds; returns what the summary has to say of it."""
        size_bytes = file.seek(0, 2)
        file.seek(0)
        info = self.store.write(_key(stamp, name), file, size_limit=size_bytes)
        return {"size_bytes": info.size_bytes, "sha256": info.sha256}

    @contextmanager
    def fetched(self, stamp, name, facts):
        """A file with what was put, proven to be just that. Raises BackupRefused when it is not."""
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
        """Remove all complete backups but the newest `keep`, and others when they are a day old.

        In a folder also the copies that no backup names any more. Returns the stamps that went.
        """
        complete, others = self.stamps()
        stale = timezone.now() - INCOMPLETE_FOR
        old = sorted(complete)[:-keep]
        old += [stamp for stamp, modified_at in others.items() if modified_at < stale]
        for stamp in old:
            # The summary first: killed in between, the rest counts as incomplete.
            for name in (SUMMARY, MANIFEST, DATABASE):
                self.store.delete(_key(stamp, name))
        if self.holds_copies:
            self._drop_unnamed_copies(complete.keys() - set(old))
            self.store.sweep(older_than=stale)
        return old

    def _drop_unnamed_copies(self, stamps):
        with contextlib.ExitStack() as stack:
            # All are proven whole before the first copy goes.
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
    """The Shelf of a folder's path, or of the object store for an empty one. Raises BackupRefused.

    The folder has to be there: a disk that is not mounted must not become a folder on another one.
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
    """Hold the only right to make or restore a backup. Raises BackupBusy when somebody has it.

    It ends with the process however that ends: an advisory lock of a connection of its own on
    PostgreSQL, which all machines ask, a locked file beside SQLite, which has one machine only.
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
                # Closing gives it back too, but only when the server's process gets round to it.
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
