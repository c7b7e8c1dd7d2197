"""What a service behind the portal that did not answer is remembered by."""

import contextlib
import threading
import time


class Outage:
    """Remembers that a service did not answer, so that not every thread waits to learn it anew.

    For `seconds` all calls are refused at once by what `refusal()` returns, an exception; then one is let through
    and finds out. If it ends without a word from the service, as it may never have asked, the next one finds out.
    """

    def __init__(self, seconds, refusal):
        self.seconds, self._refusal = seconds, refusal
        self._lock = threading.Lock()
        self._until = None
        # Stands for the call that was let through and has not found out yet.
        self._scout = None

    @contextlib.contextmanager
    def passed(self):
        """Around what may call the service. Raises the refusal during an outage."""
        mine = self._let_through()
        try:
            yield
        finally:
            if mine is not None:
                self._come_back(mine)

    def _let_through(self):
        if self._until is None:
            return None
        with self._lock:
            if self._until is None:
                return None
            if time.monotonic() < self._until:
                raise self._refusal()
            self._until, self._scout = time.monotonic() + self.seconds, object()
            return self._scout

    def _come_back(self, mine):
        with self._lock:
            if self._scout is mine:
                self._until, self._scout = time.monotonic(), None

    def began(self):
        """The service did not answer."""
        with self._lock:
            self._until, self._scout = time.monotonic() + self.seconds, None

    def ended(self):
        """The service answered, if only to refuse."""
        with self._lock:
            self._until = self._scout = None
