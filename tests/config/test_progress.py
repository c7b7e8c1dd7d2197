"""The progress of a long command."""

import io

import pytest
from django.core.management.base import OutputWrapper

from config import progress
from config.progress import Progress

pytestmark = pytest.mark.once


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def clock(monkeypatch):
    """The time as the progress sees it: clock.now, in seconds."""

    class Clock:
        now = 1000.0

        def monotonic(self):
            return self.now

    clock = Clock()
    monkeypatch.setattr(progress, "time", clock)
    return clock


def test_short_work_is_one_line_in_a_log(clock):
    stream = io.StringIO()

    with Progress(stream, "Reading", total=3) as bar:
        for _ in range(3):
            bar.advance()

    assert stream.getvalue() == "Reading: 3 of 3 files (100%)\n"


def test_a_log_gets_a_line_every_five_seconds(clock):
    stream = io.StringIO()

    with Progress(stream, "Reading", total=1200) as bar:
        for _ in range(12):
            clock.now += 1
            bar.advance(100)

    assert stream.getvalue().splitlines() == [
        "Reading: 500 of 1,200 files (41%)",
        "Reading: 1,000 of 1,200 files (83%)",
        "Reading: 1,200 of 1,200 files (100%)",
    ]


def test_a_terminal_shows_one_line_rewritten_five_times_a_second(clock):
    stream = Terminal()

    with Progress(stream, "Reading") as bar:
        for _ in range(100):
            clock.now += 0.01
            bar.advance()

    shown = stream.getvalue()
    assert 5 <= shown.count("\r") <= 7
    assert shown.count("\n") == 1
    assert shown.endswith("\rReading: 100 files\x1b[K\n")


def test_what_was_done_is_told_when_the_work_breaks_off(clock):
    stream = io.StringIO()

    def break_off():
        with Progress(stream, "Reading", total=10) as bar:
            bar.advance(4)
            raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        break_off()

    assert stream.getvalue() == "Reading: 4 of 10 files (40%)\n"


def test_bytes_are_shown_as_mebibytes(clock):
    stream = io.StringIO()

    with Progress(stream, "Copying", total=3 * 2**30, unit="bytes") as bar:
        bar.advance(1536 * 2**20)

    assert stream.getvalue() == "Copying: 1,536.0 of 3,072.0 MiB (50%)\n"


def test_nothing_to_do_is_no_fault(clock):
    stream = io.StringIO()

    with Progress(stream, "Reading", total=0):
        pass

    assert stream.getvalue() == "Reading: 0 of 0 files\n"


def test_a_commands_own_stream_is_written_to_without_the_colour_of_errors(clock):
    plain = Terminal()
    stream = OutputWrapper(plain)
    stream.style_func = lambda text: f"<red>{text}</red>"

    with Progress(stream, "Reading") as bar:
        bar.advance()

    assert plain.getvalue() == "\rReading: 1 files\x1b[K\rReading: 1 files\x1b[K\n"
