"""Many files as one ZIP. Its list of files is fixed and its length known, so a broken download can be resumed."""

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
from django.utils.translation import gettext_lazy

from audit.log import record_many
from config.access import get_visible
from config.errors import Invalid, Refused
from fileshare import checksums
from fileshare.content import filenames
from fileshare.contributions.actions import Action
from fileshare.models import Archive, File
from fileshare.storage import ObjectMissing, get_store

from .zip_format import Entry, Layout

FILENAME = "fileshare-download.zip"
SKIPPED_NAME = "SKIPPED.txt"
MAX_FILES = 1000
READ_AHEAD_FILES = 4
READ_AHEAD_BYTES = 2 * 1024 * 1024
"""From a remote store, up to READ_AHEAD_FILES files at a time, each of at most READ_AHEAD_BYTES, are fetched early."""


class ArchiveExpired(Refused):
    """410: the archive has expired and cannot be resumed."""

    title = gettext_lazy("This download is over")

    def __init__(self):
        super().__init__(410, "archive_expired", _("This archive can no longer be resumed. Download it anew."))


class SomeRefused(Refused):
    """404 or 403 for the whole archive. `errors` names the files that caused it."""

    def __init__(self, status, ids):
        code, text = {
            404: ("not_found", _("Some of these files are not there, or you may not see them.")),
            403: ("permission_denied", _("Some of these files you may not download.")),
        }[status]
        super().__init__(status, code, text, errors={"file_ids": [str(pk) for pk in ids]})


@dataclass
class Stream:
    """An archive to send: its total `size_bytes`, and any range of its bytes."""

    archive: Archive
    layout: Layout
    filename = FILENAME

    @property
    def size_bytes(self):
        """The size of the whole archive."""
        return self.layout.size_bytes

    def read(self, start, end):
        """Yield the bytes from `start` up to, not including, `end`, at most a block at a time."""
        pieces = self.layout.pieces(start, end)
        if not get_store().is_remote:
            for piece in pieces:
                yield from _bytes(piece)
            return
        # Each object costs a request to the store. So fetch the next small files while earlier ones are sent.
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
    """The blocks of a piece; None when its object is not there, as after a move, which `_bytes` then looks into."""
    try:
        return list(get_store().read_range(piece.source.object_key, piece.start, piece.end))
    except ObjectMissing:
        return None


def _bytes(piece, fetched=None):
    """The bytes of a piece. `fetched` is a Future of what `_fetch` returned, if they are fetched early."""
    if piece.source is None:
        yield piece.made()
    elif isinstance(piece.source, bytes):
        yield piece.source[piece.start : piece.end]
    else:
        yield from checksums.bytes_of(piece.source, piece.start, piece.end, blocks=fetched and fetched.result())


def make(*, user, file_ids, partial=False):
    """Make the archive of these files (1 to 1,000 ids; a repeated id counts once). Returns its Stream.

    If `user` may not download one of the files, raises SomeRefused (404 or 403). With `partial` these files are left
    out and listed in SKIPPED.txt instead. The log records a download of each file.
    """
    wanted = list(dict.fromkeys(file_ids))
    if not 1 <= len(wanted) <= MAX_FILES:
        raise Invalid("file_ids", _("Name 1 to %(most)d files.") % {"most": MAX_FILES})
    found = _those(File.objects.downloadable_by(user), wanted)
    missing = [pk for pk in wanted if pk not in found]
    if missing and not partial:
        seen = set(File.objects.visible_to(user).filter(pk__in=missing).values_list("pk", flat=True))
        unseen = [pk for pk in missing if pk not in seen]
        raise SomeRefused(404, unseen) if unseen else SomeRefused(403, missing)
    rows = [found[pk] for pk in wanted if pk in found]
    skipped = "".join(f"{pk}\n" for pk in missing)
    archive = _planned(
        rows,
        _paths(rows, lambda row: (row.folder, row.subfolder)),
        user=user,
        skipped=_("These files were left out: they are not there, or you may not download them.") + f"\n\n{skipped}"
        if skipped
        else "",
    )
    stream = _stream(archive, found)
    with transaction.atomic():
        archive.save(force_insert=True)
        _count(archive, rows)
    return stream


def _planned(rows, paths, **facts):
    """An Archive of these rows, unsaved."""
    return Archive(
        # Fix now whether a file's CRC stands behind its bytes. A CRC that is computed later must not change the layout,
        # or a resumed download would get other bytes.
        entries=[[str(row.pk), path, row.crc32 is None] for row, path in zip(rows, paths, strict=True)],
        expires_at=timezone.now() + timedelta(seconds=settings.RESUME_GRACE_SECONDS),
        **facts,
    )


def of_use(*, use, files, by_subfolder):
    """Save the Archive of these Files (with subfolder) for one use of a share link, in the caller's transaction.

    Its paths name no folder, which outsiders need not know; `by_subfolder` puts each file into its subfolder. The
    caller counts the downloads.
    """
    paths = _paths(files, lambda row: (row.subfolder,) if by_subfolder else ())
    archive = _planned(files, paths, use=use)
    archive.save(force_insert=True)
    return archive


def of_folder(*, user, folder, subfolder=None):
    """The Stream of all files in a folder, or in one of its subfolders, that `user` may download.

    Raises Invalid (400) when there are no such files, or more than MAX_FILES.
    """
    rows = File.objects.downloadable_by(user).filter(folder=folder)
    if subfolder is not None:
        rows = rows.filter(subfolder=subfolder)
    ids = list(rows.order_by("-uploaded_at", "-pk").values_list("pk", flat=True)[: MAX_FILES + 1])
    if len(ids) > MAX_FILES:
        raise Invalid("file_ids", _("There are more than %(most)d files; choose some.") % {"most": MAX_FILES})
    return make(user=user, file_ids=ids)


def again(*, user, archive_id):
    """The Stream of an archive that `user` made no longer than RESUME_GRACE_SECONDS ago, to resume its download.

    Raises Http404 for another user's archive, ArchiveExpired (410) when it has expired, SomeRefused (404) when `user`
    may no longer download one of its files.
    """
    archive = get_visible(archive_id, Archive.objects.filter(user=user))
    return _resumed(archive, File.objects.downloadable_by(user))


def of_use_again(*, share, archive_id):
    """The Stream of the Archive of a use of this ShareLink. Does not count it again.

    Raises Http404 for another link's archive and when the link is revoked, ArchiveExpired (410), and SomeRefused (404)
    when the link no longer carries one of the files.
    """
    archives = Archive.objects.filter(use__share=share, use__share__revoked_at=None)
    return _resumed(get_visible(archive_id, archives), share.carried())


def _resumed(archive, allowed):
    if archive.expires_at <= timezone.now():
        raise ArchiveExpired
    ids = [pk for pk, *_rest in archive.entries]
    found = {str(pk): row for pk, row in _those(allowed, ids).items()}
    missing = [pk for pk in ids if pk not in found]
    if missing:
        raise SomeRefused(404, missing)
    return _stream(archive, found)


def forget_expired():
    """Delete expired archives. Returns how many."""
    return Archive.objects.filter(expires_at__lt=timezone.now()).delete()[0]


def _those(allowed, ids):
    rows = allowed.filter(pk__in=ids).select_related("folder", "subfolder")
    return {row.pk: row for row in rows}


def _stream(archive, found):
    by_id = {str(pk): row for pk, row in found.items()}
    entries = []
    for pk, path, *crc_behind in archive.entries:
        row = by_id[pk]
        entries.append(
            Entry(path, row.size_bytes, partial(checksums.crc32_of, row), row.uploaded_at, row, any(crc_behind))
        )
    if archive.skipped:
        text = archive.skipped.encode()
        entries.append(Entry(SKIPPED_NAME, len(text), partial(zlib.crc32, text), archive.created_at, text))
    return Stream(archive, Layout(entries))


def _paths(rows, places_of):
    """Yield the path of each row: the names of its places, `places_of(row)`, those that are None left out, and its own.

    A path that is taken, ignoring case, gets ` (2)` in its name.
    """
    taken = {SKIPPED_NAME.casefold()}
    for row in rows:
        places = [filenames.in_archive(place.name) for place in places_of(row) if place is not None]
        name = filenames.in_archive(row.filename)
        stem, dot, ending = name.rpartition(".")
        if not stem:
            stem, dot, ending = name, "", ""
        number, path = 1, "/".join([*places, name])
        while path.casefold() in taken:
            number += 1
            path = "/".join([*places, f"{stem} ({number}){dot}{ending}"])
        taken.add(path.casefold())
        yield path


def _count(archive, rows):
    File.objects.filter(pk__in=[row.pk for row in rows]).count_downloads()
    record_many(
        Action.DOWNLOAD,
        user=archive.user,
        targets=[(row, row.folder, row.size_bytes) for row in rows],
        bulk=str(archive.pk),
    )
