"""Facts of the current request or task, for logs and audit rows, so that functions need not pass them on."""

import contextvars
from dataclasses import dataclass


@dataclass(frozen=True)
class RequestFacts:
    """Who sent the request: address (after trusted proxies), agent (≤ 300 printable characters), and the request's id.

    In a task: its own id, and the id of the request that caused it, if any.
    """

    request_id: str = ""
    address: str | None = None
    user_agent: str = ""
    task_id: str = ""


NOBODY = RequestFacts()
_current = contextvars.ContextVar("request_facts", default=NOBODY)


def printable(text):
    """`text` with control characters replaced. PostgreSQL refuses NUL, and the others spoil log lines."""
    return "".join(letter if letter.isprintable() else "�" for letter in text)


def current():
    """The facts of this thread's request or task; empty ones in a command."""
    return _current.get()


def enter(facts):
    """Set the facts; give the returned token to `leave`."""
    return _current.set(facts)


def leave(token):
    """Forget the facts set by the matching `enter`."""
    _current.reset(token)
