"""Requests to the portal, for the tests of folders and files."""

import threading
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import pytest
from django.db import connections

from fileshare.storage import get_store
from tests.store_client import ask_store, is_in_a_bucket

# Threads see only committed rows, so these tests commit. Each restores the rows of the migrations afterwards.
REAL_TRANSACTIONS = pytest.mark.django_db(transaction=True)
TEXT = b"".join(b"line %05d of the text\n" % number for number in range(250))
"""5,750 bytes."""


def at_once(count, act):
    """The results of act(0) … act(count - 1), called in threads that start together."""
    start = threading.Barrier(count)

    def run(number):
        start.wait(30)
        try:
            return act(number)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(run, range(count)))


def content(response):
    """The bytes of an answer, streamed or not. The test client closes a stream at its end."""
    return b"".join(response.streaming_content) if response.streaming else response.content


def refusal(response):
    """(status, code) of a refusal."""
    return response.status_code, response.json()["code"]


def objects(prefix=""):
    """The keys of all objects in the store that begin with `prefix`."""
    return [key for key, _size, _modified in get_store().list(prefix)]


def path_of(url):
    """An absolute URL as the test client needs it: its path, or the whole URL if it leads to a bucket."""
    return url if is_in_a_bucket(url) else urlsplit(url).path


def send(url, body, content_type="application/octet-stream"):
    """PUT bytes to a signed URL, without signing in."""
    return ask_store("PUT", url, body=body, headers={"Content-Type": content_type})


def promise(api, folder, body, filename="report.docx", **facts):
    """Initiate an upload of `body`; returns the answer."""
    facts = {"folder_id": str(folder.pk), "filename": filename, "size_bytes": len(body), **facts}
    return api.post("/api/fileshare/upload/initiate", facts)


def begun(api, folder, body, filename="notes.txt", **facts):
    """Initiate an upload of `body`, which must succeed; returns the JSON."""
    answer = promise(api, folder, body, filename, **facts)
    assert answer.status_code == 201, answer.json()
    return answer.json()


def send_whole(transfer, body):
    """PUT the whole body to the URL of an initiate's answer; returns the answer."""
    return send(transfer["upload_url"], body, transfer["headers"].get("Content-Type", "application/octet-stream"))


def send_parts(transfer, body):
    """PUT the parts that an initiate's answer lists; returns the `parts` for complete."""
    size = transfer["part_size"]
    parts = []
    for part in transfer["parts"]:
        number = part["part_number"]
        answer = send(part["upload_url"], body[(number - 1) * size : number * size])
        assert answer.status_code == 200, answer.content
        parts.append({"part_number": number, "etag": answer["ETag"]})
    return parts


def complete(api, transfer, **facts):
    """Complete the upload; returns the answer."""
    if "upload_id" in transfer:
        facts.setdefault("upload_id", transfer["upload_id"])
    return api.post("/api/fileshare/upload/complete", {"file_id": transfer["file_id"], **facts})


def space(folder):
    """(used, reserved) bytes of the folder, read from the database now."""
    folder.refresh_from_db()
    return folder.used_bytes, folder.reserved_bytes
