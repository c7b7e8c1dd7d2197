"""What is done inside a portal, by a `manage.py shell` in its environment: JSON in, JSON out."""

import hashlib
import io
import json
import sys
import uuid
import zlib
from datetime import timedelta

from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import User
from fileshare.models import File, Folder, FolderPermission, PermissionType
from fileshare.storage import get_store

from . import EMAIL, PASSWORD


def people():
    """A super who makes folders, and somebody who has two grants on each: rights have to be asked, as of most."""
    User.objects.create_superuser(email=f"super-{EMAIL}", password=PASSWORD, name="Super")
    User.objects.create_user(email=EMAIL, password=PASSWORD, name="Amina Otieno")


def folder(slug):
    """A new folder the person may use."""
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
    """Files with bytes: `count` pieces of `size` of the file `source`; their ids."""
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
    """Files of which a list shows the row alone."""
    place_id = folder(slug)
    place, user = Folder.objects.get(pk=place_id), User.objects.get(email=EMAIL)
    File.objects.bulk_create(
        (_row(place, user, f"{number:06}.pdf", 1, number) for number in range(count)), batch_size=2000
    )
    return place_id


def queries(addresses):
    """How many queries each of these pages takes, sign-in included."""
    client, counts = Client(HTTP_HOST="127.0.0.1"), []
    client.force_login(User.objects.get(email=EMAIL))
    for address in addresses:
        with CaptureQueriesContext(connection) as captured:
            assert client.get(address).status_code == 200
        counts.append(len(captured))
    return counts


def main():
    """Do what each line of the input asks, [job, arguments], and answer by a line."""
    jobs = {function.__name__: function for function in (people, folder, stored, rows, queries)}
    for line in sys.stdin:
        job, arguments = json.loads(line)
        sys.stdout.write(json.dumps(jobs[job](*arguments)) + "\n")
        sys.stdout.flush()
