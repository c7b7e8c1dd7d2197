"""What is known of the request being answered, for logs and audit rows, without passing it around."""

import contextvars
from dataclasses import dataclass


@dataclass(frozen=True)
class RequestFacts:
    """Who asks: address (after trusted proxies), agent (≤ 300 printable characters) and request id.

    In a task: its own id, and the id of the request that caused it, if one did.
    """

    request_id: str = ""
    address: str | None = None
    user_agent: str = ""
    task_id: str = ""


NOBODY = RequestFacts()
_current = contextvars.ContextVar("request_facts", default=NOBODY)


def printable(text):
    """`text` without control characters, which neither PostgreSQL nor a log reader wants."""
    return "".join(letter if letter.isprintable() else "�" for letter in text)


def current():
    """The facts of the request this thread answers, or of the task it runs; empty ones in a command."""
    return _current.get()


def enter(facts):
    """Set the facts; give the returned token to `leave`."""
    return _current.set(facts)


def leave(token):
    """Forget the facts set by the matching `enter`."""
    _current.reset(token)
