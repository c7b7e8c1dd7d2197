"""A client of clamd, the ClamAV scanner. It sends bytes by INSTREAM, holds one block in memory, and gets one verdict.

Only the exact reply "stream: OK" to a complete stream counts as clean. A reply that is missing or unknown raises
ScannerFailed.
"""

import select
import socket
import struct
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import urlsplit

from django.conf import settings

CONNECT_SECONDS = 5
CHUNK_BYTES = 1024 * 1024
MAX_REPLY_BYTES = 4096
CLEAN_REPLY = "stream: OK"
FOUND = " FOUND"
TOO_LARGE_REPLY = "INSTREAM size limit exceeded. ERROR"
# With AlertExceedsMax and AlertEncrypted, clamd reports by these names that it could not scan the whole content.
NOT_SEEN = ("Heuristics.Limits.Exceeded", "Heuristics.Encrypted")


class ScannerFailed(Exception):
    """There is no verdict: the scanner is unreachable, does not answer, fails, or sends an unknown answer."""


class ScannerAway(ScannerFailed):
    """The scanner cannot be reached, or does not answer a PING."""


class Outcome(StrEnum):
    """The result of a scan."""

    CLEAN = "clean"
    FOUND = "found"
    UNSCANNABLE = "unscannable"


@dataclass(frozen=True)
class Verdict:
    """An Outcome, with the name of the virus or the reason why the file cannot be judged."""

    outcome: Outcome
    detail: str = ""


def scan(blocks):
    """The Verdict on a stream of blocks of bytes. Raises ScannerFailed, and whatever reading the blocks raises."""
    with _connected() as connection:
        _send(connection, b"zINSTREAM\0")
        for chunk in _chunks(blocks):
            # clamd answers at once when a stream is too long. Stop then: to send more could lose the answer.
            if _has_answer(connection) or not _took(connection, chunk):
                return _verdict(_reply(connection), ended=False)
        ended = _took(connection, b"")
        return _verdict(_reply(connection), ended=ended)


def ping():
    """Check that the scanner answers. Raises ScannerAway."""
    try:
        answer = _ask(b"zPING\0")
    except ScannerFailed as error:
        raise ScannerAway(str(error)) from error
    if answer != "PONG":
        raise ScannerAway(f"PING was answered with {answer!r}")


def version():
    """The versions of the scanner and its signatures, as the scanner reports them. Raises ScannerFailed."""
    return _ask(b"zVERSION\0")


def _ask(command):
    with _connected() as connection:
        _send(connection, command)
        return _reply(connection)


@contextmanager
def _connected():
    url = urlsplit(settings.CLAMD_URL)
    is_unix = url.scheme == "unix"
    connection = None
    try:
        if is_unix:
            connection = socket.socket(socket.AF_UNIX)
            connection.settimeout(min(CONNECT_SECONDS, settings.CLAMD_TIMEOUT_SECONDS))
            connection.connect(url.path)
        else:
            connection = socket.create_connection(
                (url.hostname, url.port), timeout=min(CONNECT_SECONDS, settings.CLAMD_TIMEOUT_SECONDS)
            )
        connection.settimeout(settings.CLAMD_TIMEOUT_SECONDS)
    except (OSError, ValueError) as error:
        if connection is not None:
            connection.close()
        raise ScannerAway(f"no connection to {settings.CLAMD_URL}: {error}") from error
    with connection:
        yield connection


def _chunks(blocks):
    for block in blocks:
        view = memoryview(block)
        for start in range(0, len(view), CHUNK_BYTES):
            yield bytes(view[start : start + CHUNK_BYTES])


def _send(connection, data):
    try:
        connection.sendall(data)
    except OSError as error:
        raise ScannerFailed(f"the scanner took no more bytes: {error}") from error


def _took(connection, chunk):
    """Send a chunk; an empty one ends the stream. False when the scanner takes no more: it may have answered."""
    try:
        _send(connection, struct.pack("!L", len(chunk)) + chunk)
    except ScannerFailed:
        return False
    return True


def _has_answer(connection):
    # poll works with any descriptor, select only with small numbers.
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    return bool(poll.poll(0))


def _reply(connection):
    """Read one answer, up to a zero byte or the end of the connection. Raises ScannerFailed."""
    answer, deadline = b"", time.monotonic() + settings.CLAMD_TIMEOUT_SECONDS
    while not answer.endswith(b"\0") and len(answer) <= MAX_REPLY_BYTES:
        left = deadline - time.monotonic()
        if left <= 0:
            raise ScannerFailed("the scanner did not answer in time")
        connection.settimeout(left)
        try:
            more = connection.recv(MAX_REPLY_BYTES)
        except OSError as error:
            raise ScannerFailed(f"the scanner did not answer: {error}") from error
        if not more:
            break
        answer += more
    text, _zero, rest = answer.partition(b"\0")
    if rest or not text or len(answer) > MAX_REPLY_BYTES:
        raise ScannerFailed(f"the scanner's answer is none: {answer[:100]!r}")
    with suppress(UnicodeDecodeError):
        return text.decode().strip()
    raise ScannerFailed(f"the scanner's answer is none: {answer[:100]!r}")


def _verdict(answer, *, ended):
    """The Verdict of an answer. `ended`: all bytes were sent; without that, the file cannot count as clean."""
    if answer == CLEAN_REPLY and ended:
        return Verdict(Outcome.CLEAN)
    if answer.startswith("stream: ") and answer.endswith(FOUND):
        name = answer.removeprefix("stream: ").removesuffix(FOUND)[:255]
        return Verdict(Outcome.UNSCANNABLE if name.startswith(NOT_SEEN) else Outcome.FOUND, name)
    if answer == TOO_LARGE_REPLY:
        return Verdict(Outcome.UNSCANNABLE, "larger than the scanner takes")
    raise ScannerFailed(f"the scanner said {answer[:100]!r}")
