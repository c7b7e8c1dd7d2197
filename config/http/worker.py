"""gunicorn's threaded worker, in which slow clients hold no threads that others need.

gunicorn gives a request to a thread as soon as its first byte is there; then the thread waits for the rest of it. Here
the main loop receives the head and a small body (WHOLE_BYTES) first. Larger bodies are streamed: at most all threads
but FREE_THREADS read them, and each has to arrive at LEAST_BYTES_PER_SECOND and within BODY_SECONDS. Others wait at
most TURN_SECONDS for their turn. Probes have threads of their own. Connections are closed without waiting in the main
loop: gunicorn waits there up to two seconds for each client that does not close its side.
"""

import errno
import re
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from enum import Enum
from functools import partial
from selectors import EVENT_READ

from gunicorn.http.parser import RequestParser
from gunicorn.http.unreader import SocketUnreader
from gunicorn.workers.gthread import TConn, ThreadWorker

ARRIVAL_SECONDS = 30
"""How long the head of a request, and a body of at most WHOLE_BYTES, may take to arrive."""
WHOLE_BYTES = 64 * 1024
HEAD_BYTES = 64 * 1024
LEAST_BYTES_PER_SECOND = 1024
WINDOW_SECONDS = 20
"""The least rate counts over this long, of the time spent waiting for the client. So a pause may be as long."""
BODY_SECONDS = 3600
TURN_SECONDS = 30
"""How long a stream may wait until a thread reads it."""
FREE_THREADS = 2
PROBE_THREADS = 2
LINGER_SECONDS, LINGER_BYTES = 2, 64 * 1024
"""How long, and for how much, a closed connection takes what the client still sends, so that it sees the answer."""

SLOW_BODY = "The request arrives too slowly."
PROBE = re.compile(rb"(?:GET|HEAD) /(?:healthz|readyz)(?:\?\S*)? HTTP/1\.[01]")
TOO_SLOW = b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
NO_TURN = (
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: %d\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
    % TURN_SECONDS
)


class Kind(Enum):
    """WHOLE: all of the request is here. STREAM: its body is read while it arrives. PROBE: a whole GET of a probe."""

    WHOLE, STREAM, PROBE = range(3)


class PacedReader(SocketUnreader):
    """Reads from the socket. Raises TimeoutError when a body arrives too slowly, ConnectionResetError when it ends."""

    def begin(self, *, body):
        """Count anew. `body` is true while the portal handles a request: then all that is read belongs to its body."""
        self.body = body
        self.waited_total = self.waited = self.received = 0

    def chunk(self, size_hint=None):
        """The next bytes."""
        if self.sock.gettimeout() is not None:  # gunicorn reads the rest of an unwanted body, and has set a limit
            return super().chunk(size_hint)
        before = time.monotonic()
        self.sock.settimeout(max(0.001, WINDOW_SECONDS - self.waited))
        try:
            data = super().chunk(size_hint)
        except TimeoutError:
            raise TimeoutError(SLOW_BODY) from None
        finally:
            self.sock.settimeout(None)
        waited = time.monotonic() - before
        self.waited_total += waited
        self.waited += waited
        self.received += len(data)
        if not data and self.body:
            raise ConnectionResetError("The client left before its request was here.")
        if self.received >= WINDOW_SECONDS * LEAST_BYTES_PER_SECOND:
            self.waited = self.received = 0
        elif self.waited >= WINDOW_SECONDS:
            raise TimeoutError(SLOW_BODY)
        if self.waited_total > BODY_SECONDS:
            raise TimeoutError("The request takes too long to arrive.")
        return data


class Connection(TConn):
    """A connection, and what has arrived of its next request."""

    def __init__(self, cfg, sock, client, server, *, linger):
        super().__init__(cfg, sock, client, server)
        self._linger = linger
        self.data_ready = True  # gunicorn need not wait for the first byte
        self.parser = RequestParser(cfg, sock, client)
        self.reader = self.parser.unreader = PacedReader(sock)
        self.reader.begin(body=False)
        self.begin()

    def begin(self):
        """Expect a new request."""
        self.arrived, self.needed, self.kind = bytearray(), None, None

    def take(self, data):
        """Add bytes of the request. True once a thread may handle it."""
        searched = max(0, len(self.arrived) - 3)
        self.arrived += data
        if self.needed is None:
            if self.arrived[:1] in (b"\r", b"\n"):  # RFC 9112, 2.2: skip empty lines before a request
                self.arrived, searched = self.arrived.lstrip(b"\r\n"), 0
            end = self.arrived.find(b"\r\n\r\n", searched)
            if end >= 0:
                self.kind, body = _read_head(bytes(self.arrived[:end]))
                self.needed = end + 4 + body
        return self.needed is not None and len(self.arrived) >= self.needed

    def close(self, graceful=False):
        """Close now or, with `graceful`, once the client has closed its side."""
        if graceful:
            self._linger(self)
        else:
            super().close()


def _read_head(head):
    """(Kind, how many bytes of the body to wait for). gunicorn's parser judges the head; this only reads it."""
    first, *lines = head.lower().split(b"\r\n")
    facts = {name.strip(): value.strip() for name, _colon, value in (line.partition(b":") for line in lines)}
    length = facts.get(b"content-length", b"0")
    length = int(length) if length.isdigit() and len(length) < 20 else 0
    # A client that asks by Expect sends its body only when a thread has answered.
    if length > WHOLE_BYTES or b"transfer-encoding" in facts or b"expect" in facts:
        return Kind.STREAM, 0
    return (Kind.PROBE if length == 0 and PROBE.fullmatch(head.split(b"\r\n")[0]) else Kind.WHOLE), length


class Worker(ThreadWorker):
    """Methods run in the main loop unless they say that they run in a thread. So they need no locks."""

    @classmethod
    def check_config(cls, cfg, log):
        """Raises SystemExit for TLS, which this worker does not speak."""
        super().check_config(cfg, log)
        if cfg.is_ssl:
            raise SystemExit("The portal's server speaks no TLS; let a proxy in front do it (docs/running.md).")

    def init_process(self):
        """Make the threads, then serve."""
        self.probes = ThreadPoolExecutor(PROBE_THREADS, thread_name_prefix="probe")
        self.most_streams = max(1, self.cfg.threads - FREE_THREADS)
        self.streams, self.waiting_streams = 0, []
        super().init_process()

    # --- A request arrives ---

    def accept(self, listener):
        """Accept a connection and wait for its first request."""
        try:
            sock, address = listener.accept()
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.EWOULDBLOCK, errno.ECONNABORTED):
                raise
            return
        self.nr_conns += 1
        self._wait(Connection(self.cfg, sock, address, listener.getsockname(), linger=self._linger))

    def on_client_socket_readable(self, conn, client):
        """The next request of a connection begins."""
        self.poller.unregister(client)
        self.keepalived_conns.remove(conn)
        self._wait(conn)

    def _wait(self, conn, arrived=b""):
        conn.begin()
        self._watch(conn, ARRIVAL_SECONDS, self._receive)
        if conn.take(arrived):
            self._hand_over(conn)
        else:
            self._receive(conn)

    def _receive(self, conn, _sock=None):
        data = _received(conn.sock)
        if data is None:
            return
        if not data:
            self._end(conn)
        elif conn.take(data):
            self._hand_over(conn)
        elif conn.needed is None and len(conn.arrived) > HEAD_BYTES:
            self._refuse(conn, TOO_LARGE)

    def _hand_over(self, conn):
        self._unwatch(conn)
        conn.reader.unread(bytes(conn.arrived))
        conn.arrived = bytearray()
        self.enqueue_req(conn)

    def enqueue_req(self, conn):
        """Let a thread handle the request. A stream waits while `most_streams` are under way."""
        pool = self.tpool
        if conn.kind is Kind.PROBE:
            pool = self.probes
        elif conn.kind is Kind.STREAM:
            if self.streams >= self.most_streams:
                self.waiting_streams.append(conn)
                self._watch(conn, TURN_SECONDS, self._look)
                return
            self.streams += 1
        done = pool.submit(self.handle, conn)
        done.add_done_callback(lambda future: self.method_queue.defer(self.finish_request, conn, future))

    def handle_request(self, req, conn):
        """Handle a request in its thread."""
        conn.reader.begin(body=True)
        try:
            return super().handle_request(req, conn)
        finally:
            conn.reader.begin(body=False)

    def finish_request(self, conn, fs):
        """Keep the connection for its next request, or close it."""
        if conn.kind is Kind.STREAM:
            self.streams -= 1
            if self.waiting_streams:
                following = self.waiting_streams[0]
                self._unwatch(following)
                self.enqueue_req(following)
        conn.kind = None
        ahead = conn.reader.take_buffered()  # of the next request, by a client that does not wait for answers
        super().finish_request(conn, fs)
        if ahead and conn in self.keepalived_conns:
            self.poller.unregister(conn.sock)
            self.keepalived_conns.remove(conn)
            self._wait(conn, ahead)

    # --- Connections that wait, or that end ---

    def murder_pending(self):
        """Close the connections whose time is over."""
        now = time.monotonic()
        for conn in [conn for conn in self.pending_conns if conn.timeout <= now]:
            if conn in self.waiting_streams:
                self._refuse(conn, NO_TURN)
            elif conn.arrived:
                self._refuse(conn, TOO_SLOW)
            else:
                self._end(conn)

    def _cap_keepalive(self, deadline):
        """Also end connections without a byte of a request by `deadline`: the worker stops."""
        super()._cap_keepalive(deadline)
        for conn in self.pending_conns:
            if not conn.arrived and conn not in self.waiting_streams:
                conn.timeout = min(conn.timeout, deadline)

    def _refuse(self, conn, answer):
        self._unwatch(conn)
        self.nr_conns -= 1
        with suppress(OSError):
            conn.sock.send(answer)
        conn.close(graceful=True)

    def _linger(self, conn):
        """Close our side, and the connection when the client has closed its own, or has had its time."""
        conn.begin()
        try:
            conn.sock.shutdown(socket.SHUT_WR)
            conn.sock.setblocking(False)
        except OSError:
            conn.close()
            return
        self.nr_conns += 1
        conn.drained = 0
        self._watch(conn, LINGER_SECONDS, self._drain)

    def _drain(self, conn, _sock):
        data = _received(conn.sock)
        if data is None:
            return
        conn.drained += len(data)
        if not data or conn.drained > LINGER_BYTES:
            self._end(conn)

    def _watch(self, conn, seconds, on_readable):
        conn.timeout = time.monotonic() + seconds
        self.pending_conns.append(conn)
        self.poller.register(conn.sock, EVENT_READ, partial(on_readable, conn))

    def _look(self, conn, sock):
        """End a stream that waits when its client leaves. Leave its bytes to the thread that will read it."""
        if conn not in self.waiting_streams:  # its turn came with the same batch of events
            return
        try:
            has_left = not conn.sock.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return
        except OSError:
            has_left = True
        if has_left:
            self._end(conn)
        else:
            # Bytes that stay make the socket readable all the time.
            self.poller.unregister(conn.sock)

    def _unwatch(self, conn):
        with suppress(KeyError):  # _look has done so
            self.poller.unregister(conn.sock)
        self.pending_conns.remove(conn)
        if conn in self.waiting_streams:
            self.waiting_streams.remove(conn)

    def _end(self, conn):
        self._unwatch(conn)
        self.nr_conns -= 1
        conn.close()


def _received(sock):
    """The bytes that are there; None for none yet, b"" when the client has gone."""
    try:
        return sock.recv(WHOLE_BYTES)
    except BlockingIOError:
        return None
    except OSError:
        return b""
