"""No secret in a log: this module searches every line of the whole run, as the portal's formatters write it, and the
log files of the processes that tests start. A test that logs a secret fails at its end, and the logger is named.

It searches for the secrets of the settings, those that the portal makes during the run (it learns them where they
are made), the passwords of the tests, and everything with the shape of a secret.
"""

import base64
import functools
import re
import threading
from pathlib import Path

import pytest
from django.conf import settings
from django.contrib.auth.hashers import Argon2PasswordHasher, MD5PasswordHasher
from django.contrib.sessions.backends.base import SessionBase
from django.core.signing import Signer

SHAPES = {
    "a JWT": r"eyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]{8,}",
    "an API token": r"pat_[\w-]{20,}",
    "a Fernet token": r"gAAAA[\w-]{40,}",
    "a link's token": r"/(?:<doors>)/[\w:.-]{20,}",
    "a store URL's token": r"/store/(?:put|part|get)\.[\w:.-]{10,}",
    "a bucket's signature": r"X-Amz-Signature=[0-9a-f]{64}",
    "a bucket's key": r"X-Amz-Security-Token=[\w%/+=-]{10,}",
    "a second factor's secret": r"otpauth://\S*secret=[A-Z2-7]{16,}",
    "a bearer": r"(?i:authorization)\W{1,5}(?:bearer|basic) [\w.~+/=-]{8,}",
    "a password in an address": r"[a-z]+://[^\s:/@\"'\[]*:(?!\*\*@)[^\s:/@\"'\[]+@[\w.-]",
}
_WORD = re.compile(r"[A-Za-z0-9_-]{16,}")
LEAST_PASSWORD = 10


class Watch:
    """The secrets, and where they were found."""

    def __init__(self):
        self.words, self.phrases, self.shapes = set(), set(), re.compile("(?!)")
        self.found, self.learns = [], True
        self._files, self._lock = {}, threading.Lock()

    def know_doors(self, doors):
        """Look for SHAPES, with the doors that the apps have registered with the log."""
        words = "|".join(map(re.escape, doors))
        shapes = (shape.replace("<doors>", words) for shape in SHAPES.values())
        self.shapes = re.compile("|".join(f"(?P<s{number}>{shape})" for number, shape in enumerate(shapes)))

    def learn(self, secret):
        """Look for `secret` from now on, unless the running test sends made-up secrets."""
        if not self.learns:
            return
        if _WORD.fullmatch(secret):
            self.words.add(secret)
        elif len(secret) >= LEAST_PASSWORD and "@" not in secret:
            self.phrases.add(secret)

    def search(self, text, where):
        """Note a secret in `text`; `where` names its logger or log file."""
        text = text.replace("%3A", ":")
        shape = self.shapes.search(text)
        if shape:
            self.found.append(f"{where}: {[*SHAPES][int(shape.lastgroup[1:])]}: {_around(text, shape.start())}")
        known = next((word for word in _WORD.findall(text) if word in self.words), None)
        known = known or next((phrase for phrase in tuple(self.phrases) if phrase in text), None)
        if known:
            self.found.append(f"{where}: a secret made or used in this run: {_around(text, text.index(known))}")

    def watch_file(self, path):
        """Search what a process of the portal writes to the log file `path`."""
        with self._lock:
            self._files.setdefault(Path(path), 0)

    def search_files(self):
        """Search what the log files have got since the last call."""
        with self._lock:
            for path, start in list(self._files.items()):
                try:
                    with path.open("rb") as file:
                        file.seek(start)
                        lines = file.read()
                except FileNotFoundError:
                    del self._files[path]
                    continue
                end = lines.rfind(b"\n") + 1
                self._files[path] = start + end
                for line in lines[:end].decode(errors="replace").splitlines():
                    self.search(line, f"log file {path}")

    def taken(self):
        """Return what was found, and forget it."""
        self.search_files()
        found, self.found = self.found, []
        return found


WATCH = Watch()


def _around(text, start):
    return repr(text[max(0, start - 60) : start + 100])


def _learn_from(owner, name, secrets_of):
    """Let `owner.name` work as before, and learn secrets_of(its result, *its arguments)."""
    original = getattr(owner, name)

    @functools.wraps(original)
    def learning(*arguments, **options):
        made = original(*arguments, **options)
        for secret in secrets_of(made, *arguments):
            WATCH.learn(secret)
        return made

    setattr(owner, name, learning)


def _search_lines_of(formatter):
    original = formatter.format

    @functools.wraps(original)
    def format_and_search(self, record):
        line = original(self, record)
        WATCH.search(line, f"logger {record.name}")
        return line

    formatter.format = format_and_search


def begin():
    """Learn the secrets of the settings, watch where others are made, and search every line from now on."""
    # Import inside the function: pytest loads the plugin before Django is set up.
    import secrets  # noqa: PLC0415

    from accounts.second_factors import recovery_codes  # noqa: PLC0415
    from config.outside import sealing  # noqa: PLC0415
    from config.watch import logs  # noqa: PLC0415
    from fileshare.requests import addresses as request_addresses  # noqa: PLC0415
    from fileshare.sharing import addresses as share_addresses  # noqa: PLC0415

    WATCH.know_doors(logs.DOORS)
    for secret in (settings.SECRET_KEY, *settings.LINK_KEYS, settings.MPESA_CALLBACK_SECRET):
        WATCH.learn(secret)
    _learn_from(secrets, "token_urlsafe", lambda made, *asked: [made])
    # Only the last part, the signature, is secret; the rest is what was signed.
    _learn_from(Signer, "sign", lambda made, *asked: [made.rpartition(":")[2]])
    _learn_from(sealing, "seal", lambda made, purpose, secret: [base64.b32encode(secret).decode(), secret.hex()])
    _learn_from(recovery_codes, "replace", lambda made, *asked: [*made, *(code.replace("-", "") for code in made)])
    for addresses in (share_addresses, request_addresses):
        _learn_from(addresses, "_token", lambda made, *asked: [made])
    _learn_from(SessionBase, "_get_new_session_key", lambda made, *asked: [made])
    for hasher in (Argon2PasswordHasher, MD5PasswordHasher):
        _learn_from(hasher, "encode", lambda made, hasher, password, *asked: [password])
    for formatter in (logs.LineFormatter, logs.JSONFormatter):
        _search_lines_of(formatter)


class Plugin:
    """The hooks that pytest calls."""

    @pytest.hookimpl(wrapper=True)
    def pytest_sessionstart(self, session):
        result = yield
        begin()
        return result

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item):
        # Learn nothing from a fuzzer: its made-up passwords and paths are also words of the portal.
        WATCH.learns = item.get_closest_marker("made_up_secrets") is None

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_teardown(self, item):
        WATCH.search_files()
        result = yield
        found = WATCH.taken()
        if found:
            pytest.fail(f"{item.name} has a secret in the log:\n" + "\n".join(found[:20]), pytrace=False)
        return result
