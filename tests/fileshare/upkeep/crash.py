"""Runs an operation of the portal again and again, killed (SIGKILL) at its first, second, … last step.

    python -m tests.fileshare.upkeep.crash reconcile
    python -m tests.fileshare.upkeep.crash put FOLDER_ID USER_ID
    python -m tests.fileshare.upkeep.crash parts FOLDER_ID USER_ID

The portal is that of the environment (DATABASE_URL, DATA_DIR). A step is a call that changes the store or
a row, and the kill comes before it. Each run finds what the killed runs left. The last run reaches its end.
Prints how many runs were killed.
"""

import io
import os
import signal
import sys
from datetime import timedelta

import django

if __name__ == "__main__":
    django.setup()

from django.conf import settings
from django.db import connection

from accounts.models import User
from fileshare.incoming import completion, uploads
from fileshare.models import uploads as upload_rows
from fileshare.storage import get_store
from fileshare.storage.local import LocalStore
from fileshare.upkeep import reconcile

BODY = b"twenty bytes of text" * 100
CHANGES = (
    "receive_put",
    "complete_put",
    "discard_put",
    "create_multipart",
    "receive_part",
    "complete_multipart",
    "abort_multipart",
    "delete",
    "sweep",
)


class KilledAt:
    """Counts steps, and kills the process before the given one."""

    def __init__(self, step):
        self._left = step

    def count(self):
        self._left -= 1
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def query(self, execute, sql, params, many, context):
        if not sql.startswith("SELECT"):
            self.count()
        return execute(sql, params, many, context)

    def call(self, method):
        def counted(*args, **kwargs):
            self.count()
            return method(*args, **kwargs)

        return counted


def reconcile_all():
    reconcile.complete_received()
    reconcile.reconcile()


def upload(folder_id, user_id):
    """Upload a file, from initiate to complete, whole or in parts as the settings say."""
    user, store = User.objects.get(pk=user_id), get_store()
    place = uploads.place_for(user=user, folder_id=folder_id)
    promised = uploads.initiate(
        user=user, place=place, filename="notes.txt", size_bytes=len(BODY), content_type="text/plain"
    )
    (transfer,) = uploads.begin([promised])
    if not promised.is_multipart:
        store.receive_put(promised.object_key, io.BytesIO(BODY), size_limit=len(BODY))
        completion.complete(user=user, file_id=promised.pk)
        return
    parts = []
    for number in (part["part_number"] for part in transfer.parts):
        block = BODY[(number - 1) * promised.part_size : number * promised.part_size]
        part = store.receive_part(
            promised.object_key, promised.store_upload_id, number, io.BytesIO(block), size_limit=len(block)
        )
        parts.append({"part_number": number, "etag": part.etag})
    completion.complete(user=user, file_id=promised.pk, upload_id=promised.store_upload_id, parts=parts)


def run(act, step):
    # Take over the claim of a killed run at once.
    upload_rows.CLAIM_LEASE = timedelta(0)
    killed = KilledAt(step)
    for name in CHANGES:
        setattr(LocalStore, name, killed.call(getattr(LocalStore, name)))
    with connection.execute_wrapper(killed.query):
        act()


def main(operation, *ids):
    if operation == "parts":
        settings.MULTIPART_THRESHOLD_BYTES = settings.PART_SIZE_BYTES = 1000
    step, ended = 0, False
    while not ended:
        step += 1
        child = os.fork()
        if child == 0:
            run(reconcile_all if operation == "reconcile" else lambda: upload(*ids), step)
            os._exit(0)
        status = os.waitpid(child, 0)[1]
        if status not in (0, signal.SIGKILL):
            sys.exit(f"step {step} ended with {status}")
        ended = status == 0
    print(step - 1)  # noqa: T201 - the caller reads the number


if __name__ == "__main__":
    main(*sys.argv[1:])
