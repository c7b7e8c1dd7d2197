"""A real clamd with our own signatures, and fake scanners that misbehave."""

import contextlib
import socket
import threading

import pytest

from tests import servers

# In pieces, or a scanner would report this file.
EICAR = "".join([r"X5O!P%@AP[4\PZX54(P^)7CC)7}$", "EICAR-STANDARD", "-ANTIVIRUS-TEST-FILE!$H+H*"])
OWN = "the baobab of the portal bears fruit"
SIGNATURES = {"Portal.Test.Eicar": EICAR, "Portal.Test.Own": OWN}
STREAM_BYTES = 4 * 2**20
CONFIG = """\
DatabaseDirectory {folder}/db
TCPAddr 127.0.0.1
TCPSocket {port}
LocalSocket {folder}/clamd.sock
PidFile {folder}/clamd.pid
Foreground yes
MaxThreads 2
StreamMaxLength {stream_bytes}
AlertExceedsMax yes
AlertEncrypted yes
MaxRecursion 5
"""


class Clamd:
    """A clamd that can be killed and started again at the same address."""

    def __init__(self, folder):
        self.folder = folder
        self.port = servers.free_ports(1)[0]
        self.url = f"tcp://127.0.0.1:{self.port}"
        self.unix_url = f"unix://{folder}/clamd.sock"
        (folder / "db").mkdir()
        lines = [f"{name}:0:*:{text.encode().hex()}\n" for name, text in SIGNATURES.items()]
        (folder / "db" / "portal.ndb").write_text("".join(lines))
        text = CONFIG.format(folder=folder, port=self.port, stream_bytes=STREAM_BYTES)
        (folder / "clamd.conf").write_text(text)
        self.process = None

    def start(self):
        """Start clamd; return when it answers."""
        log = self.folder / "log"
        command = [servers.clamd_path(), f"--config-file={self.folder}/clamd.conf"]
        self.process = servers.spawn(command, log=log)
        servers.wait_until(self._listens, process=self.process, log=log, seconds=30)

    def _listens(self):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
            connection.sendall(b"zPING\0")
            return connection.recv(10) == b"PONG\0"
        return False

    def kill(self):
        """Kill clamd, as the kernel does when memory runs out."""
        self.process.kill()
        self.process.wait()


@pytest.fixture(scope="session")
def clamd_server(tmp_path_factory):
    """One Clamd for each worker of pytest."""
    if servers.clamd_path() is None:
        pytest.skip(servers.HOW_TO_GET["clamd"])
    # The path of a socket may have about 100 bytes, and the folder of a test can be longer.
    server = Clamd(tmp_path_factory.mktemp("clamd"))
    server.start()
    yield server
    servers.stop(server.process)


@pytest.fixture
def clamd(clamd_server, settings):
    """Switch the gate on, with a clamd that runs."""
    if clamd_server.process.poll() is not None:
        clamd_server.start()
    settings.CLAMD_URL = clamd_server.url
    settings.CLAMD_MAX_BYTES = STREAM_BYTES
    settings.CLAMD_TIMEOUT_SECONDS = 20
    return clamd_server


class FakeScanner:
    """A TCP server that answers PING itself, and other commands by `serve(connection)`."""

    def __init__(self, serve):
        self._serve = serve
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"tcp://127.0.0.1:{self._socket.getsockname()[1]}"
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _address = self._socket.accept()
                with connection, contextlib.suppress(OSError):
                    connection.settimeout(20)
                    if connection.recv(6, socket.MSG_PEEK) == b"zPING\0":
                        connection.sendall(b"PONG\0")
                    else:
                        self._serve(connection)

    def go_away(self):
        """Stop listening; the open connection is served to its end."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def close(self):
        """Stop listening, and wait for the open connection to end."""
        self.go_away()
        self._thread.join(20)


@pytest.fixture
def fake_scanner(settings):
    """fake_scanner(serve) switches the gate on, with a FakeScanner."""
    with contextlib.ExitStack() as stack:

        def make(serve):
            fake = FakeScanner(serve)
            stack.callback(fake.close)
            settings.CLAMD_URL, settings.CLAMD_TIMEOUT_SECONDS = fake.url, 1
            return fake

        yield make


def take_all(connection):
    """Read an INSTREAM to its end; returns the bytes, with the lengths of the blocks."""
    data = b""
    while not data.endswith(b"\0\0\0\0"):
        more = connection.recv(2**20)
        if not more:
            break
        data += more
    return data
