"""A line between the portal and a service, which a test cuts, freezes and restores."""

import contextlib
import socket
import struct
import threading

from tests.servers import LOOPBACK

RESET = struct.pack("ii", 1, 0)
BLOCK_SIZE = 256 * 1024


class Proxy:
    """Accepts connections on a loopback port of its own and passes their bytes on to `upstream`, (host, port).

    When cut, it refuses connections and resets the open ones. When frozen, it accepts connections and moves no byte.
    A test may change `upstream`: a service that was started again may have another port.
    """

    def __init__(self, upstream):
        self.upstream = upstream
        self._moving = threading.Event()
        self._moving.set()
        self._lock = threading.Lock()
        self._open = set()
        self._listener = None
        self.port = 0
        self.restore()

    def cut(self):
        """Refuse connections from now on and reset those there are."""
        with self._lock:
            listener, self._listener = self._listener, None
        if listener is not None:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that waits for a connection
            listener.close()
        self.drop()
        self._moving.set()

    def drop(self):
        """Reset every open connection, and go on accepting new ones."""
        with self._lock:
            connections, self._open = self._open, set()
        for each in connections:
            _reset(each)

    def freeze(self):
        """Keep every connection, and let no byte through."""
        self._moving.clear()

    def restore(self):
        """Pass bytes on again."""
        self._moving.set()
        if self._listener is None:
            self._listener = socket.create_server((LOOPBACK, self.port), backlog=100)
            self.port = self._listener.getsockname()[1]
            threading.Thread(target=self._accept, args=[self._listener], daemon=True).start()

    def _accept(self, listener):
        while True:
            try:
                near, _address = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._connect, args=[near], daemon=True).start()

    def _connect(self, near):
        try:
            far = socket.create_connection(self.upstream, timeout=10)
        except OSError:
            _reset(near)
            return
        far.settimeout(None)
        with self._lock:
            if self._listener is None:  # cut in the meantime
                _reset(near)
                far.close()
                return
            self._open |= {near, far}
        for each in (near, far):
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        back = threading.Thread(target=self._pump, args=[far, near], daemon=True)
        back.start()
        self._pump(near, far)
        back.join()
        with self._lock:
            self._open -= {near, far}
        near.close()
        far.close()

    def _pump(self, source, target):
        try:
            while block := source.recv(BLOCK_SIZE):
                self._moving.wait()
                target.sendall(block)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            for each in (source, target):
                with contextlib.suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)


def _reset(connection):
    """Reset a connection, as a machine does that has been restarted."""
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        connection.shutdown(socket.SHUT_RDWR)
    with contextlib.suppress(OSError):
        connection.close()
