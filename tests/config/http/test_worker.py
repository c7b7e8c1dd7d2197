"""gunicorn's worker: slow clients hold no threads that other clients need, and probes are answered at once."""

import contextlib
import http.client
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from config import gunicorn
from config.http import worker
from tests.servers import free_ports

pytestmark = pytest.mark.once
ROOT = Path(__file__).resolve().parents[3]
HALF_SENT = {
    "no byte": b"",
    "half a head": b"GET /page HTTP/1.1\r\nHost: a\r\n",
    "half a small body": b"POST /page HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nhalf",
    "half a large body": b"POST /page HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\nhalf",
    "half a body in chunks": b"POST /page HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhal",
    "half a body that is not read": b"POST /unread HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\nhalf",
}


@pytest.fixture(scope="module")
def port():
    """The port of a server with four threads."""
    (port,) = free_ports(1)
    command = [sys.executable, "-m", "gunicorn", f"--worker-class={gunicorn.worker_class}", "--threads=4"]
    command += [f"--bind=127.0.0.1:{port}", "--log-level=warning", "--no-control-socket", "--graceful-timeout=20"]
    with subprocess.Popen([*command, "tests.config.http.worker_app:application"], cwd=ROOT) as server:
        try:
            end = time.monotonic() + 60
            while time.monotonic() < end:
                with contextlib.suppress(OSError):
                    ask(port, "/healthz")
                    break
                time.sleep(0.1)
            yield port
            with opened(port):
                before = time.monotonic()
                server.send_signal(signal.SIGTERM)
                server.wait(30)
            assert time.monotonic() - before < 10, "a connection without a request held up the end"
        finally:
            server.kill()


def opened(port, sent=b""):
    sock = socket.create_connection(("127.0.0.1", port), timeout=20)
    sock.sendall(sent)
    return sock


def ask(port, path, method="GET", body=None):
    """(status, body) of an answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    with contextlib.closing(connection):
        connection.request(method, path, body)
        answer = connection.getresponse()
        return answer.status, answer.read()


def all_of(sock):
    """All bytes until the server closes."""
    found = b""
    with sock, contextlib.suppress(ConnectionResetError):
        while data := sock.recv(65536):
            found += data
    return found


def answered(socks):
    """The sockets that hold an answer, or that the server has closed."""
    return select.select(socks, [], [], 0)[0]


def test_the_portal_is_served_by_this_worker():
    module, _dot, name = gunicorn.worker_class.rpartition(".")

    assert getattr(sys.modules[module], name) is worker.Worker


@pytest.mark.parametrize("half", HALF_SENT.values(), ids=HALF_SENT)
def test_half_sent_requests_hold_up_nobody_and_are_ended(half, port):
    slow = [opened(port, half) for _ in range(8)]
    time.sleep(0.2)

    assert [ask(port, path)[0] for path in ("/healthz", "/page", "/readyz", "/page")] == [200] * 4
    if half != HALF_SENT["half a body that is not read"]:
        assert answered(slow) == [], "they were answered first"
    ended = [all_of(sock).split(b"\r\n")[0] for sock in slow]

    # Two of the four threads read streams, two seconds each; others wait at most 3.2 seconds for their turn.
    no_turn = b"HTTP/1.1 503 Service Unavailable"
    assert set(ended) <= {b"", no_turn, b"HTTP/1.1 408 Request Timeout", b"HTTP/1.1 401 Unauthorized"}
    if half in (HALF_SENT["half a large body"], HALF_SENT["half a body in chunks"]):
        assert no_turn in ended
    assert (set(ended) == {b""}) == (half == b"")


def test_a_stream_whose_client_leaves_takes_no_turn(port):
    head = b"POST /page HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 100000\r\n\r\n"
    slow = [opened(port, head) for _ in range(2)]
    time.sleep(0.1)
    for gone in [opened(port, head) for _ in range(6)]:
        gone.close()

    assert all_of(opened(port, head + b"x" * 100_000)).endswith(b"/page 100000")
    assert all(b" 408 " in all_of(sock) for sock in slow)


def test_probes_have_threads_of_their_own(port):
    busy = [opened(port, b"GET /slow HTTP/1.0\r\n\r\n") for _ in range(4)]
    time.sleep(0.2)

    assert [ask(port, path)[0] for path in ("/healthz", "/readyz?full")] == [200] * 2
    assert answered(busy) == [], "they were answered first"
    assert all(b" 200 OK" in all_of(sock) for sock in busy)


def test_a_slow_body_above_the_least_rate_arrives_whole(port):
    with opened(port, b"POST /page HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 100000\r\n\r\n") as sock:
        for _ in range(10):
            time.sleep(0.3)
            sock.sendall(b"x" * 10_000)
        assert all_of(sock).endswith(b"/page 100000")


def test_a_body_that_ends_too_early_is_an_error_to_its_reader(port):
    with opened(port, HALF_SENT["half a large body"]):
        time.sleep(0.2)
    time.sleep(0.2)

    assert ask(port, "/broken")[1].split()[-1] == b"ConnectionResetError"


def test_what_clients_may_send(port):
    def close(head, body=b""):
        return head + b"Host: a\r\nConnection: close\r\n\r\n" + body

    whole = b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody"
    chunked = b"POST /b HTTP/1.1\r\nTransfer-Encoding: chunked\r\n"
    for sent, ends in [
        (close(b"\r\nGET /a HTTP/1.1\r\n"), [b"/a 0"]),
        (whole + whole + close(b"GET /c HTTP/1.1\r\n"), [b"/a 4", b"/a 4", b"/c 0"]),
        (b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n" + close(b"GET /a HTTP/1.1\r\n"), [b"/healthz 0", b"/a 0"]),
        (close(chunked, b"4\r\nbody\r\n0\r\n\r\n"), [b"/b 4"]),
        (
            close(b"POST /a HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 4\r\n", b"body"),
            [b"100 Continue", b"/a 4"],
        ),
        (close(b"POST /a HTTP/1.1\r\nContent-Length: 70000\r\n", b"x" * 70_000), [b"/a 70000"]),
        (b"GET /a HTTP/1.1\r\nX: " + b"x" * 70_000, [b"HTTP/1.1 431"]),
        (b"nonsense\r\n\r\n", [b"HTTP/1.1 400"]),
        (close(b"POST /a HTTP/1.1\r\nContent-Length: +4\r\n", b"body"), [b"HTTP/1.1 400"]),
    ]:
        answer = all_of(opened(port, sent))
        places = [answer.find(end) for end in ends]
        assert -1 not in places, (sent[:80], answer[:300])
        assert places == sorted(places)


def test_a_connection_serves_request_after_request(port):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    with contextlib.closing(connection):
        for path, body in [("/a", None), ("/healthz", None), ("/b", b"x" * 100_000), ("/c", b"y")] * 2:
            connection.request("POST" if body else "GET", path, body)
            assert connection.getresponse().read() == b"%s %d" % (path.encode(), len(body or b""))


@pytest.mark.parametrize(("times", "complaint"), [((0.2, 100, 60), "too slowly"), ((60, 1, 0.3), "too long")], ids=str)
def test_a_body_has_a_least_rate_and_a_deadline(times, complaint, monkeypatch):
    for name, value in zip(["WINDOW_SECONDS", "LEAST_BYTES_PER_SECOND", "BODY_SECONDS"], times, strict=True):
        monkeypatch.setattr(worker, name, value)
    ours, theirs = socket.socketpair()
    reader, done = worker.PacedReader(ours), threading.Event()
    reader.begin(body=True)

    def trickle():
        while not done.wait(0.05):
            theirs.send(b"x")

    with ours, theirs, ThreadPoolExecutor(1) as pool:
        sender = pool.submit(trickle)
        try:
            with pytest.raises(TimeoutError, match=complaint):
                list(iter(reader.chunk, b""))
        finally:
            done.set()  # ends trickle(): the pool waits for its thread
        assert sender.exception(10) is None
