"""How the store gives an object to the server: a descriptor for sendfile, bounded reads, or a name for nginx."""

import io
import os
import socket
from hashlib import shake_256
from types import SimpleNamespace

import pytest
from django.test import RequestFactory
from gunicorn.config import Config
from gunicorn.http.wsgi import FileWrapper, Response

from fileshare.outgoing.sending import send_object
from fileshare.storage import BLOCK_SIZE, ObjectMissing, get_store

KEY = "files/reports/1/report.pdf"
BODY = shake_256(b"body").digest(50_000)

# When a response is closed, Django ends the request and checks its database connections.
pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def stored(settings, tmp_path):
    settings.STORAGE, settings.DATA_DIR, settings.X_ACCEL_PREFIX = "local", tmp_path, ""
    get_store().write(KEY, io.BytesIO(BODY), size_limit=len(BODY))


def send(method="get", **headers):
    request = getattr(RequestFactory(), method)("/store/x", headers=headers)
    return send_object(request, key=KEY, filename="report.pdf", content_type="application/pdf")


@pytest.mark.parametrize(
    ("asked", "start", "end"), [(None, 0, 50_000), ("bytes=100-199", 100, 200), ("bytes=-7", 49_993, 50_000)]
)
def test_gunicorn_sends_the_file_itself_and_only_the_range(asked, start, end):
    response = send(**({"Range": asked} if asked else {}))
    ours, theirs = socket.socketpair()
    request = SimpleNamespace(method="GET", version=(1, 1), headers=[], should_close=lambda: True)
    gunicorn = Response(request, ours, Config())
    gunicorn.start_response(f"{response.status_code} OK", list(response.items()))

    sent_by_the_kernel = gunicorn.sendfile(FileWrapper(response.file_to_stream, response.block_size))

    ours.close()
    received = b"".join(iter(lambda: theirs.recv(65536), b""))
    theirs.close()
    response.close()
    assert sent_by_the_kernel is True
    assert received.partition(b"\r\n\r\n")[2] == BODY[start:end]


@pytest.mark.parametrize(("asked", "start", "end"), [("bytes=0-", 0, 50_000), ("bytes=100-199", 100, 200)])
def test_a_server_without_sendfile_reads_no_further_than_the_range(asked, start, end):
    response = send(Range=asked)

    assert response.block_size == BLOCK_SIZE
    assert b"".join(response) == BODY[start:end]
    reader = response.file_to_stream
    assert reader.seek(0, os.SEEK_END) == end
    assert (reader.read(10), reader.tell()) == (b"", end)
    response.close()


def test_the_file_is_closed_with_the_response():
    response = send()
    descriptor = response.file_to_stream.fileno()

    response.close()

    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)


def test_behind_nginx_the_answer_only_names_the_object(settings):
    settings.X_ACCEL_PREFIX = "/_store/"

    response = send(Range="bytes=0-1")

    assert response["X-Accel-Redirect"] == f"/_store/{KEY}"
    assert (response.status_code, response.content) == (200, b"")
    assert "Content-Range" not in response
    assert response["Content-Type"] == "application/pdf"
    assert response["Content-Disposition"].startswith("attachment")
    assert response["Cache-Control"] == "private, no-store"


@pytest.mark.parametrize("content_type", ["", "pdf", "text/html\r\nX-Evil: 1", "text/ html", "\u00e9/x"])
def test_a_content_type_that_is_none_is_not_sent(content_type):
    response = send_object(RequestFactory().get("/"), key=KEY, filename="x", content_type=content_type)
    response.close()

    assert response["Content-Type"] == "application/octet-stream"


def test_if_range_takes_the_date_too():
    modified = send("head")["Last-Modified"]

    assert send("head", **{"Range": "bytes=0-1", "If-Range": modified}).status_code == 206
    assert send("head", **{"Range": "bytes=0-1", "If-Range": "Mon, 01 Jan 2001 00:00:00 GMT"}).status_code == 200


@pytest.mark.parametrize("tags", ["*", "W/{0}", '"x", {0}'])
def test_if_none_match_is_compared_weakly(tags):
    etag = send("head")["ETag"]

    assert send(**{"If-None-Match": tags.format(etag)}).status_code == 304


def test_an_object_that_is_gone_is_said_so():
    get_store().delete(KEY)

    with pytest.raises(ObjectMissing):
        send()
