"""Uploads that nginx writes into files and hands over to the portal (BODY_FILE_DIR): real nginx, TLS, live portal."""

import contextlib
import errno
import hashlib
import http.client
import json
import os
import re
import socket
import ssl
import time
import uuid
from datetime import timedelta
from types import SimpleNamespace

import httpx
import pytest
from django.utils import timezone

from fileshare.storage import body_files
from fileshare.storage.local import LocalStore
from tests.deploy.conftest import (
    HOST,
    PASSWORD,
    SEED,
    listens,
    manage,
    nginx_folder,
    production,
    running,
    web_command,
)
from tests.deploy.test_nginx import path_of
from tests.migrated import migrate
from tests.servers import LOOPBACK, free_ports, nginx_path

pytestmark = [pytest.mark.nginx, pytest.mark.sqlite]
MIB = 1024 * 1024
BODY = hashlib.shake_256(b"hand-off").digest(3 * MIB)
PART = 5 * MIB


@pytest.fixture(scope="module")
def handed(tmp_path_factory):
    """A live portal with BODY_FILE_DIR: port, store, bodies (the folder), data_dir."""
    folder = tmp_path_factory.mktemp("handed")
    store = folder / "data" / "store"
    (store / "bodies").mkdir(parents=True)
    (port,) = free_ports(1)
    environment = production(
        folder / "data",
        PORT=str(port),
        BODY_FILE_DIR=str(store / "bodies"),
        X_ACCEL_PREFIX="/_store/",
        MULTIPART_THRESHOLD=str(PART),
        PART_SIZE=str(PART),
    )
    migrate(environment)
    manage(environment, "shell", "--verbosity", "0", "--command", SEED)
    with running(web_command(), environment=environment, log=folder / "log", is_ready=lambda: listens(port)):
        yield SimpleNamespace(port=port, store=store, bodies=store / "bodies", data_dir=folder / "data")


@pytest.fixture(scope="module")
def front(handed, tmp_path_factory):
    """nginx with the hand-off switched on: https (a port), folder."""
    folder = tmp_path_factory.mktemp("front")
    ports = free_ports(2)
    conf = nginx_folder(folder, ports=ports, portal_port=handed.port, s3_port=9, data_dir=handed.data_dir)
    text, switched = re.subn(r"^    #(?=location|    |\})", "    ", conf.read_text(), flags=re.MULTILINE)
    assert switched > 10
    conf.write_text(text.replace(" /data/store/bodies;", f" {handed.bodies};"))
    command = [nginx_path(), "-e", str(folder / "error.log"), "-c", str(conf)]
    with running(command, environment=None, log=folder / "log", is_ready=lambda: listens(ports[1])):
        yield SimpleNamespace(https=ports[1], folder=folder)


@pytest.fixture(scope="module")
def web(front):
    """A client signed in as super, through nginx."""
    with httpx.Client(
        base_url=f"https://{LOOPBACK}:{front.https}",
        headers={"Host": HOST, "Accept": "application/json"},
        verify=ssl.create_default_context(cafile=front.folder / "tls.crt"),
        timeout=60,
    ) as client:
        sign_in(client)
        yield client


@pytest.fixture(scope="module")
def past_nginx(handed):
    """A client signed in as super, connected to the portal without nginx."""
    with direct(handed.port) as client:
        yield client


@contextlib.contextmanager
def direct(port):
    headers = {"Host": HOST, "Accept": "application/json", "X-Forwarded-Proto": "https"}
    with httpx.Client(base_url=f"http://{LOOPBACK}:{port}", headers=headers, timeout=60) as client:
        sign_in(client)
        yield client


def sign_in(client):
    answer = client.post("/api/auth/login", json={"email": "super@example.org", "password": PASSWORD})
    client.headers["Authorization"] = f"Bearer {answer.json()['access']}"


def promised(client, size_bytes):
    """Initiate an upload in a new folder; returns the answer."""
    slug = uuid.uuid4().hex
    folder = client.post("/api/fileshare/folders", json={"name": slug, "slug": slug}).json()
    facts = {"filename": "numbers.bin", "size_bytes": size_bytes, "content_type": "application/octet-stream"}
    answer = client.post("/api/fileshare/upload/initiate", json={"folder_id": folder["id"], **facts})
    assert answer.status_code == 201, answer.text
    return answer.json()


def put(client, promise, body, **headers):
    return client.put(path_of(promise["upload_url"]), content=body, headers=promise["headers"] | headers)


@contextlib.contextmanager
def begun(front, promise, size_bytes):
    """A connection that has sent the head of a PUT of `size_bytes`, and no byte of the body."""
    head = f"PUT {path_of(promise['upload_url'])} HTTP/1.1\r\nHost: {HOST}\r\nAccept: application/json\r\n"
    head += "".join(f"{name}: {value}\r\n" for name, value in promise["headers"].items())
    context = ssl.create_default_context(cafile=front.folder / "tls.crt")
    with (
        socket.create_connection((LOOPBACK, front.https), timeout=30) as raw,
        context.wrap_socket(raw, server_hostname=LOOPBACK) as connection,
    ):
        connection.sendall(f"{head}Content-Length: {size_bytes}\r\n\r\n".encode())
        yield connection


def refusal(front, promise, size_bytes):
    """(status, code) of an answer to a PUT whose body has not been sent."""
    with begun(front, promise, size_bytes) as connection:
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        return answer.status, json.loads(answer.read())["code"]


def complete(client, promise, **facts):
    return client.post("/api/fileshare/upload/complete", json={"file_id": promise["file_id"], **facts})


def content(client, promise):
    url = path_of(client.post(f"/api/fileshare/download/{promise['file_id']}").json()["download_url"])
    return client.get(url).content


def files_in(folder):
    return [path for path in folder.rglob("*") if path.is_file()]


def emptied(folder):
    """True once the folder is empty, False after 20 seconds. nginx removes a file at the end of its request."""
    deadline = time.monotonic() + 20
    while files_in(folder) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not files_in(folder)


def test_a_put_arrives_as_nginx_own_file(web, handed):
    promise = promised(web, len(BODY))

    answer = put(web, promise, BODY)

    assert answer.status_code == 200, answer.text
    (staged,) = (handed.store / "staged").glob("*.data")
    assert staged.read_bytes() == BODY
    assert staged.stat().st_mode & 0o777 == body_files.FILE_MODE
    assert emptied(handed.bodies)
    file = complete(web, promise).json()
    assert file["sha256"] == hashlib.sha256(BODY).hexdigest()
    assert content(web, promise) == BODY


def test_the_stored_file_is_the_one_nginx_wrote(web, handed):
    promise = promised(web, len(BODY))
    written = []

    def watched():
        yield BODY[: 2 * MIB]
        deadline = time.monotonic() + 20
        while not written and time.monotonic() < deadline:
            written.extend(path.stat().st_ino for path in files_in(handed.bodies))
            time.sleep(0.01)
        yield BODY[2 * MIB :]

    answer = put(web, promise, watched(), **{"Content-Length": str(len(BODY))})

    assert answer.status_code == 200, answer.text
    (staged,) = (handed.store / "staged").glob("*.data")
    assert [staged.stat().st_ino] == written
    assert complete(web, promise).status_code == 200


def test_parts_are_put_in_their_places(web, handed):
    body = BODY + BODY + BODY  # 9 MiB: a whole part and a short one
    promise = promised(web, len(body))
    named = []
    for part in reversed(promise["parts"]):
        start = (part["part_number"] - 1) * promise["part_size"]
        answer = web.put(path_of(part["upload_url"]), content=body[start : start + promise["part_size"]])
        assert answer.status_code == 200, answer.text
        named.insert(0, {"part_number": part["part_number"], "etag": answer.headers["ETag"]})

    done = complete(web, promise, upload_id=promise["upload_id"], parts=named)

    assert done.status_code == 200, done.text
    assert content(web, promise) == body
    assert emptied(handed.bodies)


def test_an_empty_body_is_none(web, handed):
    promise = promised(web, len(BODY))

    assert put(web, promise, b"").status_code == 200
    assert complete(web, promise).json()["code"] == "wrong_size"
    assert emptied(handed.bodies)


def test_too_long_a_body_is_refused_before_it_is_sent(front, web, handed):
    promise = promised(web, len(BODY) - 1)

    assert refusal(front, promise, len(BODY)) == (413, "too_large")
    assert not files_in(handed.bodies)
    assert complete(web, promise).json()["code"] == "not_uploaded"


def test_too_short_a_body_is_no_file(web, handed):
    promise = promised(web, len(BODY) + 1)

    assert put(web, promise, BODY).status_code == 200
    assert complete(web, promise).json()["code"] == "wrong_size"
    assert emptied(handed.bodies)


def test_a_body_that_breaks_off_leaves_nothing(front, web, handed):
    promise = promised(web, len(BODY))

    with begun(front, promise, len(BODY)) as connection:
        connection.sendall(BODY[: 2 * MIB])
        deadline = time.monotonic() + 20
        while not files_in(handed.bodies):
            assert time.monotonic() < deadline
            time.sleep(0.01)

    assert emptied(handed.bodies)
    assert complete(web, promise).json()["code"] == "not_uploaded"


def test_without_a_signed_address_nginx_keeps_nothing(front, web, handed):
    promise = promised(web, len(BODY))
    forged = promise | {"upload_url": promise["upload_url"][:-4] + "AAAA"}

    assert refusal(front, forged, len(BODY)) == (403, "signature_invalid")
    assert not files_in(handed.bodies)


def test_an_upload_that_was_given_up_takes_nothing(front, web, handed):
    promise = promised(web, len(BODY))
    web.post("/api/fileshare/upload/abort", json={"file_id": promise["file_id"]})

    assert refusal(front, promise, len(BODY)) == (404, "upload_gone")
    assert not files_in(handed.bodies)


def test_a_header_of_the_clients_own_means_nothing(web, handed):
    bait = handed.bodies / "bait"
    bait.write_bytes(b"of somebody else")
    promise = promised(web, len(BODY))

    answer = put(web, promise, BODY, **{"X-Body-File": str(bait), "X-Body-Length": "1"})

    assert answer.status_code == 200
    assert bait.read_bytes() == b"of somebody else"
    bait.unlink()
    assert complete(web, promise).status_code == 200
    assert content(web, promise) == BODY


@pytest.mark.parametrize("kind", ["outside", "below", "dots", "relative", "link", "pipe", "folder", "missing", "root"])
def test_only_a_plain_file_of_the_folder_is_taken(kind, past_nginx, handed, tmp_path):
    outside = tmp_path / "secret"
    outside.write_bytes(BODY)
    (handed.bodies / "below").mkdir(exist_ok=True)
    (handed.bodies / "below" / "file").write_bytes(BODY)
    link, pipe = handed.bodies / "link", handed.bodies / "pipe"
    link.symlink_to(outside)
    os.mkfifo(pipe)
    path = {
        "outside": outside,
        "below": handed.bodies / "below" / "file",
        "dots": f"{handed.bodies}/../bodies/below/../../../store/bodies/x",
        "relative": "bodies/file",
        "link": link,
        "pipe": pipe,
        "folder": handed.bodies / "below",
        "missing": handed.bodies / "0000000001",
        "root": f"{handed.bodies}/",
    }[kind]
    promise = promised(past_nginx, len(BODY))

    answer = put(past_nginx, promise, b"", **{"X-Body-File": str(path)})

    link.unlink()
    pipe.unlink()
    assert (answer.status_code, answer.json()["code"]) == (503, "store_unavailable")
    assert complete(past_nginx, promise).json()["code"] == "not_uploaded"
    assert outside.read_bytes() == BODY
    assert (handed.bodies / "below" / "file").read_bytes() == BODY
    (handed.bodies / "below" / "file").unlink()


def test_without_the_setting_the_header_means_nothing(portal, tmp_path):
    bait = tmp_path / "bait"
    bait.write_bytes(b"of somebody else")
    with direct(portal.port) as client:
        promise = promised(client, len(BODY))

        assert put(client, promise, BODY, **{"X-Body-File": str(bait)}).status_code == 200
        file = complete(client, promise).json()

    assert file["sha256"] == hashlib.sha256(BODY).hexdigest()
    assert bait.exists()


# --- The store alone -------------------------------------------------------------------------------


@pytest.fixture
def body_file(tmp_path, settings):
    bodies = tmp_path / "bodies"
    bodies.mkdir()
    (bodies / "0000000001").write_bytes(BODY)
    settings.BODY_FILE_DIR = str(bodies)
    return bodies / "0000000001"


def test_a_file_from_another_disk_is_copied(body_file, tmp_path, monkeypatch):
    def rename(source, target):
        if str(source) == str(body_file):
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        os.replace(source, target)

    monkeypatch.setattr(body_files.os, "rename", rename)
    store = LocalStore(tmp_path / "store", fsync=False)

    with body_files.named(str(body_file)) as file:
        received = store.receive_put("files/a/b", file, size_limit=len(BODY))

    assert received.sha256 == hashlib.sha256(BODY).hexdigest()
    assert store.complete_put("files/a/b") == received
    assert body_file.exists()  # the store leaves it to nginx to remove the file


def test_a_refused_file_is_gone_and_what_was_staged_stays(body_file, tmp_path):
    store = LocalStore(tmp_path / "store", fsync=False)
    with body_files.named(str(body_file)) as file:
        first = store.receive_put("files/a/b", file, size_limit=len(BODY))
    body_file.write_bytes(b"late")

    def closed():
        raise RuntimeError

    with body_files.named(str(body_file)) as file, pytest.raises(RuntimeError):
        store.receive_put("files/a/b", file, size_limit=len(BODY), before_publish=closed)

    assert store.received("files/a/b") == first
    assert not body_file.exists()
    assert not [path for path in (tmp_path / "store" / "staged").iterdir() if path.suffix == ".tmp"]


def test_what_a_killed_nginx_left_is_swept(body_file, tmp_path, settings):
    store = LocalStore(tmp_path / "store", body_files=settings.BODY_FILE_DIR)
    fresh = body_file.with_name("0000000002")
    fresh.write_bytes(BODY)
    os.utime(body_file, (1, 1))

    assert store.sweep(older_than=timezone.now() - timedelta(hours=1)) == 1
    assert (body_file.exists(), fresh.exists()) == (False, True)
