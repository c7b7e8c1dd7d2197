"""The client of the virus scanner, with a real clamd and with servers that answer wrongly, slowly or not at all."""

import contextlib
import io
import re
import resource
import threading
import tracemalloc
import zipfile
from pathlib import Path

import pytest
from django.conf import settings as portal

from fileshare.scanning.clamd import Outcome, ScannerAway, ScannerFailed, ping, scan, version
from tests.fileshare.scanning.scanner import EICAR, OWN, STREAM_BYTES, take_all

pytestmark = pytest.mark.once


@pytest.fixture(autouse=True)
def own_store():
    """Replaces the fixture of the same name: these tests use no store."""


def zipped(content):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("letter.txt", content)
    return out.getvalue()


@pytest.mark.clamd
@pytest.mark.parametrize("address", ["url", "unix_url"])
@pytest.mark.parametrize(
    ("content", "outcome", "name"),
    [
        (b"a letter to the editor", Outcome.CLEAN, ""),
        (EICAR.encode(), Outcome.FOUND, "Portal.Test.Eicar.UNOFFICIAL"),
        (f"long ago {OWN} and more".encode(), Outcome.FOUND, "Portal.Test.Own.UNOFFICIAL"),
        (zipped(EICAR), Outcome.FOUND, "Portal.Test.Eicar.UNOFFICIAL"),
    ],
    ids=["clean", "eicar", "own", "zipped"],
)
def test_a_real_scanner_tells_what_it_finds(content, outcome, name, address, clamd, settings):
    settings.CLAMD_URL = getattr(clamd, address)

    verdict = scan([content[:5], content[5:]])

    assert (verdict.outcome, verdict.detail) == (outcome, name)


@pytest.mark.clamd
def test_a_real_scanner_is_greeted(clamd):
    ping()

    assert version().startswith("ClamAV ")


@pytest.mark.clamd
def test_a_stream_beyond_the_scanners_limit_cannot_be_judged(clamd):
    verdict = scan(b"x" * 2**20 for _n in range(STREAM_BYTES // 2**20 + 3))

    assert (verdict.outcome, verdict.detail) == (Outcome.UNSCANNABLE, "larger than the scanner takes")


@pytest.mark.clamd
def test_what_is_packed_deeper_than_the_scanner_looks_cannot_be_judged(clamd):
    content = b"harmless"
    for _level in range(8):
        content = zipped(content)

    verdict = scan([content])

    assert verdict.outcome == Outcome.UNSCANNABLE
    assert verdict.detail.startswith("Heuristics.Limits.Exceeded")


@pytest.mark.clamd
def test_memory_does_not_grow_with_the_stream(clamd):
    blocks = (bytes(2**20) for _n in range(STREAM_BYTES // 2**20 - 1))
    tracemalloc.start()

    scan(blocks)

    _now, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 * 2**20


def test_nobody_there_is_told(settings):
    settings.CLAMD_URL = "tcp://127.0.0.1:1"

    for call in (ping, lambda: scan([b"x"])):
        with pytest.raises(ScannerAway):
            call()


def test_no_socket_there_is_told(settings, tmp_path):
    settings.CLAMD_URL = f"unix://{tmp_path}/nothing.ctl"

    with pytest.raises(ScannerAway):
        ping()


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"\0",
        b"OK\0",
        b"stream: ok\0",
        b"stream: OK or so\0",
        b"stream: OK\0stream: Virus FOUND\0",
        b"Can't allocate memory ERROR\0",
        b"\xff\xfe\0",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"x" * 10_000,
    ],
    ids=lambda answer: repr(answer[:20]),
)
def test_only_the_exact_sentence_means_clean(answer, fake_scanner):
    def serve(connection):
        take_all(connection)
        connection.sendall(answer)

    fake_scanner(serve)

    with pytest.raises(ScannerFailed):
        scan([b"x" * 100])


def test_clean_said_before_the_end_counts_for_nothing(fake_scanner):
    said = []

    def serve(connection):
        connection.recv(10)
        connection.sendall(b"stream: OK\0")
        said.append(True)
        take_all(connection)

    def blocks():
        while not said:
            yield b"x"
        yield from [b"x"] * 1000

    fake_scanner(serve)

    with pytest.raises(ScannerFailed):
        scan(blocks())


def test_a_silent_scanner_is_left_after_a_while(fake_scanner):
    fake_scanner(lambda connection: (take_all(connection), connection.recv(1)))

    with pytest.raises(ScannerFailed):
        scan([b"x"])


def test_a_scanner_that_stammers_is_left_after_a_while(fake_scanner):
    def serve(connection):
        take_all(connection)
        connection.settimeout(0.2)
        for letter in b"stream: OK":
            connection.sendall(bytes([letter]))
            try:
                connection.recv(1)
            except TimeoutError:
                continue

    fake_scanner(serve)

    with pytest.raises(ScannerFailed):
        scan([b"x"])


def test_a_scanner_that_hangs_up_half_way_is_at_fault(fake_scanner):
    fake_scanner(lambda connection: connection.recv(2**16))

    with pytest.raises(ScannerFailed):
        scan(b"x" * 2**20 for _n in range(64))


def test_an_answer_counts_though_the_scanner_hung_up_before_the_end(fake_scanner):
    hung_up = threading.Event()

    def serve(connection):
        connection.recv(100)
        connection.sendall(b"INSTREAM size limit exceeded. ERROR\0")
        connection.close()
        hung_up.set()

    def blocks():
        yield b"x" * 2**16
        assert hung_up.wait(20)

    fake_scanner(serve)

    assert scan(blocks()).outcome == Outcome.UNSCANNABLE


def test_a_process_with_very_many_files_open_scans_as_well(fake_scanner):
    fake_scanner(lambda connection: (take_all(connection), connection.sendall(b"stream: OK\0")))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = 4096 if hard == resource.RLIM_INFINITY else min(hard, 4096)
    with contextlib.ExitStack() as stack:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, most), hard))
        stack.callback(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        while stack.enter_context(open("/dev/null", "rb")).fileno() < 1024:
            pass

        assert scan([b"x", b"y"]).outcome == Outcome.CLEAN


def test_the_scanner_of_the_deployment_answers_before_the_portal_hangs_up():
    text = Path(portal.BASE_DIR, "deploy", "clamav", "clamd.conf").read_text(encoding="utf-8")

    (milliseconds,) = re.findall(r"^MaxScanTime (\d+)$", text, re.MULTILINE)

    assert int(milliseconds) <= portal.CLAMD_TIMEOUT_SECONDS * 1000 / 2


def test_a_name_of_a_virus_is_cut_to_what_is_kept(fake_scanner):
    def serve(connection):
        take_all(connection)
        connection.sendall(b"stream: " + b"V" * 1000 + b" FOUND\0")

    fake_scanner(serve)

    assert scan([b"x"]).detail == "V" * 255
