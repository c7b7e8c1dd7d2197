"""Small writes of several requests in one transaction.

A database commits some hundred times a second, whatever is in a transaction, and SQLite has one writer. So requests
that come while another one writes wait for their turn and are written together; each is answered after the commit.
"""

import threading

from django.db import Error, InterfaceError, OperationalError, connection, transaction


class Together:
    """Calls `write(items)` in a transaction, with the items of one request or of several."""

    def __init__(self, write):
        self._write = write
        self._lock = threading.Lock()
        self._waiting, self._is_written = [], False

    def add(self, item):
        """Write `item`. Returns after its commit; raises the Error of its write.

        In a transaction of the caller it is written at once, as a part of that.
        """
        if connection.in_atomic_block:
            with transaction.atomic():
                self._write([item])
            return
        mine = _Waiting(item)
        with self._lock:
            self._waiting.append(mine)
            has_turn, self._is_written = not self._is_written, True
        if has_turn or mine.wait():
            self._take_turn()
        if mine.error is not None:
            raise type(mine.error)(*mine.error.args) from mine.error

    def _take_turn(self):
        """Write what waits, then let the first of those who came meanwhile write."""
        with self._lock:
            some, self._waiting = self._waiting, []
        error = InterfaceError("The thread that wrote for this one has ended.")
        try:
            error = self._error_of(some)
            if error is not None and len(some) > 1 and not isinstance(error, OperationalError | InterfaceError):
                # One of them cannot be written: it alone fails.
                for each in some:
                    each.end(self._error_of([each]))
        finally:
            for each in some:
                each.end(error)
            with self._lock:
                following = self._waiting[0] if self._waiting else None
                self._is_written = following is not None
            if following is not None:
                following.begin()

    def _error_of(self, some):
        try:
            with transaction.atomic():
                self._write([each.item for each in some])
        except Error as error:
            return error
        return None


class _Waiting:
    def __init__(self, item):
        self.item, self.error, self._is_over = item, None, False
        self._told = threading.Lock()
        self._told.acquire()

    def wait(self):
        """Wait. True when it is this thread's turn to write, False when its item is written."""
        self._told.acquire()
        return not self._is_over

    def begin(self):
        """Give it the turn to write."""
        self._told.release()

    def end(self, error):
        """Tell it once that its item was written, or why not."""
        if not self._is_over:
            self.error, self._is_over = error, True
            self._told.release()
