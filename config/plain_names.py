"""Names that people give to files, folders, subfolders, companies and roles: one cleaner for all of them.

`clean` first cuts very long text, so that a name of a megabyte costs no more than one of a few kilobytes.
"""

import re
import unicodedata

from django.utils.translation import gettext as _

from .errors import Invalid

FALLBACK = "file"
MAX_NAME_BYTES = 255  # what ext4, APFS and most ZIP tools take
MAX_EXTENSION_BYTES = 64  # longer text after the last dot is not an extension

# Normalizing sorts combining marks in quadratic time. So of a very long name only the start and the end are used.
_END_LENGTH = 2048

# Characters that one cannot see: controls (C0, DEL, C1), line separators, surrogates, non-characters, bidi marks,
# overrides and isolates, zero-width and filler characters, tag characters. With them one name can look like another.
_INVISIBLE = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u200e\u200f\u2028-\u202e"
    "\u2060-\u206f\u3164\ud800-\udfff\ufeff\uffa0\ufff9-\ufffb\ufffe\uffff\U0001bca0-\U0001bca3\U000e0000-\U000e007f]+"
)
JOINERS = "\u200c\u200d"
# Emoji and the Persian and Indic scripts need joiners. Next to ASCII or to each other they serve only to deceive.
_STRAY_JOINER = re.compile(f"(?<![^\x00-\x7f{JOINERS}])[{JOINERS}]|[{JOINERS}](?![^\x00-\x7f{JOINERS}])")
_SPACES = "".join(char for char in map(chr, range(0x3001)) if char.isspace())
_SLASHES = re.compile(r"[/\\]+")
_ABBREVIATION = re.compile(r"\w\.\Z")
RESERVED = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³])\s*(\.|$)", re.IGNORECASE)


def clean(name):
    """Return `name` as a plain file name: no path, nothing invisible, NFC, 1 to 255 UTF-8 bytes.

    Of a path, with / or \\, only the last part is kept. Spaces around the name and dots behind it are removed
    (Windows drops them, and the extension with them). A name that Windows reserves for a device gets a leading `_`.
    A name that is too long loses the end of its stem and keeps its extension. An empty name becomes `file`.
    Zero-width joiners stay only between two non-ASCII characters (emoji, Persian, Indic).

    `clean(clean(x)) == clean(x)`.
    """
    return _plain(name) or FALLBACK


def clean_title(name, *, most=200, field="name"):
    """Return the name of a folder, subfolder, company or role, as `clean` would, with at most `most` characters.

    It is no path, so a slash becomes `-`: "Tax 2025/26" is "Tax 2025-26". One full stop at the end stays, for names
    such as "Baobab Ltd.". Raises Invalid (400) when nothing is left.
    """
    # The caller has checked the length, but the normalization makes two letters of some.
    title = _strip(_plain(_SLASHES.sub("-", name.strip("/\\ ")))[:most])
    if not title:
        raise Invalid(field, _("A name needs at least one visible character."))
    has_room = len(title) < most and len(title.encode()) < MAX_NAME_BYTES
    return title + "." if _ABBREVIATION.search(name) and has_room else title


def _plain(name):
    """`clean` without the fallback: "" when nothing is left."""
    name = name.rstrip("/\\")
    name = name[max(name.rfind("/"), name.rfind("\\")) + 1 :]
    if len(name) > 2 * _END_LENGTH:
        name = name[:_END_LENGTH] + name[-_END_LENGTH:]
    name = unicodedata.normalize("NFC", _INVISIBLE.sub("", name))
    name = unicodedata.normalize("NFC", _STRAY_JOINER.sub("", name))
    name = _cut(_strip(name))
    if RESERVED.match(name):
        name = _cut("_" + name)
    return name


def _strip(name):
    """Remove spaces and joiners at the start, and spaces, joiners and dots at the end."""
    return name.lstrip(_SPACES + JOINERS).rstrip(_SPACES + JOINERS + ".")


def split(name):
    """Return (stem, extension without its dot). The extension is '' when the name has none or its end is too long."""
    stem, dot, suffix = name.rpartition(".")
    if not dot or not suffix or len(suffix.encode()) > MAX_EXTENSION_BYTES:
        return name, ""
    return stem, suffix


def _cut(name):
    """Cut a stripped name to MAX_NAME_BYTES, from the end of its stem."""
    if len(name.encode()) <= MAX_NAME_BYTES:
        return name
    stem, suffix = split(name)
    suffix = f".{suffix}" if suffix else ""
    stem = stem.encode()[: MAX_NAME_BYTES - len(suffix.encode())].decode(errors="ignore").rstrip(JOINERS)
    return _strip(stem + suffix)
