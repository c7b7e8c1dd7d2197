"""What a service behind the portal that did not answer is remembered by."""

import threading
import time


class Outage:
    """Remembers that a service did not answer, so that not every thread waits to learn it anew.

    For `seconds` all calls are refused at once by what `refusal()` returns, an exception; then one is let through
    and finds out.
    """

    def __init__(self, seconds, refusal):
        self.seconds, self._refusal = seconds, refusal
        self._lock = threading.Lock()
        self._until = None

    def assert_over(self):
        """Raise the refusal during an outage."""
        if self._until is None:
            return
        with self._lock:
            if self._until is not None:
                if time.monotonic() < self._until:
                    raise self._refusal()
                self._until = time.monotonic() + self.seconds

    def began(self):
        """The service did not answer."""
        with self._lock:
            self._until = time.monotonic() + self.seconds

    def ended(self):
        """The service answered, if only to refuse."""
        with self._lock:
            self._until = None
