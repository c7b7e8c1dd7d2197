"""Runs one operation of the local store again and again, killed (SIGKILL) at its first, second, … last step.

    python -m tests.stores.crash OPERATION FOLDER

Every run has a separate store, FOLDER/<number>, which stays as the kill left it. The last run reaches its end.
A step is any call that changes the disk, and the kill comes before it.
"""

import io
import os
import signal
import sys
from pathlib import Path

import django
from django.conf import settings

if __name__ == "__main__":
    settings.configure(USE_I18N=False)
    django.setup()

from fileshare.storage import disk, local, local_files, part_writer

KEY = "files/reports/1/report.pdf"
OLD, NEW = b"old bytes, " * 40, b"new bytes! " * 40
PART_SIZE = 200
PARTS = [NEW[start : start + PART_SIZE] for start in range(0, len(NEW), PART_SIZE)]
STEPS = {"fdatasync", "fsync", "ftruncate", "mkdir", "open", "pwrite", "rename", "rmdir", "unlink", "utime", "write"}


def stage(store):
    store.receive_put(KEY, io.BytesIO(NEW), size_limit=len(NEW))


def put(store):
    stage(store)
    store.complete_put(KEY)


def upload_parts(store):
    upload_id = store.create_multipart(KEY, content_type="", size_bytes=len(NEW), part_size=PART_SIZE)
    send_missing(store, upload_id)


def send_missing(store, upload_id):
    """Send the parts that are missing and complete the upload."""
    received = {part.part_number for part in store.list_parts(KEY, upload_id)}
    for number, part in enumerate(PARTS, 1):
        if number not in received:
            store.receive_part(KEY, upload_id, number, io.BytesIO(part), size_limit=PART_SIZE)
    finish(store, upload_id)


def finish(store, upload_id):
    parts = store.list_parts(KEY, upload_id) if store.head(KEY) is None else []
    return store.complete_multipart(KEY, upload_id, parts, size_bytes=len(NEW), part_size=PART_SIZE)


def write(store):
    store.write(KEY, io.BytesIO(NEW), size_limit=len(NEW))


def write_old(store):
    store.write(KEY, io.BytesIO(OLD), size_limit=len(OLD))


def stage_old(store):
    store.receive_put(KEY, io.BytesIO(OLD), size_limit=len(OLD))


def delete(store):
    store.delete(KEY)


# {operation: (what prepares the store, what is killed)}
OPERATIONS = {
    "first-put": (lambda store: None, put),
    "second-put": (stage_old, stage),
    "multipart": (lambda store: None, upload_parts),
    "write": (lambda store: None, write),
    "overwrite": (write_old, write),
    "delete": (write_old, delete),
}


class KilledAt:
    """The os module, with a kill before the given step."""

    def __init__(self, step):
        self._left = step

    def __getattr__(self, name):
        call = getattr(os, name)
        if name not in STEPS:
            return call

        def counted(*args, **kwargs):
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return call(*args, **kwargs)

        return counted


def main(operation, folder):
    prepare, act = OPERATIONS[operation]
    step, ended = 0, False
    while not ended:
        step += 1
        store = local.LocalStore(folder / str(step))
        prepare(store)
        child = os.fork()
        if child == 0:
            disk.os = local.os = local_files.os = local.shutil.os = part_writer.os = KilledAt(step)
            act(store)
            os._exit(0)
        ended = os.waitpid(child, 0)[1] == 0


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
