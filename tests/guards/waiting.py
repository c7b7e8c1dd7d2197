"""Two transactions at once on PostgreSQL: the first stops at a statement, and the second waits or overtakes it."""

import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from enum import Enum

from django.db import connection, connections

PATIENCE_SECONDS = 20


class Statement(Enum):
    """A kind of statement, known by words of its SQL."""

    LOCK = (" FOR UPDATE", " FOR NO KEY UPDATE")
    ADVISORY_LOCK = ("pg_advisory_xact_lock",)
    INSERT = ("INSERT ",)
    UPDATE = ("UPDATE ",)
    DELETE = ("DELETE ",)

    def is_in(self, sql):
        """Whether the statement is of this kind."""
        if self in (Statement.LOCK, Statement.ADVISORY_LOCK):
            return any(words in sql for words in self.value)
        return sql.startswith(self.value)


@dataclass(frozen=True)
class Stop:
    """Where the first call stops: at the `number`th such `statement` of `function`, before or after it is executed.

    A statement belongs to the innermost of `functions` on the stack. So the lock of a function that `function` calls is
    not mistaken for its own.
    """

    function: str
    statement: Statement
    functions: frozenset
    number: int = 1
    before: bool = False


@dataclass
class Outcome:
    """The results of two calls at once, or their exceptions, and whether the second waited for the first."""

    first: object
    second: object
    second_waited: bool


def race(first, second, stop):
    """Call `first` until its Stop, then `second`. Once that has ended or waits for the first, let both go on.

    Each runs in a thread and on a connection of its own. Fails when `first` never reaches the statement.
    """
    stopped, goes_on, backends = threading.Event(), threading.Event(), {}

    def pause():
        stopped.set()
        assert goes_on.wait(PATIENCE_SECONDS), f"{stop.function} was never let go on"

    def run(name, act, watch=nullcontext):
        try:
            backends[name] = _backend()
            with watch():
                return act()
        finally:
            connections.close_all()

    def watched():
        return connection.execute_wrapper(_Watch(stop, pause))

    with ThreadPoolExecutor(2) as pool:
        try:
            one = pool.submit(run, "first", first, watched)
            _until(lambda: stopped.is_set() or one.done(), f"{stop.function} took too long")
            assert stopped.is_set(), f"{stop.function} sends no {stop.statement.name} ({_result(one)!r})"
            two = pool.submit(run, "second", second)
            _until(lambda: two.done() or _waits(backends), "the second neither ended nor waited for the first")
            second_waited = not two.done()
        finally:
            goes_on.set()
    return Outcome(_result(one), _result(two), second_waited)


class _Watch:
    """An execute_wrapper that calls `pause` at the Stop."""

    def __init__(self, stop, pause):
        self.stop, self.pause, self.seen = stop, pause, 0

    def __call__(self, execute, sql, params, many, facts):
        meant = self.stop.statement.is_in(sql) and self._innermost() == self.stop.function
        self.seen += meant
        meant = meant and self.seen == self.stop.number
        if meant and self.stop.before:
            self.pause()
        result = execute(sql, params, many, facts)
        if meant and not self.stop.before:
            self.pause()
        return result

    def _innermost(self):
        frame = sys._getframe(2)
        while frame is not None:
            name = f"{frame.f_globals.get('__name__')}.{frame.f_code.co_qualname.replace('.<locals>', '')}"
            if name in self.stop.functions:
                return name
            frame = frame.f_back
        return None


def _backend():
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return cursor.fetchone()[0]


def _waits(backends):
    """Whether the second's backend waits for a lock that the first's holds."""
    if "second" not in backends:
        return False
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT EXISTS (SELECT FROM pg_locks WHERE pid = %s AND NOT granted) AND %s = ANY (pg_blocking_pids(%s))",
            [backends["second"], backends["first"], backends["second"]],
        )
        return cursor.fetchone()[0]


def _until(condition, complaint):
    end = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < end, complaint
        time.sleep(0.005)


def _result(future):
    """What the call returned, or the exception it raised."""
    return future.exception(PATIENCE_SECONDS) or future.result()
