"""Remembers for a while that a service is down."""

import contextlib
import threading
import time


class Outage:
    """Remembers that a service did not answer, so that not every thread waits for it again.

    For `seconds` after a failure all calls raise the exception that `refusal()` returns. Then one call may try. If that
    call ends without an answer or a failure, perhaps because it never asked the service, the next call may try.
    """

    def __init__(self, seconds, refusal):
        self.seconds, self._refusal = seconds, refusal
        self._lock = threading.Lock()
        self._until = None
        # Identifies the call that may try, until its result is known.
        self._scout = None

    @contextlib.contextmanager
    def passed(self):
        """Wrap code that may call the service. Raises the refusal during an outage."""
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
        """The service answered; a refusal counts as an answer."""
        with self._lock:
            self._until = self._scout = None
