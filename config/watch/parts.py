"""What the portal needs to work, and how each part is: one registry, which /readyz, `manage.py doctor`, the page for
supers and the metrics all ask.

Each app registers its parts (`register`). A part has a check: a function that returns a Verdict, several of them by
name, or None when all is well.
"""

import contextlib
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

from django.db import DatabaseError, connections
from django.utils.translation import gettext_lazy as _
from redis.exceptions import RedisError

from config.contributions.registry import Registry
from config.errors import Refused

from .logs import redact

logger = logging.getLogger(__name__)

PATIENCE_SECONDS = 2
"""How long /readyz waits for all parts together; a part that has not answered by then is unavailable."""
KEPT_SECONDS = 1
"""How long a process repeats its last result. A client that asks all day then costs one check a second."""


class State(StrEnum):
    """The state of a part, the worst last."""

    OK = "ok"
    DEGRADED = "degraded"
    UNAVAILABLE = "unavailable"


@dataclass(frozen=True)
class Verdict:
    """A State, a sentence, and what to do about it in one sentence. `facts` fill the placeholders of both texts.

    The texts are lazy translations: each reader gets them in the reader's language.
    """

    state: State
    sentence: str
    cure: str = ""
    facts: dict = field(default_factory=dict)

    @property
    def said(self):
        """The sentence, with its facts."""
        return str(self.sentence) % self.facts if self.facts else str(self.sentence)

    @property
    def advice(self):
        """The cure, with its facts; "" when there is nothing to do."""
        return str(self.cure) % self.facts if self.facts else str(self.cure)

    @property
    def is_ok(self):
        """True when there is nothing to do."""
        return self.state == State.OK


FINE = Verdict(State.OK, _("It works."))


def degraded(sentence, cure, **facts):
    """A Verdict on a part that works badly, or not for everybody."""
    return Verdict(State.DEGRADED, sentence, cure, facts)


def unavailable(sentence, cure, **facts):
    """A Verdict on a part that does not work."""
    return Verdict(State.UNAVAILABLE, sentence, cure, facts)


@dataclass(frozen=True)
class Part:
    """A part of the portal.

    `ask` is its check. It may raise DatabaseError, OSError, RedisError and Refused: then the part is unavailable, and
    `cure` says what to do. Any other exception is a fault of the portal, and logged as an error. A web process keeps
    an answer for `kept_seconds`, and one without fault for `kept_when_fine_seconds` if that is longer. Without an
    `essential` part no page can be shown. A `thorough` part is asked only by `manage.py doctor`: its check asks servers
    that only workers can reach, or the settings.

    Parts that are `in_turn` are asked one after the other: each takes a connection of the database while it is asked.
    A part that `keeps_last` repeats its last answer when it is late; an error counts at once.
    """

    ask: Callable
    cure: str = _("Look into the log of the portal.")
    essential: bool = False
    thorough: bool = False
    kept_seconds: float = 0
    kept_when_fine_seconds: float = 0
    in_turn: bool = False
    keeps_last: bool = False


PARTS = Registry("part of the portal")


def register(name, ask, **facts):
    """Register a part; `facts` are those of Part."""
    PARTS.add(name, Part(ask, **facts))


# --- Asking -----------------------------------------------------------------------------------------


class Readiness:
    """The state of the parts in a web process. One request at a time asks; it alone waits for a part that hangs."""

    def __init__(self, parts=PARTS):
        self._parts, self._checks = parts, {}
        self._lock = threading.Lock()
        self._turn = threading.Lock()
        self.forget()

    def verdicts(self):
        """{name: Verdict} of all parts but the thorough ones."""
        if time.monotonic() >= self._until and self._lock.acquire(blocking=self._known is None):
            try:
                if time.monotonic() >= self._until:
                    self._known = self.ask()
                    self._until = time.monotonic() + KEPT_SECONDS
            finally:
                self._lock.release()
        return self._known

    def state_of(self, found):
        """The State of the whole portal: unavailable without an essential part, degraded without another.

        `found` is what `verdicts` or `ask` returned.
        """
        if any(found[name].state == State.UNAVAILABLE for name, part in self._parts.items() if part.essential):
            return State.UNAVAILABLE
        return State.OK if all(verdict.is_ok for verdict in found.values()) else State.DEGRADED

    def ask(self, *, thorough=False, seconds=None):
        """Ask the parts now, all at the same time. Waits at most `seconds`, PATIENCE_SECONDS by default."""
        end = time.monotonic() + (PATIENCE_SECONDS if seconds is None else seconds)
        wanted = {name: part for name, part in self._parts.items() if thorough or not part.thorough}
        for name, part in wanted.items():
            if name not in self._checks or self._checks[name].part is not part:
                self._checks[name] = Check(name, part, self._turn if part.in_turn else contextlib.nullcontext())
        under_way = {name: self._checks[name].begin() for name in wanted}
        found = {}
        for run in under_way.values():
            found |= run.verdicts(end - time.monotonic())
        return found

    def forget(self):
        """Ask again at the next request."""
        self._known, self._until = None, 0.0
        self._checks.clear()


class Check:
    """Checks one part in its own thread, one check at a time.

    A part that hangs blocks one thread only, however often clients ask; all of them wait for the same check.
    """

    def __init__(self, name, part, turn):
        self.name, self.part, self.turn = name, part, turn
        self.last = None
        self._lock = threading.Lock()
        self._run = None

    def begin(self):
        """The running check, one that ended a moment ago, or a new one."""
        with self._lock:
            if self._run is None or self._run.is_over():
                self._run = _Run(self)
                # A daemon thread: a part that hangs must not keep the process from ending.
                threading.Thread(target=self._run.go, name=f"ready-{self.name}", daemon=True).start()
            return self._run


class _Run:
    def __init__(self, check):
        self.check, self.done = check, threading.Event()
        self.found = self.error = None
        self._ended_at = 0.0

    def go(self):
        try:
            with self.check.turn:
                self._ask()
        finally:
            self._ended_at = time.monotonic()
            self.done.set()

    def _ask(self):
        try:
            self.found = self.check.last = _by_name(self.check.name, self.check.part.ask())
        except Exception as error:  # noqa: BLE001 - passed to the waiting thread, which logs faults
            self.error = error
        finally:
            # This thread had its own connections; it ends now.
            connections.close_all()

    def is_over(self):
        """True when the answer is too old to be given again."""
        if not self.done.is_set():
            return False
        part, kept = self.check.part, self.check.part.kept_seconds
        if self.error is None and all(verdict.is_ok for verdict in self.found.values()):
            kept = max(kept, part.kept_when_fine_seconds)
        return time.monotonic() >= self._ended_at + kept

    def verdicts(self, seconds):
        """{name: Verdict} after at most `seconds`."""
        answered = self.done.wait(max(0, seconds))
        if answered and self.error is None:
            return self.found
        if not answered and self.check.part.keeps_last and self.check.last:
            return self.check.last
        why = type(self.error).__name__ if answered else "no answer"
        if answered and not isinstance(self.error, DatabaseError | OSError | RedisError | Refused):
            # A fault of the portal. One check that is broken must not hide the others.
            logger.error("The check of %s is at fault", self.check.name, exc_info=self.error)
        else:
            logger.warning("Not ready: %s (%s)", self.check.name, why)
        part = self.check.part
        if answered and isinstance(self.error, DatabaseError) and not part.essential:
            verdict = unavailable(_("It needs the database."), _("Mend the database and its migrations first."))
        elif answered:
            verdict = unavailable(_("It failed: %(why)s."), part.cure, why=_reason(self.error))
        else:
            verdict = unavailable(_("It does not answer."), part.cure)
        return {self.check.name: verdict}


def _by_name(name, found):
    if isinstance(found, dict):
        return found
    return {name: found or FINE}


def _reason(error):
    """Why a part failed, in one line; a Refused has a sentence for people."""
    text = error.message if isinstance(error, Refused) else f"{type(error).__name__}: {error}"
    return redact(" ".join(str(text).split()))[:300].rstrip(".")


READINESS = Readiness()
