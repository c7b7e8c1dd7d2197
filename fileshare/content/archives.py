"""Check ZIPs that are no Office documents: archives, OpenDocument, EPUB and others.

Only what harms those who unpack them is refused. Damage and unusual parts are not: the portal keeps an archive as it
is, and ZIP readers forgive more than Office does.
"""

import re
import unicodedata
import zlib

from .archive_directory import entries_of
from .ranged_reader import Window
from .refusals import FileTypeRefused
from .scripts import holds_script
from .unpacking import READ_THROUGH_BYTES, ArchiveScan, Budget, inflated
from .zip_package import DEFLATED, MAX_UNPACKED_BYTES, STORED, data_offset

MAX_SMALL_ENTRIES = 10_000  # links, and entries `mimetype`; each may need a read of its own
_MAX_SMALL_BYTES = 4096
_SEPARATOR = re.compile(r"[/\\]")
_ABSOLUTE = re.compile(r"[/\\]|[A-Za-z]:")


def inspect(source, content_type=None):
    """Check the ZIP in `source`, a seekable binary file. Reads its directory and its first READ_THROUGH_BYTES.

    With `content_type` it must be a package of that type or of a type that begins so, such as that of a template: it
    has an entry `mimetype` that says it. OpenDocument wants that entry first, but writers put it anywhere, and readers
    find it there. Refuses another ZIP with `content_mismatch`.

    Refuses with `zip_bomb` what unpacks to far more than its size, over all levels, and more than MAX_SMALL_ENTRIES
    links; with `leads_outside` a name or link that leads out of the folder that it is unpacked to; with
    `executable_content` a script in a comment; with `malformed_package` a directory that readers could see differently.
    """
    links, types = [], []
    for entry, shift in entries_of(source):
        if holds_script(entry.comment):
            raise FileTypeRefused("executable_content")
        if _ABSOLUTE.match(entry.name) or ".." in _SEPARATOR.split(entry.name):
            raise FileTypeRefused("leads_outside")
        if entry.is_link:
            links.append((entry, shift))
        elif content_type and entry.name == "mimetype":
            types.append((entry, shift))
        if len(links) + len(types) > MAX_SMALL_ENTRIES:
            raise FileTypeRefused("zip_bomb")
    _check_links(source, links)
    if content_type:
        found = _small_contents(source, types)
        if not found or not all(some and all(text.startswith(content_type) for text in some) for some in found):
            raise FileTypeRefused("content_mismatch")
    _check_unpacked(source)


def _check_unpacked(source):
    """Unpack the first READ_THROUGH_BYTES, over all levels. Refuses with `zip_bomb` more than their budget."""
    window = Window(source)
    end = min(window.size, READ_THROUGH_BYTES)
    # The budget is that of the bytes read here. By the whole size, a large file could unpack to any amount of work.
    scan = ArchiveScan(Budget(end, most=MAX_UNPACKED_BYTES))
    for start in range(0, end, Window.BLOCK):
        scan.feed(window.read(start, min(Window.BLOCK, end - start)))
    scan.finish()


def _small_contents(source, entries):
    """For each (Entry, shift) the set of texts that readers could see in it, such as where a link points to.

    The texts are those at its offset with and without the shift; the set is empty when none can be read. Reads go once
    through the file, and keep one block.
    """
    places = {(entry.offset + by, number) for number, (entry, shift) in enumerate(entries) for by in (0, shift)}
    window, contents = Window(source), [set() for _entry in entries]
    for offset, number in sorted(places):
        text = _small_content(window, entries[number][0]._replace(offset=offset))
        if text is not None:
            contents[number].add(text)
    return contents


def _small_content(window, entry):
    """The content of an entry that is a short text; None when it cannot be read."""
    if entry.method not in (STORED, DEFLATED) or entry.is_encrypted or entry.packed > _MAX_SMALL_BYTES:
        return None
    try:
        raw = window.read(data_offset(window, entry), entry.packed)
        if entry.method == DEFLATED:
            raw = next(inflated(zlib.decompressobj(-zlib.MAX_WBITS), raw), b"")
        return raw.decode()
    except (FileTypeRefused, zlib.error, ValueError):
        return None


def _check_links(source, links):
    """Refuse with `leads_outside` links that lead out, and those of which it cannot be told."""
    names = {_plain(_steps(entry.name)) for entry, _shift in links}
    for (entry, _shift), targets in zip(links, _small_contents(source, links), strict=True):
        if not targets or any(_leads_outside(_steps(entry.name)[:-1], target, names) for target in targets):
            raise FileTypeRefused("leads_outside")


def _leads_outside(folder, target, links):
    """True for a target that is absolute, climbs higher than the folder of the whole, or climbs behind another link.

    `folder` holds the steps to the folder in which the link stands, `links` the plain names of all links. Behind
    another link, `..` is the folder above the place where that one leads to.
    """
    if _ABSOLUTE.match(target):
        return True
    is_behind_link = any(_plain(folder[:end]) in links for end in range(1, len(folder) + 1))
    path = list(folder)
    for step in _steps(target):
        if step != "..":
            path.append(step)
            is_behind_link = is_behind_link or _plain(path) in links
        elif is_behind_link or not path:
            return True
        else:
            path.pop()
    return False


def _steps(name):
    return [step for step in _SEPARATOR.split(name) if step not in ("", ".")]


def _plain(steps):
    """The path in one form for all that file systems take for the same."""
    return unicodedata.normalize("NFKC", "/".join(steps)).casefold()
