"""Check that secrets are hard to guess, for every secret of the settings, before others can reach the portal."""

import functools
import re

from django.contrib.auth.password_validation import CommonPasswordValidator

# A secret made of these words only, with any signs between them, is a placeholder that the operator did not replace.
_WORDS = frozenset(
    """access admin administrator api aws bar baz change changeme consumer db default demo dev development django
    dummy ed example fixme foo guest here insecure insert is it key keys letmein live mail me minio minioadmin mpesa my
    none null pass passkey passwd password passwort placeholder please portal postgres postgresql prod production
    qwerty redis replace root s3 sample secret secrets set simulator smtp some string supersecret test testing the
    this to todo token user value very welcome with x xx xxx xxxx your""".split()  # noqa: SIM905 - to be read
)
_PARTS = ("changeme", "change-me", "change_me", "insecure", "placeholder", "example", "replace-me", "your-", "12345678")
# Published: the passkey of Daraja's sandbox.
PUBLISHED = frozenset({"bfb279f9aa9bdbcf158e97dd71a467cd2e0c893059b10f78e6b72ada1ed2c919"})

# Rows of the alphabet, the digits and the keyboard, in both directions. Doubled, so that a run may pass the end.
_ROWS = ("abcdefghijklmnopqrstuvwxyz", "0123456789", "1234567890", "qwertyuiop", "asdfghjkl", "zxcvbnm")
_RUNS = tuple(row * 2 for row in _ROWS) + tuple(row[::-1] * 2 for row in _ROWS)
_LEAST_RUN = 4
# Least length of a text without its repetitions, and of what is left when each run counts as one character.
_LEAST_UNIT, _LEAST_REST = 8, 6
# Digits and signs that replace letters; 1 stands for l or for i, hence two tables.
_SIGNS = [str.maketrans("0134579@$!", letters) for letters in ("oleastgasi", "oieastgasi")]
# A few common passwords joined together are still weak: at most so many, with at most so many other characters, and
# each of at least so many letters.
_MOST_COMMON, _MOST_OTHERS, _LEAST_LETTERS = 3, 6, 4


def weakness_of(secret, *, least=8, least_different=5):
    """Why `secret` is weak, as words to follow the name of its setting; "" for a good one. Never shows its value.

    `least` is the required length, `least_different` the required number of different characters.
    """
    if not secret:
        return "is missing"
    if len(secret) < least:
        return f"is weak: it has fewer than {least} characters"
    if len(set(secret)) < least_different:
        return "is weak: it repeats a few characters"
    if secret.isdigit() and len(secret) < 20:
        return "is weak: it is a short number"
    text = _period(secret.lower())
    readings = {text, *(_bare(text).translate(signs) for signs in _SIGNS), *(text.translate(signs) for signs in _SIGNS)}
    if any(part in reading for part in _PARTS for reading in readings) or any(map(_is_placeholder, readings)):
        return "is weak: it looks like the value of an example"
    if any(map(_is_common, {*readings, _bare(text)})):
        return "is weak: it is a common password, or a few of them"
    if len(text) < _LEAST_UNIT or len(_without_runs(text)) < _LEAST_REST:
        return "is weak: it repeats or counts up what is short"
    return ""


def _bare(text):
    """`text` without the digits and signs around its letters."""
    return re.sub(r"^[^a-z]+|[^a-z]+$", "", text)


def _period(text):
    """The shortest text whose repetition makes up `text`; all of it when it does not repeat."""
    return text[: (text + text).find(text, 1)] if len(text) > 1 else text


def _without_runs(text):
    """`text` with each run along a row, or of one character, shortened to its first character."""
    kept, at = "", 0
    while at < len(text):
        same = re.compile(r"(.)\1*", re.DOTALL).match(text, at)[0]
        length = max([len(same), *(_run(text, at, row) for row in _RUNS)])
        kept += text[at]
        at += length if length >= _LEAST_RUN else 1
    return kept


def _run(text, at, row):
    """How many characters from index `at` follow `row`."""
    length = 0
    while at + length < len(text) and text[at : at + length + 1] in row:
        length += 1
    return length


def _is_placeholder(text):
    words = re.findall(r"[a-z]+", text)
    return bool(words) and all(_count_of_words(word, _WORDS) for word in words)


def _is_common(text):
    if text in _common():
        return True
    words = re.findall(r"[a-z]+", text)
    if not words or len(text) - sum(map(len, words)) > _MOST_OTHERS:
        return False
    counts = [_count_of_words(word, _common_words()) for word in words]
    return all(counts) and sum(counts) <= _MOST_COMMON


def _count_of_words(letters, words):
    """The fewest of `words`, a frozenset, that make up `letters`; 0 when they cannot."""
    fewest = [0] + [None] * len(letters)
    longest = _longest(words)
    for end in range(1, len(letters) + 1):
        found = [
            fewest[start] + 1
            for start in range(max(0, end - longest), end)
            if fewest[start] is not None and letters[start:end] in words
        ]
        fewest[end] = min(found, default=None)
    return fewest[-1] or 0


@functools.cache
def _longest(words):
    return max(map(len, words))


@functools.cache
def _common():
    """Django's 20,000 common passwords, in small letters."""
    return CommonPasswordValidator().passwords


@functools.cache
def _common_words():
    return frozenset(word for word in _common() if len(word) >= _LEAST_LETTERS and word.isalpha()) | _WORDS
