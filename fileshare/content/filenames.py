"""File names: the name that users see, its form in an object key, and its form in a header.

Each name that a client sends is cleaned once, by `clean`; the other functions here take cleaned names.
"""

import re
import unicodedata
from urllib.parse import quote

from config.plain_names import FALLBACK, JOINERS, MAX_NAME_BYTES, RESERVED, clean, split

MAX_KEY_LENGTH = 100
_NOT_ON_WINDOWS = re.compile(r'[<>:"/\\|?*]')


def in_archive(name):
    """Return `name` as it stands in a ZIP: `_` for each character that Windows takes in no name.

    Explorer shows an archive with such a name as empty, or leaves the file out.
    """
    return clean(_NOT_ON_WINDOWS.sub("_", name))


def extension(name):
    """Return what follows the last dot, in lower case: `a.TAR.Gz` → `gz`; '' when there is no dot.

    A name that begins with its only dot has an extension too, as on Windows: `.exe` → `exe`. Clean the name first.
    """
    return name.rpartition(".")[2].lower() if "." in name else ""


def with_extension(name, new, *, number=1):
    """A cleaned `name` with the extension `new` instead of its own: `a.jpg`, `heic` → `a.heic`.

    With a `number` above 1 it is told from others of that name: `a (2).heic`. A stem that is too long for it is cut.
    """
    stem = name[: len(name) - len(extension(name)) - 1] if "." in name else name
    if number == 1:
        return clean(f"{stem}.{new}")
    mark = f" ({number}).{new}"
    return clean(stem.encode()[: MAX_NAME_BYTES - len(mark)].decode(errors="ignore").rstrip() + mark)


def ascii_key_name(name):
    """Return `name` in `[A-Za-z0-9._-]`, 1 to 100 characters, for use in an object key.

    Accents are dropped, other characters become `-`. The extension stays if ASCII can express it. The result never
    starts with `.` or `-` and never contains `..`. Different names may give the same result: other parts of the key
    must make the key unique.
    """
    stem, suffix = split(clean(name))
    suffix = re.sub(r"[^A-Za-z0-9_-]+", "", _ascii(suffix)).strip("-")
    suffix = f".{suffix}" if suffix else ""
    stem = re.sub(r"\.{2,}", ".", re.sub(r"[^A-Za-z0-9._-]+", "-", _ascii(stem)))
    stem = stem.strip(".-")[: MAX_KEY_LENGTH - 1 - len(suffix)].rstrip(".-") or FALLBACK
    return ("_" if RESERVED.match(stem) else "") + stem + suffix


def ascii_name(name):
    """Return a cleaned name in printable ASCII, as old clients save it. What ASCII cannot express becomes `_`.

    The result is cleaned again: a full-width slash or dot becomes a plain one in ASCII, and so a name a path.
    """
    return clean(_ascii(name, missing="_"))


def content_disposition(name, disposition="attachment"):
    """Return the value of a Content-Disposition header for `name` (RFC 6266, RFC 8187).

    The value holds two forms: `filename` in plain ASCII for old clients, `filename*` with the exact name. The name is
    cleaned here again, so that no line break or quote from it reaches the header. `disposition` is `attachment` or
    `inline`.
    """
    if disposition not in ("attachment", "inline"):
        raise ValueError(f"unknown disposition: {disposition!r}")
    name = clean(name)
    # Replace % and quotes: some clients decode %XX in the plain form too, and others stop at an escaped quote.
    plain = re.sub(r'["\\%]', "_", ascii_name(name)) or FALLBACK
    exact = quote(name, safe="!#$&+-.^_`|~")
    return f"{disposition}; filename=\"{plain}\"; filename*=UTF-8''{exact}"


def _ascii(text, missing=""):
    """Return `text` in printable ASCII: accents are dropped, characters without an ASCII form become `missing`."""
    result = []
    for char in text:
        if " " <= char <= "~":
            result.append(char)
        elif not unicodedata.combining(char) and char not in JOINERS:
            plain = [part for part in unicodedata.normalize("NFKD", char) if " " <= part <= "~"]
            result.append("".join(plain) or missing)
    return "".join(result)
