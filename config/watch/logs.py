"""Log lines: one line each, with the id of their request, and without secrets.

`redact` alone decides what is secret. Log lines (LOG_FORMAT line or json) and reports to a Sentry (config.watch.sentry)
go through it.
"""

import datetime
import functools
import json
import logging
import re

from config import context
from config.contributions.registry import Registry
from config.outside.own_secrets import own_secrets

HIDDEN = "[…]"
MAX_MESSAGE, MAX_FAULT = 10_000, 50_000
"""Characters of a message and of a traceback; the rest is cut off."""
LEAST_SECRET = 12
"""Shorter secrets of the settings are words such as "simulator"; hiding them would hide the word everywhere."""

DOORS = Registry("door of the log")
"""Paths of links that work without a sign-in, such as `secure-download` for `/secure-download/<token>`."""
NAMES = Registry("name of a secret")
"""Names of cookies and fields that hold a secret, besides those below."""

_NAMES = (
    r"awsaccesskeyid|(?:[a-z0-9]+[_-])*(?:signature|sig|credential)|[a-z0-9_-]*(?:token|secret)[_-]?\d*|"
    r"[a-z0-9_-]*(?:password|passwd|passphrase|passkey|api[_-]?key|secret[_-]?key|access[_-]?key)[_-]?\d*|"
    r"[a-z0-9_-]*(?:recovery|backup|t?otp|mfa|2fa|factor)[_-]?codes?\d*|access|refresh|t?otp|sessionid"
)
# The b of b"…".
_B = r"(?:b(?=[\"']))?"
# The value of such a name. In quotes: up to the closing quote, or to the end if the text was cut off. Else one word.
_VALUE = (
    rf"{_B}(?:\"(?:[^\"\\]|\\++[\s\S]?)*+\"?|'(?:[^'\\]|\\++[\s\S]?)*+'?"
    # Quotes that are escaped themselves.
    r"|\\+\"[^\"\\]*+|\\+'[^'\\]*+|(?:[^\s&\"'\\,;)}\]]|\\(?![\\\"']))++)"
)
# `<doors>` and `<names>` stand for what the apps register. The slash of a link may be percent-encoded.
_PATTERNS = [
    # An otpauth:// address is a secret as a whole.
    (r"otpauth(?:-migration)?://[^\s\"'<>]+", f"otpauth://{HIDDEN}"),
    # Headers, as libraries and printed dictionaries write them.
    (rf"\b((?:proxy-)?authorization[\"']?\s*[:=,]\s*{_B}[\"']?)(?:(?:bearer|basic)\s+)?[^\s\"',;]+", rf"\1{HIDDEN}"),
    (rf"\b((?:set-)?cookie[\"']?\s*[:=,]\s*{_B})(?:\"[^\"\r\n]*\"|'[^'\r\n]*'|[^\r\n]+)", rf"\1{HIDDEN}"),
    (r"\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}", rf"\1 {HIDDEN}"),
    # postgres://user:password@host
    (r"((?<![a-z0-9+.-])[a-z][a-z0-9+.-]*://[^\s:/@\"']*:)[^\s/@\"']+@", rf"\1{HIDDEN}@"),
    (r"((?:/|%2F)(?:<doors>)(?:/|%2F))[^\s/?&#\"'<>]+", rf"\1{HIDDEN}"),
    # In queries, forms, JSON and the representations of dictionaries.
    (
        rf"(?<![\w-])((?:{_NAMES}|(?:__(?:host|secure)-)?(?:<names>))(?:\\*[\"'])?\s*+(?:=|:(?!//))\s*+)"
        rf"(?:[\[(]++\s*+{_VALUE}(?:\s*+,\s*+{_VALUE})*+|{_VALUE})",
        rf"\1{HIDDEN}",
    ),
    # A second factor; its field is called just "code".
    (
        r"(?<![\w-])(codes?(?:\\*[\"'])?\s*+[=:]\s*+[\[(]*+(?:\\*[\"'])?)"
        r"(?:\d{3} ?\d{3}|[a-z2-7]{4}(?:-[a-z2-7]{4}){3})\b",
        rf"\1{HIDDEN}",
    ),
    # Secrets known by their shape: JWTs, our API tokens, Fernet tokens, signatures of django.core.signing, tokens of
    # store URLs.
    (r"\beyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*", HIDDEN),
    (r"\bpat_[A-Za-z0-9_-]{16,}", HIDDEN),
    (r"\bgAAAA[A-Za-z0-9_-]{40,}(?:={1,2}|(?:%3D){1,2})?", HIDDEN),
    (
        r"(?<![A-Za-z0-9_.-])[A-Za-z0-9_.-]{4,}(?::|%3A)(?:[A-Za-z0-9]{6}(?::|%3A))?[A-Za-z0-9_-]{43}(?![A-Za-z0-9_-])",
        HIDDEN,
    ),
]
# A line without any of these holds no secret of the above kinds. Most lines therefore cost only one search.
_SUSPICIOUS = (
    r"token|secret|pass|key|sig|access|refresh|otp|code|csrf|session|credential|authorization|cookie|bearer"
    r"|basic|://|%2F|eyJ|pat_|gAAAA|[A-Za-z0-9_-]{43}|/(?:<doors>)/|<names>"
)
# Line breaks, terminal escapes, marks that change the direction of writing, and lone surrogates.
_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_NAMED = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def register(*, doors=(), names=()):
    """Register an app's doors and the names of its secrets."""
    DOORS.add_all({door: door for door in doors})
    NAMES.add_all({name: name for name in names})


def redact(text):
    """`text` with secrets replaced by […] and control characters made visible."""
    return escape(hide(text))


def hide(text):
    """`text` without secrets: by name, by shape, and the secrets of the settings wherever they occur."""
    own = _pattern_of(tuple(value for _name, value in own_secrets()))
    if own is not None:
        text = own.sub(HIDDEN, text)
    suspicious, secrets = _rules(tuple(DOORS), tuple(NAMES))
    if suspicious.search(text):
        for pattern, replacement in secrets:
            text = pattern.sub(replacement, text)
    return text


@functools.lru_cache(maxsize=8)
def _rules(doors, names):
    """(pattern of suspicious lines, [(pattern, replacement)]), with the doors and names registered so far."""
    words = {
        "<doors>": "|".join(re.escape(door).replace("/", "(?:/|%2F)") for door in doors) or "(?!)",
        "<names>": "|".join(map(re.escape, names)) or "(?!)",
    }

    def compiled(pattern):
        for place, word in words.items():
            pattern = pattern.replace(place, word)
        return re.compile(pattern, re.IGNORECASE)

    return compiled(_SUSPICIOUS), [(compiled(pattern), replacement) for pattern, replacement in _PATTERNS]


def escape(text):
    """`text` on one line, without control characters. Otherwise user input could forge a log line."""
    return _CONTROLS.sub(lambda found: _NAMED.get(found[0]) or f"\\u{ord(found[0]):04x}", text)


@functools.lru_cache(maxsize=8)
def _pattern_of(values):
    kept = sorted({value for value in values if len(value) >= LEAST_SECRET}, key=len, reverse=True)
    return re.compile("|".join(map(re.escape, kept))) if kept else None


class RequestFilter(logging.Filter):
    """Adds `request_id` and `task_id` ("-" for none) to a record; removes secrets from its message for all handlers.

    Removes the traceback of a refused request.

    The ids come from the context. Django writes some records after the request's context has ended; they take the ids
    from the request that the record carries.
    """

    def filter(self, record):
        facts = context.current()
        if not facts.request_id:
            facts = getattr(getattr(record, "request", None), "facts", facts)
        record.request_id = facts.request_id or "-"
        record.task_id = facts.task_id or "-"
        record.msg, record.args = redact(_said(record)), ()
        if getattr(record, "status_code", 500) < 500:
            # Django adds the exception to the line of a refused request. A refusal is no fault; its place says nothing.
            record.exc_info = None
        return True


def _said(record):
    try:
        text = record.getMessage()
    except (TypeError, ValueError):
        # Keep the line even if its arguments do not fit the message.
        text = str(record.msg)
    return text[:MAX_MESSAGE]


class _Formatter(logging.Formatter):
    def message(self, record):
        # The filter has redacted the message already, if it saw the record.
        return record.msg if hasattr(record, "request_id") else redact(_said(record))

    def fault(self, record):
        """The traceback without secrets; "" if there is none. Does not cache it on the record, unlike logging."""
        text = self.formatException(record.exc_info) if record.exc_info and record.exc_info[0] else ""
        if record.stack_info:
            text = f"{text}\n{record.stack_info}".strip()
        return hide(text[-MAX_FAULT:])

    def formatTime(self, record, datefmt=None):  # noqa: N802 - logging's name
        when = datetime.datetime.fromtimestamp(record.created, datetime.UTC)
        return when.isoformat(timespec="milliseconds").replace("+00:00", "Z")


class LineFormatter(_Formatter):
    """For people: one line, then the traceback indented, so that no part of it looks like a log line."""

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
    """For programs: one JSON object a line, ASCII only; docs/monitoring.md names its fields."""

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
