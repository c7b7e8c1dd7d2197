"""The cases of tests/guards/test_locks.py: where the first of two calls stops, and what both return.

Each decorates a function that makes the rows and returns the call that both make, or a pair: the first's call and
the second's. It may take a World. Rows and exceptions among the results are written as the name of their class.
"""

from collections.abc import Callable
from dataclasses import dataclass

from tests.guards.waiting import Statement

CASES = []


@dataclass(frozen=True)
class World:
    """What a case may change until its end: settings, and any attribute."""

    settings: object
    patch: Callable


@dataclass(frozen=True)
class Case:
    """One race. `waits` tells whether the second waits until the first has committed."""

    arrange: Callable
    function: str
    statement: Statement
    number: int
    before: bool
    waits: bool
    outcome: tuple

    def __str__(self):
        return f"{self.function}: {self.arrange.__name__}"

    def acts(self, world):
        """(the first's call, the second's call)."""
        acts = self.arrange(world) if self.arrange.__code__.co_argcount else self.arrange()
        return acts if isinstance(acts, tuple) else (acts, acts)


def waits(function, *outcome, number=1, statement=Statement.LOCK):
    """The first holds the `number`th lock that `function` takes; the second waits for it."""
    return _case(function, statement, number, before=False, waits=True, outcome=outcome)


def passes_by(function, *outcome):
    """The first holds a lock of `function`; the second skips the locked rows."""
    return _case(function, Statement.LOCK, 1, before=False, waits=False, outcome=outcome)


def loses(function, *outcome, statement=Statement.UPDATE):
    """The first has read its row and stops before the statement of `function`; the second overtakes it."""
    return _case(function, statement, 1, before=True, waits=False, outcome=outcome)


def _case(function, statement, number, **facts):
    def registered(arrange):
        CASES.append(Case(arrange, function, statement, number, **facts))
        return arrange

    return registered


def told(value):
    """A result as the cases write it."""
    if value is None or isinstance(value, bool | int | str | tuple):
        return value
    return type(value).__name__
