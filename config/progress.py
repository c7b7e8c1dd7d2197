"""Progress of a long command, shown in the terminal."""

import time

from django.core.management.base import OutputWrapper

TERMINAL_SECONDS = 0.2
"""Seconds between two updates of the line on a terminal."""
LINE_SECONDS = 5
"""Seconds between two lines elsewhere, such as in a log."""


class Progress:
    """A line that shows a growing count: rewritten on a terminal, elsewhere a new line now and then.

    `stream` is a text stream or a command's own `stderr`. `total` is the final count, if known. With `unit="bytes"`
    counts are shown as MiB. The last state is written when the block ends, also after an exception.

        with Progress(self.stderr, "Reading", total=len(files)) as progress:
            for file in files:
                ...
                progress.advance()
    """

    def __init__(self, stream, label, total=None, unit="files"):
        self.count = 0
        self._stream = stream
        self._label = label
        self._total = total
        self._unit = unit
        self._terminal = stream.isatty()
        self._pause = TERMINAL_SECONDS if self._terminal else LINE_SECONDS

    def __enter__(self):
        # Without a terminal, work that ends within the pause writes one line only.
        self._next = 0 if self._terminal else time.monotonic() + self._pause
        return self

    def __exit__(self, *exception):
        self._show(last=True)

    def advance(self, n=1):
        """Count `n` more."""
        self.count += n
        if time.monotonic() >= self._next:
            self._show()

    def _show(self, *, last=False):
        self._next = time.monotonic() + self._pause
        if self._terminal:
            # Return to the start of the line, and erase the rest of a longer line before.
            self._write(f"\r{self}\x1b[K" + "\n" * last)
        else:
            self._write(f"{self}\n")

    def _write(self, text):
        if isinstance(self._stream, OutputWrapper):
            # Write without the red of errors, and without the newline that OutputWrapper adds.
            self._stream.write(text, style_func=str, ending="")
        else:
            self._stream.write(text)
        self._stream.flush()

    def __str__(self):
        text = f"{self._label}: {self._number(self.count)}"
        if self._total is not None:
            text += f" of {self._number(self._total)}"
        text += " MiB" if self._unit == "bytes" else f" {self._unit}"
        return f"{text} ({min(100, self.count * 100 // self._total)}%)" if self._total else text

    def _number(self, count):
        return f"{count / 2**20:,.1f}" if self._unit == "bytes" else f"{count:,}"
