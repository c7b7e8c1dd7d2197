"""Names of files: what a person sees, what a key may hold, what a header may say.

Every name that comes from outside goes through `clean` once, at the door; all
other functions here take cleaned names. Text is cut before it is worked on, so
a name of a megabyte costs no more than one of a few kilobytes.
"""

import re
import unicodedata
from urllib.parse import quote

FALLBACK = "file"
MAX_NAME_BYTES = 255  # what ext4, APFS and most ZIP tools take
MAX_KEY_LENGTH = 100
MAX_EXTENSION_BYTES = 64  # a longer "extension" is only text after a dot

# Composing marks sort in quadratic time: of a very long name only both ends are looked at.
_END_LENGTH = 2048

# Never shown, never wanted: controls (C0, DEL, C1), line separators, surrogates, non-characters, bidi marks,
# overrides and isolates, zero-width and filler characters, tag characters. With them a name can look like another.
_INVISIBLE = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u200e\u200f\u2028-\u202e"
    "\u2060-\u206f\u3164\ud800-\udfff\ufeff\uffa0\ufff9-\ufffb\ufffe\uffff\U0001bca0-\U0001bca3\U000e0000-\U000e007f]+"
)
_JOINERS = "\u200c\u200d"
# Emoji families, Persian and Indic spelling need the joiners; next to ASCII or to each other they only deceive.
_STRAY_JOINER = re.compile(f"(?<![^\x00-\x7f{_JOINERS}])[{_JOINERS}]|[{_JOINERS}](?![^\x00-\x7f{_JOINERS}])")
_SPACES = "".join(char for char in map(chr, range(0x3001)) if char.isspace())
_RESERVED = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³])\s*(\.|$)", re.IGNORECASE)


def clean(name):
    """Return `name` as a plain file name: no path, nothing invisible, NFC, 1 to 255 UTF-8 bytes.

    The last part of a path counts, for / and for \\. Spaces around the name and
    dots behind it go (Windows drops them, and the extension with them); a name
    Windows keeps for a device gets a leading `_`. A name too long loses the end
    of its stem and keeps its extension; nothing left becomes `file`. Zero-width
    joiners stay only between two non-ASCII characters (emoji, Persian, Indic).

    `clean(clean(x)) == clean(x)`.
    """
    name = name.rstrip("/\\")
    name = name[max(name.rfind("/"), name.rfind("\\")) + 1 :]
    if len(name) > 2 * _END_LENGTH:
        name = name[:_END_LENGTH] + name[-_END_LENGTH:]
    name = unicodedata.normalize("NFC", _INVISIBLE.sub("", name))
    name = unicodedata.normalize("NFC", _STRAY_JOINER.sub("", name))
    name = _cut(_strip(name))
    if _RESERVED.match(name):
        name = _cut("_" + name)
    return name or FALLBACK


def extension(name):
    """Return what follows the last dot, in lower case: `a.TAR.Gz` → `gz`; '' when there is no dot.

    A name that is nothing but an extension has it too (`.exe` → `exe`), as
    Windows sees it. The name is taken as it is: clean it first.
    """
    return name.rpartition(".")[2].lower() if "." in name else ""


def ascii_key_name(name):
    """Return `name` in `[A-Za-z0-9._-]`, 1 to 100 characters, for use in an object key.

    Accents are dropped, other characters become `-`; the extension stays when
    it can be written so. Never starts with `.` or `-`, never holds `..`. Many
    names share one key name: the key is made unique by its other parts.
    """
    stem, suffix = _split(clean(name))
    suffix = re.sub(r"[^A-Za-z0-9_-]+", "", _ascii(suffix)).strip("-")
    suffix = f".{suffix}" if suffix else ""
    stem = re.sub(r"\.{2,}", ".", re.sub(r"[^A-Za-z0-9._-]+", "-", _ascii(stem)))
    stem = stem.strip(".-")[: MAX_KEY_LENGTH - 1 - len(suffix)].rstrip(".-") or FALLBACK
    return ("_" if _RESERVED.match(stem) else "") + stem + suffix


def content_disposition(name, disposition="attachment"):
    """Return the value of a Content-Disposition header for `name` (RFC 6266, RFC 8187).

    Both forms are given: `filename` in plain ASCII for old clients, `filename*`
    with the true name. The name is cleaned here again, so no line break or
    quote from it reaches the header. `disposition` is `attachment` or `inline`.
    """
    if disposition not in ("attachment", "inline"):
        raise ValueError(f"unknown disposition: {disposition!r}")
    name = clean(name)
    # Some clients undo %XX in the plain form too, others stop at an escaped quote: neither is let in.
    plain = re.sub(r'["\\%]', "_", _ascii(name, missing="_")) or FALLBACK
    exact = quote(name, safe="!#$&+-.^_`|~")
    return f"{disposition}; filename=\"{plain}\"; filename*=UTF-8''{exact}"


def _strip(name):
    """Drop spaces before, spaces and dots behind; joiners that would then stand at an end go too."""
    return name.lstrip(_SPACES + _JOINERS).rstrip(_SPACES + _JOINERS + ".")


def _split(name):
    """Return (stem, extension without its dot); the extension is '' when it is none or too long for one."""
    stem, dot, suffix = name.rpartition(".")
    if not dot or not suffix or len(suffix.encode()) > MAX_EXTENSION_BYTES:
        return name, ""
    return stem, suffix


def _cut(name):
    """Cut a stripped name to MAX_NAME_BYTES, from the end of its stem."""
    if len(name.encode()) <= MAX_NAME_BYTES:
        return name
    stem, suffix = _split(name)
    suffix = f".{suffix}" if suffix else ""
    stem = stem.encode()[: MAX_NAME_BYTES - len(suffix.encode())].decode(errors="ignore").rstrip(_JOINERS)
    return _strip(stem + suffix)


def _ascii(text, missing=""):
    """Return `text` in printable ASCII: accents dropped, each character without an ASCII form given as `missing`."""
    result = []
    for char in text:
        if " " <= char <= "~":
            result.append(char)
        elif not unicodedata.combining(char) and char not in _JOINERS:
            plain = [part for part in unicodedata.normalize("NFKD", char) if " " <= part <= "~"]
            result.append("".join(plain) or missing)
    return "".join(result)
