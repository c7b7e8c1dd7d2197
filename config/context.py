"""What is known of the request being answered, for logs and audit rows, without passing it around."""

import contextvars
from dataclasses import dataclass


@dataclass(frozen=True)
class RequestFacts:
    """Who asks: address (after trusted proxies), agent (≤ 300 characters) and request id."""

    request_id: str = ""
    address: str | None = None
    user_agent: str = ""


NOBODY = RequestFacts()
_current = contextvars.ContextVar("request_facts", default=NOBODY)


def current():
    """The facts of the request this thread answers; empty ones in a task or command."""
    return _current.get()


def enter(facts):
    """Set the facts; give the returned token to `leave`."""
    return _current.set(facts)


def leave(token):
    """Forget the facts set by the matching `enter`."""
    _current.reset(token)
