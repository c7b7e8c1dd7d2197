"""Log lines: one line each, with the request they belong to, and without anybody's secrets.

`redact` is the one rule of what is secret; log lines (LOG_FORMAT line or json) and reports to a Sentry
(config.sentry) go through it.
"""

import datetime
import functools
import json
import logging
import re

from . import context
from .own_secrets import own_secrets

HIDDEN = "[…]"
MAX_MESSAGE, MAX_FAULT = 10_000, 50_000
"""Characters of a message and of a traceback; the rest is cut off."""
LEAST_SECRET = 12
"""Shorter settings are words such as "simulator", which would be hidden wherever they are said."""

# Links that let their bearer in, whether or not a slash or a colon of theirs is quoted.
_DOORS = r"((?:/|%2F)(?:store|secure-download|share|request|unsubscribe|payments(?:/|%2F)cb)(?:/|%2F))[^\s/?&#\"'<>]+"
_NAMES = (
    r"awsaccesskeyid|(?:[a-z0-9]+[_-])*(?:signature|sig|credential)|[a-z0-9_-]*(?:token|secret)[_-]?\d*|"
    r"[a-z0-9_-]*(?:password|passwd|passphrase|passkey|api[_-]?key|secret[_-]?key|access[_-]?key)[_-]?\d*|"
    r"[a-z0-9_-]*(?:recovery|backup|t?otp|mfa|2fa|factor)[_-]?codes?\d*|access|refresh|t?otp|sessionid|"
    r"(?:__host-)?(?:session|device|sender)|securitycredential"
)
# Of b"…".
_B = r"(?:b(?=[\"']))?"
# What such a name says: in quotes to their end, also where the text was cut off before it; else one word.
_VALUE = (
    rf"{_B}(?:\"(?:[^\"\\]|\\++[\s\S]?)*+\"?|'(?:[^'\\]|\\++[\s\S]?)*+'?"
    # In quotes that are quoted themselves.
    r"|\\+\"[^\"\\]*+|\\+'[^'\\]*+|(?:[^\s&\"'\\,;)}\]]|\\(?![\\\"']))++)"
)
_PATTERNS = [
    # otpauth:// addresses hold nothing else.
    (r"otpauth(?:-migration)?://[^\s\"'<>]+", f"otpauth://{HIDDEN}"),
    # Headers, as libraries and dictionaries write them.
    (rf"\b((?:proxy-)?authorization[\"']?\s*[:=,]\s*{_B}[\"']?)(?:(?:bearer|basic)\s+)?[^\s\"',;]+", rf"\1{HIDDEN}"),
    (rf"\b((?:set-)?cookie[\"']?\s*[:=,]\s*{_B})(?:\"[^\"\r\n]*\"|'[^'\r\n]*'|[^\r\n]+)", rf"\1{HIDDEN}"),
    (r"\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}", rf"\1 {HIDDEN}"),
    # postgres://user:password@host
    (r"((?<![a-z0-9+.-])[a-z][a-z0-9+.-]*://[^\s:/@\"']*:)[^\s/@\"']+@", rf"\1{HIDDEN}@"),
    (_DOORS, rf"\1{HIDDEN}"),
    # In queries, forms, JSON and the representations of dictionaries.
    (
        rf"(?<![\w-])((?:{_NAMES})(?:\\*[\"'])?\s*+(?:=|:(?!//))\s*+)"
        rf"(?:[\[(]++\s*+{_VALUE}(?:\s*+,\s*+{_VALUE})*+|{_VALUE})",
        rf"\1{HIDDEN}",
    ),
    # A second factor, whose name is no more than "code".
    (
        r"(?<![\w-])(codes?(?:\\*[\"'])?\s*+[=:]\s*+[\[(]*+(?:\\*[\"'])?)"
        r"(?:\d{3} ?\d{3}|[a-z2-7]{4}(?:-[a-z2-7]{4}){3})\b",
        rf"\1{HIDDEN}",
    ),
    # What gives itself away: JWTs, our API tokens, Fernet tokens, what django.core.signing made, store URLs' tokens.
    (r"\beyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*", HIDDEN),
    (r"\bpat_[A-Za-z0-9_-]{16,}", HIDDEN),
    (r"\bgAAAA[A-Za-z0-9_-]{40,}(?:={1,2}|(?:%3D){1,2})?", HIDDEN),
    (
        r"(?<![A-Za-z0-9_.-])[A-Za-z0-9_.-]{4,}(?::|%3A)(?:[A-Za-z0-9]{6}(?::|%3A))?[A-Za-z0-9_-]{43}(?![A-Za-z0-9_-])",
        HIDDEN,
    ),
]
_SECRETS = [(re.compile(pattern, re.IGNORECASE), replacement) for pattern, replacement in _PATTERNS]
# A line that has none of these holds nothing of the above: most lines are let through at the price of one search.
_SUSPICIOUS = re.compile(
    r"token|secret|pass|key|sig|access|refresh|otp|code|csrf|session|device|sender|credential|authorization|cookie|bearer"
    r"|basic|://|store|secure-download|share|request|unsubscribe|payments|%2F|eyJ|pat_|gAAAA|[A-Za-z0-9_-]{43}",
    re.IGNORECASE,
)
# Line breaks, escapes of terminals, and marks that turn the direction of writing.
_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_NAMED = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def redact(text):
    """`text` with everything that would let its reader in replaced by […], and control characters made visible."""
    return escape(hide(text))


def hide(text):
    """`text` without secrets: by name, by shape, and those of the settings wherever they stand."""
    own = _pattern_of(tuple(value for _name, value in own_secrets()))
    if own is not None:
        text = own.sub(HIDDEN, text)
    if _SUSPICIOUS.search(text):
        for pattern, replacement in _SECRETS:
            text = pattern.sub(replacement, text)
    return text


def escape(text):
    """`text` on one line, without control characters: nobody can write a line of their own into the log."""
    return _CONTROLS.sub(lambda found: _NAMED.get(found[0]) or f"\\u{ord(found[0]):04x}", text)


@functools.lru_cache(maxsize=8)
def _pattern_of(values):
    kept = sorted({value for value in values if len(value) >= LEAST_SECRET}, key=len, reverse=True)
    return re.compile("|".join(map(re.escape, kept))) if kept else None


class RequestFilter(logging.Filter):
    """Makes a record one of ours: `request_id` and `task_id` ("-" where there is none), and a message without
    secrets, also for whatever handlers come after.

    The ids are the context's, or those of the request that a record of Django's bears, which is written
    when the request's context is over.
    """

    def filter(self, record):
        facts = context.current()
        if not facts.request_id:
            facts = getattr(getattr(record, "request", None), "facts", facts)
        record.request_id = facts.request_id or "-"
        record.task_id = facts.task_id or "-"
        record.msg, record.args = redact(_said(record)), ()
        return True


def _said(record):
    try:
        text = record.getMessage()
    except (TypeError, ValueError):
        # A wrong number of arguments must not cost the line.
        text = str(record.msg)
    return text[:MAX_MESSAGE]


class _Formatter(logging.Formatter):
    def message(self, record):
        # The filter has redacted it, where it was asked.
        return record.msg if hasattr(record, "request_id") else redact(_said(record))

    def fault(self, record):
        """The traceback with its secrets hidden, in lines; "" without one. Nothing is kept on the record."""
        text = self.formatException(record.exc_info) if record.exc_info and record.exc_info[0] else ""
        if record.stack_info:
            text = f"{text}\n{record.stack_info}".strip()
        return hide(text[-MAX_FAULT:])

    def formatTime(self, record, datefmt=None):  # noqa: N802 - logging's name
        when = datetime.datetime.fromtimestamp(record.created, datetime.UTC)
        return when.isoformat(timespec="milliseconds").replace("+00:00", "Z")


class LineFormatter(_Formatter):
    """For people: one line, and the traceback below it, indented, so that nothing in it looks like a line."""

    def format(self, record):
        """The line."""
        ids = getattr(record, "request_id", "-")
        if getattr(record, "task_id", "-") != "-":
            ids += f" task {record.task_id}"
        line = f"{self.formatTime(record)} {record.levelname} {record.name} [{ids}] {self.message(record)}"
        facts = getattr(record, "facts", None)
        if facts:
            said = (f"{name}={redact(str(value))}" for name, value in facts.items() if value is not None)
            line = f"{line} {' '.join(said)}"
        fault = self.fault(record)
        return "\n".join([line, *(f"    {escape(each)}" for each in fault.splitlines())])


class JSONFormatter(_Formatter):
    """For machines: one object a line, ASCII only; docs/monitoring.md names its fields."""

    def format(self, record):
        """The line."""
        line = {
            "time": self.formatTime(record),
            "level": record.levelname,
            "logger": record.name,
            "message": self.message(record),
        }
        for name in ("request_id", "task_id"):
            if getattr(record, name, "-") != "-":
                line[name] = getattr(record, name)
        for name, value in (getattr(record, "facts", None) or {}).items():
            line[name] = redact(value) if isinstance(value, str) else value
        fault = self.fault(record)
        if fault:
            line["exception"] = fault
        return json.dumps(line, default=lambda value: redact(str(value)))
