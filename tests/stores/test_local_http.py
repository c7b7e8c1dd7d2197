"""The local store's URLs over HTTP: odd bodies, cut connections, rights checked again, constant memory."""

import contextlib
import io
import json
import os
import socket
import time
import uuid
from hashlib import shake_256
from pathlib import Path
from urllib.parse import urlsplit

import pytest

pytestmark = pytest.mark.once

BODY = shake_256(b"body").digest(100_000)
MIB = 1024 * 1024


@pytest.fixture
def store(local_store):
    return local_store


def ask_to_put(store, key, file_id, size_bytes=None, content_type=""):
    size_bytes = len(BODY) if size_bytes is None else size_bytes
    return store.presign_put(key, file_id=file_id, size_bytes=size_bytes, content_type=content_type, expires_in=900)


def url_of(store, key, file_id):
    claims = {"file": file_id, "object_key": key}
    return store.presign_get(key, filename="report.pdf", content_type="application/pdf", expires_in=900, claims=claims)


class Wire:
    """A plain connection, on which a request can stop halfway."""

    def __init__(self, url, method="PUT", **headers):
        parts = urlsplit(url)
        lines = [f"{method} {parts.path} HTTP/1.1", f"Host: {parts.netloc}", "Accept: application/json"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        self.socket = socket.create_connection((parts.hostname, parts.port), timeout=60)
        self.send(("\r\n".join(lines) + "\r\n\r\n").encode())

    def send(self, data):
        self.socket.sendall(data)

    def hang_up(self):
        """Send no more; the answer can still be read."""
        self.socket.shutdown(socket.SHUT_WR)

    def status(self):
        """The status of the answer. Does not read the body."""
        return self._head()[0]

    def refusal(self):
        """(status, code) of an answer in JSON."""
        status, headers, body = self._head()
        while len(body) < int(headers["content-length"]):
            body += self.socket.recv(65536)
        return status, json.loads(body)["code"]

    def _head(self):
        data = b""
        while b"\r\n\r\n" not in data:
            data += self.socket.recv(65536)
        head, _blank, body = data.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        return int(first.split()[1]), {line.split(": ")[0].lower(): line.split(": ")[1] for line in lines}, body

    def close(self):
        self.socket.close()


def wait_for(condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.01)


def temporary_files(store):
    return [path for path in Path(store.root, "staged").iterdir() if path.suffix == ".tmp"]


def worker_of(server):
    children = Path(f"/proc/{server.pid}/task/{server.pid}/children")
    if not children.exists():
        pytest.skip("needs /proc")
    return int(children.read_text().split()[0])


# --- Bodies -------------------------------------------------------------------------------------


def test_a_body_may_come_in_chunks(store, web, key, file_id):
    signed = ask_to_put(store, key, file_id)

    response = web.put(signed.url, content=iter([BODY[:10], BODY[10:70_000], BODY[70_000:]]))

    assert response.status_code == 200
    assert store.complete_put(key).sha256 == store.head(key).sha256
    assert b"".join(store.read_range(key, 0, len(BODY))) == BODY


def test_a_body_in_chunks_beyond_its_size_is_refused(store, web, key, file_id):
    signed = ask_to_put(store, key, file_id, size_bytes=len(BODY) - 1)

    response = web.put(signed.url, content=iter([BODY]))

    assert (response.status_code, response.json()["code"]) == (413, "too_large")
    assert store.received(key) is None


def test_a_body_of_unknown_length_is_refused(store, key, file_id):
    wire = Wire(ask_to_put(store, key, file_id).url)

    refusal = wire.refusal()
    wire.close()

    assert refusal == (411, "length_required")


def test_a_body_too_large_is_refused_before_it_is_sent(store, key, file_id):
    wire = Wire(ask_to_put(store, key, file_id).url, Content_Length=len(BODY) + 1)

    refusal = wire.refusal()
    wire.close()

    assert refusal == (413, "too_large")


def test_a_part_too_large_leaves_the_part_that_is_there(store, web, key, file_id):
    upload_id = store.create_multipart(key, content_type="", size_bytes=5, part_size=5)
    url = store.presign_part(key, upload_id, 1, file_id=file_id, size_bytes=5, expires_in=900)
    web.put(url, content=b"12345")

    assert web.put(url, content=b"123456").status_code == 413
    assert [part.size_bytes for part in store.list_parts(key, upload_id)] == [5]


@pytest.mark.parametrize(
    ("headers", "sent"),
    [
        pytest.param({"Content_Length": len(BODY)}, BODY[:50_000], id="by length"),
        pytest.param({"Content_Length": len(BODY)}, b"", id="nothing of it"),
        pytest.param({"Transfer_Encoding": "chunked"}, b"c350\r\n" + BODY[:50_000] + b"\r\n", id="between chunks"),
        pytest.param({"Transfer_Encoding": "chunked"}, b"c350\r\n" + BODY[:20_000], id="within a chunk"),
        pytest.param({"Transfer_Encoding": "chunked"}, b"zz\r\n", id="no chunk at all"),
    ],
)
def test_a_body_cut_short_leaves_nothing(store, key, file_id, headers, sent):
    wire = Wire(ask_to_put(store, key, file_id).url, **headers)

    wire.send(sent)
    wire.hang_up()
    refusal = wire.refusal()
    wire.close()

    assert refusal == (400, "incomplete_body")
    assert store.received(key) is None
    assert temporary_files(store) == []


def test_a_part_cut_short_does_not_count(store, web, key, file_id):
    upload_id = store.create_multipart(key, content_type="", size_bytes=5, part_size=5)
    url = store.presign_part(key, upload_id, 1, file_id=file_id, size_bytes=5, expires_in=900)
    wire = Wire(url, Content_Length=5)
    wire.send(b"123")
    wire.hang_up()

    assert wire.status() == 400
    wire.close()
    assert store.list_parts(key, upload_id) == []
    assert web.put(url, content=b"12345").status_code == 200


def test_a_part_whose_connection_broke_goes_on_by_its_range(store, web, key, file_id):
    size = len(BODY)
    upload_id = store.create_multipart(key, content_type="", size_bytes=size, part_size=size)
    url = store.presign_part(key, upload_id, 1, file_id=file_id, size_bytes=size, expires_in=900)
    wire = Wire(url, Content_Length=size)
    wire.send(BODY[:70_000])
    wire.close()
    wait_for(lambda: store.begun_parts(key, upload_id))
    begun = store.begun_parts(key, upload_id)[1]

    def put(start, body=None, end=size - 1, whole=size):
        content_range = f"bytes {start}-{end}/{whole}"
        return web.put(url, content=BODY[start:] if body is None else body, headers={"Content-Range": content_range})

    assert 70_000 - 16 * 1024 < begun <= 70_000
    wrong = put(begun - 1)
    assert (wrong.status_code, wrong.json()["code"], wrong.json()["begun_bytes"]) == (409, "wrong_offset", begun)
    for malformed in (put(begun, end=size), put(begun, whole=size + 1), put(begun, end=begun - 1), put(size, b"")):
        assert (malformed.status_code, malformed.json()["code"]) == (400, "malformed")
    assert put(begun, BODY[begun : begun + 100], end=begun + 99).status_code == 204
    assert put(begun + 100).status_code == 200

    parts = store.list_parts(key, upload_id)
    store.complete_multipart(key, upload_id, parts, size_bytes=size, part_size=size)
    assert b"".join(store.read_range(key, 0, size)) == BODY
    whole = ask_to_put(store, key, file_id)
    refused = web.put(whole.url, content=BODY, headers={"Content-Range": f"bytes 0-{size - 1}/{size}"})
    assert refused.status_code == 400, "a single PUT has no rest"


@pytest.mark.parametrize("content_type", ["application/x-www-form-urlencoded", "multipart/form-data; boundary=x"])
def test_a_body_is_never_taken_for_a_form(store, web, key, file_id, content_type):
    signed = ask_to_put(store, key, file_id, content_type=content_type)

    assert web.put(signed.url, content=BODY, headers=signed.headers).status_code == 200
    assert store.received(key).size_bytes == len(BODY)


def test_other_methods_are_not_known(store, web, key, file_id):
    signed = ask_to_put(store, key, file_id)

    for method in ("POST", "DELETE", "PATCH"):
        assert web.request(method, signed.url).status_code == 405


# --- Rights -------------------------------------------------------------------------------------


def close_upload(server, file_id):
    folder = server.data_dir / "closed"
    folder.mkdir(exist_ok=True)
    (folder / file_id).touch()


def test_a_put_for_a_closed_upload_is_refused(store, web, local_server, key, file_id):
    upload_id = store.create_multipart(key, content_type="", size_bytes=5, part_size=5)
    part_url = store.presign_part(key, upload_id, 1, file_id=file_id, size_bytes=5, expires_in=900)
    close_upload(local_server, file_id)

    for url in (ask_to_put(store, key, file_id).url, part_url):
        response = web.put(url, content=b"12345")
        assert (response.status_code, response.json()["code"]) == (409, "upload_completed")
    assert store.received(key) is None
    assert store.list_parts(key, upload_id) == []


def test_an_upload_closed_while_its_bytes_come_in_is_refused(store, local_server, key, file_id):
    wire = Wire(ask_to_put(store, key, file_id).url, Content_Length=len(BODY))
    wire.send(BODY[:50_000])
    wait_for(lambda: temporary_files(store))

    close_upload(local_server, file_id)
    wire.send(BODY[50_000:])
    refusal = wire.refusal()
    wire.close()

    assert refusal == (409, "upload_completed")
    assert store.received(key) is None
    assert temporary_files(store) == []


def test_a_reader_who_lost_the_right_is_refused(store, web, local_server, key, file_id):
    store.write(key, io.BytesIO(BODY), size_limit=len(BODY))
    url = url_of(store, key, file_id)
    assert web.get(url).status_code == 200

    folder = local_server.data_dir / "denied"
    folder.mkdir(exist_ok=True)
    (folder / file_id).touch()

    assert web.get(url).status_code == 404


def test_a_right_to_one_file_gives_no_other(store, web, key, file_id):
    store.write(key, io.BytesIO(BODY), size_limit=len(BODY))
    claims = {"file": file_id, "object_key": f"files/{uuid.uuid4()}"}
    url = store.presign_get(key, filename="x", content_type="", expires_in=900, claims=claims)

    assert web.get(url).status_code == 404


# --- Answers ------------------------------------------------------------------------------------


def test_a_download_is_kept_from_browsers_and_caches(store, web, key, file_id):
    store.write(key, io.BytesIO(BODY), size_limit=len(BODY))

    headers = web.get(url_of(store, key, file_id)).headers

    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Content-Security-Policy"] == "sandbox; default-src 'none'"
    assert headers["Cache-Control"] == "private, no-store"


def test_head_says_what_get_would(store, web, key, file_id):
    store.write(key, io.BytesIO(BODY), size_limit=len(BODY))
    url = url_of(store, key, file_id)

    for headers in ({}, {"Range": "bytes=5-9"}, {"Range": f"bytes={len(BODY)}-"}):
        head, get = web.head(url, headers=headers), web.get(url, headers=headers)
        assert (head.status_code, head.content) == (get.status_code, b"")
        for name in ("Content-Length", "Content-Range", "Content-Type", "Content-Disposition", "ETag", "Last-Modified"):
            assert head.headers.get(name) == get.headers.get(name)


def test_a_reader_who_hangs_up_leaves_no_file_open(store, web, local_server, key, file_id):
    worker = worker_of(local_server)
    body = bytes(32 * MIB)
    store.write(key, io.BytesIO(body), size_limit=len(body))
    path = str(Path(store.root, "objects", key))

    def open_files():
        folder = Path(f"/proc/{worker}/fd")
        links = []
        for descriptor in os.listdir(folder):
            with contextlib.suppress(FileNotFoundError):
                links.append(os.readlink(folder / descriptor))
        return links

    wire = Wire(url_of(store, key, file_id), method="GET")
    assert wire.status() == 200
    wait_for(lambda: path in open_files())
    wire.close()

    wait_for(lambda: path not in open_files())


def test_memory_does_not_grow_with_the_file(store, web, local_server, key, file_id):
    worker = worker_of(local_server)
    size = 256 * MIB

    def peak():
        status = Path(f"/proc/{worker}/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) * 1024

    def body():
        for _ in range(size // MIB):
            yield bytes(MIB)

    before = peak()
    signed = ask_to_put(store, key, file_id, size_bytes=size)
    assert web.put(signed.url, content=body(), headers={"Content-Length": str(size)}).status_code == 200
    store.complete_put(key)
    with web.stream("GET", url_of(store, key, file_id)) as response:
        assert sum(map(len, response.iter_raw(MIB))) == size
    store.delete(key)

    assert peak() - before < 48 * MIB
