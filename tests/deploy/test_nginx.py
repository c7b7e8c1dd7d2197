"""deploy/nginx in front of the live portal: a real nginx, TLS, and bytes both ways."""

import http.server
import io
import socket
import ssl
import subprocess
import threading
import uuid
import zipfile
from types import SimpleNamespace
from urllib.parse import urlsplit

import httpx
import pytest

from tests.deploy.conftest import HOST, nginx_folder
from tests.servers import LOOPBACK, free_ports, nginx_path, s3_client

pytestmark = [pytest.mark.nginx, pytest.mark.sqlite]
MIB = 1024 * 1024
BODY = bytes(range(256)) * 4096 * 3  # 3 MiB


def path_of(url):
    """An address of the portal without its host: the nginx of the test has another one."""
    parts = urlsplit(url)
    assert (parts.scheme, parts.netloc) in (("https", HOST), ("", ""))
    return parts._replace(scheme="", netloc="").geturl()


def send_file(web, filename, body):
    """Upload a file to the local store's signed address; returns its id."""
    folder = web.post("/api/fileshare/folders", json={"name": filename, "slug": uuid.uuid4().hex}).json()
    promise = web.post(
        "/api/fileshare/upload/initiate",
        json={
            "folder_id": folder["id"],
            "filename": filename,
            "size_bytes": len(body),
            "content_type": "application/octet-stream",
        },
    ).json()
    put = web.put(path_of(promise["upload_url"]), content=body, headers=promise["headers"])
    assert put.status_code == 200, put.text
    done = web.post("/api/fileshare/upload/complete", json={"file_id": promise["file_id"]})
    assert done.status_code == 200, done.text
    return promise["file_id"]


def test_the_configuration_is_one_to_nginx(tmp_path):
    conf = nginx_folder(tmp_path, ports=free_ports(2), portal_port=9, s3_port=9, data_dir=tmp_path)

    done = subprocess.run(
        [nginx_path(), "-t", "-e", str(tmp_path / "log"), "-c", str(conf)], capture_output=True, text=True
    )

    assert done.returncode == 0, done.stderr
    assert "warn" not in done.stderr


def test_plain_http_leads_to_tls_and_answers_its_own_health(nginx):
    redirect = httpx.get(f"http://{LOOPBACK}:{nginx.http}/files/?q=1", headers={"Host": HOST})

    assert (redirect.status_code, redirect.headers["Location"]) == (308, f"https://{HOST}/files/?q=1")
    assert httpx.get(f"http://{LOOPBACK}:{nginx.http}/nginx-health").text == "ok\n"


@pytest.mark.parametrize("path", ["/healthz", "/"])
def test_the_portal_answers_through_it(nginx, path):
    answer = nginx.web.get(path)

    assert answer.status_code == 200
    assert "max-age" in answer.headers["Strict-Transport-Security"]


def test_a_file_goes_up_and_comes_back_by_nginx_own_hand(signed_in):
    file_id = send_file(signed_in, "numbers.bin", BODY)
    address = path_of(signed_in.post(f"/api/fileshare/download/{file_id}").json()["download_url"])

    whole = signed_in.get(address)
    part = signed_in.get(address, headers={"Range": "bytes=1000000-2000000"})

    assert whole.content == BODY
    assert (part.status_code, part.content) == (206, BODY[1_000_000:2_000_001])
    assert whole.headers["X-Content-Type-Options"] == "nosniff"
    assert "X-Accel-Redirect" not in whole.headers
    assert whole.headers["ETag"] == part.headers["ETag"]


def test_the_store_behind_it_is_closed(signed_in, portal):
    send_file(signed_in, "closed.bin", b"closed")
    objects = portal.data_dir / "store" / "objects"
    key = next(path for path in objects.rglob("closed.bin")).relative_to(objects)

    assert signed_in.get(f"/_store/{key}").status_code == 404
    assert signed_in.get(f"/_store/../_store/{key}").status_code == 404


def test_a_form_upload_streams_past_the_limit_of_other_bodies(signed_in):
    answer = signed_in.post("/api/files/upload", files={"file": ("form.bin", BODY, "application/octet-stream")})

    assert answer.status_code == 201, answer.text
    assert answer.json()["size_bytes"] == len(BODY)


def test_an_archive_has_its_length_and_goes_on_where_it_broke(signed_in):
    ids = [send_file(signed_in, f"{number}.bin", BODY) for number in range(2)]
    answer = signed_in.post("/api/fileshare/download/bulk", json={"file_ids": ids})
    again = path_of(answer.headers["Link"].partition("<")[2].partition(">")[0])

    rest = signed_in.get(again, headers={"Range": "bytes=4000000-"})

    assert int(answer.headers["Content-Length"]) == len(answer.content)
    assert rest.content == answer.content[4_000_000:]
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.testzip() is None
        assert len(archive.namelist()) == 2


def test_a_body_that_is_too_large_is_refused_in_the_portals_own_form(nginx):
    answer = nginx.web.post("/api/auth/login", content=b"x" * (3 * MIB))

    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")


def test_a_portal_that_is_away_is_said_to_come_back(start_nginx):
    (port,) = free_ports(1)

    answer = start_nginx(portal_port=port).web.get("/")

    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert answer.headers["Retry-After"] == "5"


@pytest.mark.parametrize("path", ["/metrics", "/readyz"])
def test_how_the_portal_is_is_not_the_worlds_business(path, nginx):
    assert nginx.web.get(path).status_code == 404


# --- What the portal sees --------------------------------------------------------------------------


class Echo(http.server.BaseHTTPRequestHandler):
    """Records the headers of each request; sets `arrived` when the first byte of a body arrives."""

    protocol_version = "HTTP/1.1"

    def do_POST(self):
        self.server.seen.append(dict(self.headers))
        self.rfile.read(1)
        self.server.arrived.set()
        self.rfile.read(int(self.headers["Content-Length"]) - 1)
        self.send_response(204)
        self.end_headers()

    do_PUT = do_POST  # noqa: N815 - the name that http.server calls

    def log_message(self, *arguments):
        pass


@pytest.fixture
def echo():
    with http.server.ThreadingHTTPServer((LOOPBACK, 0), Echo) as server:
        server.seen, server.arrived = [], threading.Event()
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def test_what_a_client_says_of_itself_ends_here(start_nginx, echo):
    web = start_nginx(portal_port=echo.server_port).web
    lies = {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "http", "X-Forwarded-Host": "evil.example"}

    web.post("/api/auth/login", content=b"{}", headers=lies | {"Forwarded": "for=203.0.113.9", "X-Request-ID": "mine"})

    (seen,) = echo.seen
    assert seen["X-Forwarded-For"] == LOOPBACK
    assert seen["X-Forwarded-Proto"] == "https"
    assert seen["Host"] == HOST
    assert len(seen["X-Request-ID"]) == 32
    assert not {"X-Forwarded-Host", "Forwarded"} & set(seen)


@pytest.mark.parametrize(
    ("method", "path", "streams"),
    [
        ("PUT", "/store/token", True),
        ("POST", "/files/upload", True),
        ("POST", "/api/files/upload", True),
        ("POST", "/api/ops/upload", True),
        ("POST", "/api/users/me/avatar", True),
        ("POST", "/profile", True),
        ("POST", "/api/auth/login", False),
        ("POST", "/api/fileshare/upload/initiate", False),
    ],
)
def test_uploads_stream_and_small_bodies_come_whole(start_nginx, echo, method, path, streams):
    nginx = start_nginx(portal_port=echo.server_port)
    context = ssl.create_default_context(cafile=nginx.folder / "tls.crt")

    with (
        socket.create_connection((LOOPBACK, nginx.https), timeout=30) as raw,
        context.wrap_socket(raw, server_hostname=LOOPBACK) as connection,
    ):
        head = f"{method} {path} HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 1000\r\nConnection: close\r\n\r\n"
        connection.sendall(head.encode() + b"x" * 500)
        arrived_early = echo.arrived.wait(20 if streams else 0.5)
        connection.sendall(b"x" * 500)
        status = connection.recv(100).split()[1]

    assert arrived_early is streams
    assert status == b"204"


# --- The S3 service --------------------------------------------------------------------------------


@pytest.mark.s3
def test_signed_addresses_of_the_s3_service_hold_through_it(start_nginx, s3_bucket):
    nginx = start_nginx(s3_port=urlsplit(s3_bucket.endpoint_url).port)
    outside = f"s3.{HOST}:{nginx.https}"
    signer = s3_client(SimpleNamespace(**{**vars(s3_bucket), "endpoint_url": f"https://{outside}"}))
    target = {"Bucket": s3_bucket.name, "Key": "files/reports/a b+c/naïve%2F.pdf"}
    put, get = (signer.generate_presigned_url(f"{kind}_object", target) for kind in ("put", "get"))

    def ask(method, url, **options):
        parts = urlsplit(url)
        here = parts._replace(netloc=f"{LOOPBACK}:{nginx.https}").geturl()
        return nginx.web.request(method, here, headers={"Host": outside}, **options)

    assert ask("PUT", put, content=BODY).status_code == 200
    assert ask("GET", get).content == BODY
    assert ask("GET", get.replace("X-Amz-Signature=", "X-Amz-Signature=0")).status_code == 403
