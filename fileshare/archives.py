"""Many files as one ZIP: its list is frozen, its length known before the first byte, and a cut download resumes."""

import zlib
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from audit.log import record_many
from audit.models import Action
from config.access import get_visible
from config.errors import Invalid, Refused

from . import filenames, files
from .models import Archive, File
from .storage import get_store
from .zip_format import Entry, Layout

FILENAME = "fileshare-download.zip"
SKIPPED_NAME = "SKIPPED.txt"
MAX_FILES = 1000
READ_AHEAD_FILES = 4
READ_AHEAD_BYTES = 2 * 1024 * 1024
"""Files up to this size are fetched ahead of their turn, so many at once, from a store that is far away."""


class SomeRefused(Refused):
    """404 or 403 for the whole archive, naming the files it was refused for."""

    def __init__(self, status, ids):
        code, text = {
            404: ("not_found", _("Some of these files are not there, or you may not see them.")),
            403: ("permission_denied", _("Some of these files you may not download.")),
        }[status]
        super().__init__(status, code, text, errors={"file_ids": [str(pk) for pk in ids]})


@dataclass
class Stream:
    """An archive to send: `size_bytes` in all, and its bytes by range."""

    archive: Archive
    layout: Layout

    @property
    def size_bytes(self):
        """Of the whole archive."""
        return self.layout.size_bytes

    def read(self, start, end):
        """Yield the bytes from `start` up to, not including, `end`, at most a block at a time."""
        pieces = self.layout.pieces(start, end)
        if not get_store().is_remote:
            for piece in pieces:
                yield from _bytes(piece)
            return
        # Each object costs a journey: those of the next small files are on their way meanwhile.
        with ThreadPoolExecutor(READ_AHEAD_FILES, thread_name_prefix="archive") as pool:
            waiting = deque()
            try:
                for piece in pieces:
                    small = isinstance(piece.source, File) and piece.end - piece.start <= READ_AHEAD_BYTES
                    waiting.append((piece, pool.submit(_fetch, piece) if small else None))
                    if len(waiting) > 3 * READ_AHEAD_FILES:  # header, bytes, CRC
                        yield from _bytes(*waiting.popleft())
                while waiting:
                    yield from _bytes(*waiting.popleft())
            finally:
                pool.shutdown(cancel_futures=True)


def _fetch(piece):
    return list(get_store().read_range(piece.source.object_key, piece.start, piece.end))


def _bytes(piece, fetched=None):
    """The bytes of a piece, those that were `fetched` (a Future of blocks) as they are."""
    if piece.source is None:
        yield piece.made()
    elif isinstance(piece.source, bytes):
        yield piece.source[piece.start : piece.end]
    else:
        yield from files.read(piece.source, piece.start, piece.end, blocks=fetched and fetched.result())


def make(*, user, file_ids, partial=False):
    """Freeze the archive of these files (1 to 1,000 ids, each counted once). Returns its Stream.

    All or nothing: raises SomeRefused (404 or 403) unless `partial`, which leaves the refused out and lists
    them in SKIPPED.txt. Each file is recorded as downloaded.
    """
    wanted = list(dict.fromkeys(file_ids))
    if not 1 <= len(wanted) <= MAX_FILES:
        raise Invalid("file_ids", _("Name 1 to %(most)d files.") % {"most": MAX_FILES})
    found = _downloadable(user, wanted)
    missing = [pk for pk in wanted if pk not in found]
    if missing and not partial:
        seen = set(File.objects.visible_to(user).filter(pk__in=missing).values_list("pk", flat=True))
        unseen = [pk for pk in missing if pk not in seen]
        raise SomeRefused(404, unseen) if unseen else SomeRefused(403, missing)
    rows = [found[pk] for pk in wanted if pk in found]
    skipped = "".join(f"{pk}\n" for pk in missing)
    archive = Archive(
        user=user,
        # Where a CRC is not known yet, it stands behind the bytes, however soon somebody works it out.
        entries=[[str(row.pk), path, row.crc32 is None] for row, path in zip(rows, _paths(rows), strict=True)],
        skipped=_("These files were left out: they are not there, or you may not download them.") + f"\n\n{skipped}"
        if skipped
        else "",
        expires_at=timezone.now() + timedelta(seconds=settings.RESUME_GRACE_SECONDS),
    )
    stream = _stream(archive, found)
    with transaction.atomic():
        archive.save(force_insert=True)
        _count(archive, rows)
    return stream


def of_folder(*, user, folder, subfolder=None):
    """The Stream of every file of a folder `user` may download, or of one of its subfolders.

    Raises Invalid (400) when there is none, or more than one archive takes.
    """
    rows = File.objects.downloadable_by(user).filter(folder=folder)
    if subfolder is not None:
        rows = rows.filter(subfolder=subfolder)
    ids = list(rows.order_by("-uploaded_at", "-pk").values_list("pk", flat=True)[: MAX_FILES + 1])
    if len(ids) > MAX_FILES:
        raise Invalid("file_ids", _("There are more than %(most)d files; choose some.") % {"most": MAX_FILES})
    return make(user=user, file_ids=ids)


def again(*, user, archive_id):
    """The Stream of an archive `user` made in the last ten minutes, to go on with.

    Raises Http404 for anybody else's, Refused (410) when its time is over, SomeRefused when a file of it
    is gone or out of reach by now.
    """
    archive = get_visible(archive_id, Archive.objects.filter(user=user))
    if archive.expires_at <= timezone.now():
        raise Refused(410, "archive_expired", _("This archive can no longer be resumed. Download it anew."))
    ids = [pk for pk, *_rest in archive.entries]
    found = {str(pk): row for pk, row in _downloadable(user, ids).items()}
    missing = [pk for pk in ids if pk not in found]
    if missing:
        raise SomeRefused(404, missing)
    return _stream(archive, found)


def forget_expired():
    """Delete archives whose time is over."""
    return Archive.objects.filter(expires_at__lt=timezone.now()).delete()[0]


def _downloadable(user, ids):
    rows = File.objects.downloadable_by(user).filter(pk__in=ids).select_related("folder", "subfolder")
    return {row.pk: row for row in rows}


def _stream(archive, found):
    by_id = {str(pk): row for pk, row in found.items()}
    entries = []
    for pk, path, *crc_behind in archive.entries:
        row = by_id[pk]
        entries.append(Entry(path, row.size_bytes, partial(files.crc32_of, row), row.uploaded_at, row, any(crc_behind)))
    if archive.skipped:
        text = archive.skipped.encode()
        entries.append(Entry(SKIPPED_NAME, len(text), partial(zlib.crc32, text), archive.created_at, text))
    return Stream(archive, Layout(entries))


def _paths(rows):
    """folder/subfolder/name for each row; a name taken in its place gets ` (2)`, whatever the case of its letters."""
    taken = {SKIPPED_NAME.casefold()}
    for row in rows:
        places = [filenames.clean(place.name) for place in (row.folder, row.subfolder) if place is not None]
        stem, dot, ending = row.filename.rpartition(".")
        if not stem:
            stem, dot, ending = row.filename, "", ""
        number, path = 1, "/".join([*places, row.filename])
        while path.casefold() in taken:
            number += 1
            path = "/".join([*places, f"{stem} ({number}){dot}{ending}"])
        taken.add(path.casefold())
        yield path


def _count(archive, rows):
    File.objects.filter(pk__in=[row.pk for row in rows]).count_download()
    record_many(
        Action.DOWNLOAD,
        user=archive.user,
        targets=[(row, row.folder, row.size_bytes) for row in rows],
        bulk=str(archive.pk),
    )
