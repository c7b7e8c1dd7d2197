"""Jobs inside a portal, run by `manage.py shell` in its environment: JSON in, JSON out."""

import hashlib
import io
import json
import os
import random
import sys
import time
import uuid
import zlib
from datetime import timedelta
from urllib.parse import urlsplit

from django.conf import settings
from django.db import connection, connections, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.credentials import tokens
from accounts.models import User
from audit import chain, verifying
from audit.log import record
from fileshare.contributions.actions import Action
from fileshare.incoming import completion
from fileshare.models import File, Folder, FolderPermission, PermissionType, Tag
from fileshare.storage import get_store

from . import EMAIL, PASSWORD


def people():
    """Create a super, and a user with grants instead, so that permissions are checked as for most users."""
    User.objects.create_superuser(email=f"super-{EMAIL}", password=PASSWORD, name="Super")
    User.objects.create_user(email=EMAIL, password=PASSWORD, name="Amina Otieno")


def folder(slug):
    """A new folder that the user may use, with a grant of each kind."""
    user = User.objects.get(email=EMAIL)
    made = Folder.objects.create(name=slug, slug=slug, retention_days=None, quota_bytes=2**60)
    for kind in PermissionType.values:
        FolderPermission.objects.create(folder=made, user=user, permission_type=kind)
    return str(made.pk)


def _row(place, user, name, size, number):
    pk = uuid.uuid4()
    return File(
        pk=pk,
        folder=place,
        filename=name,
        size_bytes=size,
        content_type="application/octet-stream",
        object_key=f"files/{place.slug}/{pk}/{name}",
        uploaded_by=user,
        uploaded_at=timezone.now() - timedelta(seconds=number),
        sha256="0" * 64,
        crc32=0,
    )


def stored(slug, source, count, size):
    """Store files: `count` pieces of `size` bytes of the file `source`. Returns their ids."""
    place_id = folder(slug)
    place, user, ids = Folder.objects.get(pk=place_id), User.objects.get(email=EMAIL), []
    with open(source, "rb") as file:
        for number in range(count):
            data = file.read(size)
            row = _row(place, user, f"{number:05}.bin", size, number)
            get_store().write(row.object_key, io.BytesIO(data), size_limit=size, content_type=row.content_type)
            row.sha256, row.crc32 = hashlib.sha256(data).hexdigest(), zlib.crc32(data)
            row.save(force_insert=True)
            ids.append(str(row.pk))
    return ids


def rows(slug, count):
    """Create rows of files without stored bytes, for lists."""
    place_id = folder(slug)
    place, user = Folder.objects.get(pk=place_id), User.objects.get(email=EMAIL)
    File.objects.bulk_create(
        (_row(place, user, f"{number:06}.pdf", 1, number) for number in range(count)), batch_size=2000
    )
    return place_id


def names(slug, count):
    """Create `count` files with names to search. Returns the searches: {description: query string}.

    The words are made up, the same in each run. "report" is in a third of the names; "quixotic" only in the oldest; 20
    old files are tagged "audited".
    """
    place_id = folder(slug)
    place, user, chance = Folder.objects.get(pk=place_id), User.objects.get(email=EMAIL), random.Random(7)  # noqa: S311
    words = ["".join(chance.choices("abcdefghijklmnopqrstuvwxyz", k=chance.randint(4, 9))) for _ in range(5000)]

    def name(number):
        middle = "report" if number % 3 == 0 else chance.choice(words)
        first = "quixotic" if number == count - 1 else chance.choice(words)
        return f"{first} {middle} {number}.{chance.choice(['pdf', 'docx', 'xlsx', 'png'])}"

    for start in range(0, count, 20_000):
        numbers = range(start, min(start + 20_000, count))
        made = [_row(place, user, name(number), 1000 + number, number) for number in numbers]
        File.objects.bulk_create(made, batch_size=2000)
    tag = Tag.objects.create(name="audited")
    for file in made[-20:]:
        file.tags.add(tag)
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE")
    return {
        "a common word": "q=report",
        "a word of one old file": "q=quixotic",
        "a word of none": "q=jjqqxxzz",
        "two words": "q=report+quixotic",
        "two letters": "q=qz",
        "an old tag": "tags=audited",
        "a word of one type": "q=quixotic&type=pdf",
    }


def queries(addresses):
    """How many database queries each of these pages takes, including those for the session."""
    client, counts = Client(HTTP_HOST="127.0.0.1"), []
    client.force_login(User.objects.get(email=EMAIL))
    for address in addresses:
        with CaptureQueriesContext(connection) as captured:
            assert client.get(address).status_code == 200
        counts.append(len(captured))
    return counts


def uploads(slug, processes, count, logged=True):
    """[seconds, user CPU seconds, system CPU seconds] for `processes` processes at once, each uploading `count` files.

    Each file has 10 KiB. It is uploaded by initiate, PUT and complete, as the page calls them, through all of the
    portal except a socket. Without `logged` no row of the log is written about them.
    """
    completion.record = record if logged else lambda *args, **facts: None
    settings.RATELIMIT_ENABLE = False
    user, place = User.objects.get(email=EMAIL), str(Folder.objects.get(slug=slug).pk)
    client = Client(HTTP_HOST="127.0.0.1", HTTP_AUTHORIZATION=f"Bearer {tokens.access_for(user)}")
    data = random.Random(slug).randbytes(10 * 1024)  # noqa: S311 - bytes to fill files
    promise = {"folder_id": place, "size_bytes": len(data), "content_type": "application/octet-stream"}

    def act(number):
        answer = client.post(
            "/api/fileshare/upload/initiate", {**promise, "filename": f"{number}.bin"}, "application/json"
        )
        transfer = answer.json()
        path = urlsplit(transfer["upload_url"]).path
        sent = client.put(path, data, transfer["headers"]["Content-Type"])
        done = client.post("/api/fileshare/upload/complete", {"file_id": transfer["file_id"]}, "application/json")
        if [answer.status_code, sent.status_code, done.status_code] != [201, 200, 200]:
            raise RuntimeError(done.content)

    act(count)  # warm up the portal
    return _at_once(processes, count, act)


def appends(slug, processes, count):
    """[seconds, user CPU seconds, system CPU seconds] for `processes` processes at once, each writing `count` log rows.

    Places all rows in the chain afterwards and checks it.
    """
    place, user = Folder.objects.get(slug=slug), User.objects.get(email=EMAIL)

    def act(number):
        with transaction.atomic():
            record(Action.UPLOAD, user=user, folder=place, size_bytes=10 * 1024, number=number)

    used = _at_once(processes, count, act)
    chain.seal()
    if [fault for fault in verifying.verify().faults if fault.seq is not None]:
        raise RuntimeError("the chain is not whole")
    return used


def _at_once(processes, count, act):
    connections.close_all()
    begun, children = time.perf_counter(), []
    for _number in range(processes):
        child = os.fork()
        if child == 0:
            for number in range(count):
                act(number)
            os._exit(0)
        children.append(child)
    ends = [os.wait4(child, 0) for child in children]
    seconds = time.perf_counter() - begun
    if any(status for _pid, status, _used in ends):
        raise RuntimeError("a process failed, see above")
    return [seconds, sum(used.ru_utime for *_, used in ends), sum(used.ru_stime for *_, used in ends)]


def main():
    """Run the job of each input line, [job, arguments], and print its result as one line."""
    jobs = {
        function.__name__: function for function in (people, folder, stored, rows, names, queries, uploads, appends)
    }
    for line in sys.stdin:
        job, arguments = json.loads(line)
        sys.stdout.write(json.dumps(jobs[job](*arguments)) + "\n")
        sys.stdout.flush()
