"""Move files to another folder or subfolder.

A moved file keeps its id, its history, tags, share links and download count. The rows change at once, in one
transaction; `carrying` brings the bytes after them.
"""

import uuid
from collections import Counter, defaultdict
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Expression
from django.http import Http404
from django.utils import timezone
from django.utils.translation import gettext as _

from audit.log import append, event_of
from config.errors import Conflict
from config.outside.queue import send_after_commit
from fileshare import folders, holds
from fileshare.content import file_types
from fileshare.content.inspection import EmptyFile
from fileshare.content.refusals import FileTypeRefused
from fileshare.contributions.actions import Action
from fileshare.incoming import uploads
from fileshare.models import File, TypePolicy, Visibility
from fileshare.space import quotas

from . import choosing

MARK_LENGTH = 12


@dataclass(frozen=True)
class Moved:
    """What a move did. `files` are now in their new place, `refused` the Refusals of the others.

    `before` has a Before for each file that changed its place; `mark` stands in the keys of these files until they are
    moved again.
    """

    files: list
    refused: list
    before: list
    mark: str


@dataclass(frozen=True)
class Before:
    """Where a file was, and what else its move changed. `retention_days` are those of its folder at that time."""

    file_id: uuid.UUID
    folder_id: uuid.UUID
    subfolder_id: uuid.UUID | None
    retention_days: int | None
    expires_at: datetime | None
    visibility: str


class _Own(Expression):
    """In an UPDATE, the value of each row's own, of {id: value}.

    It is what bulk_update writes, but with one Expression in place of one for each row, which took most of its time.
    """

    def __init__(self, values, field):
        super().__init__(output_field=field)
        self.values = values

    def as_sql(self, compiler, connection):
        key, field = File._meta.pk, self.output_field
        column = connection.ops.quote_name(key.column)
        parameters = []
        for pk, value in self.values.items():
            parameters += key.get_db_prep_value(pk, connection), field.get_db_prep_value(value, connection)
        return f"CASE {column} {'WHEN %s THEN %s ' * len(self.values)}END", parameters


@dataclass
class _Step:
    """A file, and its new facts."""

    file: File
    place: uploads.Place
    expires_at: datetime | None
    visibility: str


@transaction.atomic
def move(*, user, file_ids, folder_id, subfolder_id=None, partial=False):
    """Move 1 to 1,000 files. Returns Moved.

    `user` must be allowed to delete the files and to upload to the target. The target's kinds of files and its quota
    count. A file that comes into another folder is kept for as long as that folder keeps a new file, and becomes
    private. A file that is there already stays as it is. The log has a row for each file that moved, and when it comes
    into another folder also one for the folder that it left.

    Raises Http404 or PermissionDenied for the target, Invalid (400), and SomeRefused: 404, 403, 409 for a file under a
    legal hold, 415, 413.
    """
    wanted = choosing.ids_of(file_ids)
    holds.guard()
    place = uploads.place_for(user=user, folder_id=folder_id, subfolder_id=subfolder_id)
    locked = _lock_folders(wanted, [place.folder.pk])
    place = uploads.place_for(user=user, folder_id=place.folder.pk, subfolder_id=subfolder_id)
    choice = _movable(user, wanted, locked)
    now = timezone.now()
    steps = [_into(place, file, now) for file in choice.rows]
    room = {place.folder.pk: room_of(locked[place.folder.pk])}
    steps = _fitting(choice, [step for step in steps if not _is_there(step)], room)
    choice.settle(partial=partial)
    before, mark = _carry_out(user, steps)
    return Moved(choice.rows, choice.refused, before, mark)


@transaction.atomic
def move_back(*, user, before, mark):
    """Undo a move. Returns (how many files are back, the Refusals of the others).

    A file that was moved again since then, or deleted, stays as it is and counts nowhere. The rest is asked as for any
    move, for the folder that the file comes from. A file that comes back to another folder is as visible as it was
    there, and expires when it did, but not within LEAST_WARNING, and if that folder now keeps files for another time,
    as a file that comes into it now. Otherwise both stay as they are.
    """
    holds.guard()
    old = {one.file_id: one for one in before}
    locked = _lock_folders(list(old), {one.folder_id for one in before})
    choice = _movable(user, list(old), locked)
    choice.refused = [refusal for refusal in choice.refused if refusal.status != 404]
    places, steps, now = _places(user, before), [], timezone.now()
    for file in choice.rows:
        one = old[file.pk]
        place = places[one.folder_id, one.subfolder_id]
        if not is_marked(file, mark):
            del choice.found[file.pk]
        elif isinstance(place, Exception):
            choice.refuse(file, Conflict(_("You may not put it back where it was."), code="no_way_back"))
        else:
            steps.append(_back_to(place, file, one, now))
    room = {pk: room_of(folder) for pk, folder in locked.items()}
    steps = _fitting(choice, steps, room)
    _carry_out(user, steps)
    return len(steps), choice.refused


def is_marked(file, mark):
    """True while the file is where the move with this mark brought it."""
    return f"/{mark}-" in (file.next_key or file.object_key)


def room_of(folder):
    """The bytes that still fit into a folder, which is locked and comes with_quota."""
    return folder.room_bytes - folder.used_bytes - folder.reserved_bytes


def check_type(folder, file):
    """Raise FileTypeRefused (415) or EmptyFile (400) for a file that the folder does not take.

    The content was inspected when the file came, in the same way for all folders.
    """
    file_types.check_extension(folder.type_policy, file.filename)
    if file.size_bytes == 0 and folder.type_policy == TypePolicy.OFFICE:
        raise EmptyFile


def expiry_in(folder, now):
    """When a file that comes into the folder now expires; None for never."""
    return None if folder.retention_days is None else now + timedelta(days=folder.retention_days)


def _lock_folders(wanted, others):
    """{id: Folder} of the folders that the files are in, and of the others; all locked."""
    sources = File.objects.filter(pk__in=wanted).order_by().values_list("folder_id", flat=True).distinct()
    return folders.locked_folders({*sources, *others})


def _movable(user, wanted, locked):
    choice = choosing.changeable(user=user, wanted=wanted)
    for file in choice.rows:
        if file.folder_id not in locked:
            choice.refuse(file, Conflict(_("Somebody else moved this file meanwhile."), code="moved_meanwhile"))
    choice.refuse_held()
    return choice


def _into(place, file, now):
    if file.folder_id == place.folder.pk:
        return _Step(file, place, file.expires_at, file.visibility)
    return _Step(file, place, expiry_in(place.folder, now), Visibility.PRIVATE)


def _back_to(place, file, one, now):
    """The _Step that undoes a move; `one` is the file's Before."""
    folder = place.folder
    if file.folder_id == folder.pk:
        return _into(place, file, now)
    if folder.retention_days != one.retention_days:
        expires_at = expiry_in(folder, now)
    else:
        # An expiry that is near, or passed after the move, would take the file away before anybody is told of it.
        expires_at = one.expires_at and max(one.expires_at, now + folders.LEAST_WARNING)
    # Whoever closed their account meanwhile has no public files any more.
    is_closed = folder.owner is not None and not folder.owner.is_active
    return _Step(file, place, expires_at, Visibility.PRIVATE if is_closed else one.visibility)


def _places(user, before):
    """{(folder id, subfolder id): the Place, or the exception that says why `user` may not upload there}."""
    found = {}
    for pair in {(one.folder_id, one.subfolder_id) for one in before}:
        try:
            found[pair] = uploads.place_for(user=user, folder_id=pair[0], subfolder_id=pair[1])
        except (Http404, PermissionDenied) as refusal:
            found[pair] = refusal
    return found


def _is_there(step):
    return _ids(step.file) == _ids(step.place)


def _ids(thing):
    """(folder id, subfolder id) of a File or a Place."""
    return thing.folder.pk, thing.subfolder and thing.subfolder.pk


def _fitting(choice, steps, room):
    """The steps whose file its new folder takes; the others are refused. `room` is {folder id: bytes}, used up here."""
    fitting = []
    for step in steps:
        folder = step.place.folder
        try:
            if step.file.folder_id != folder.pk:
                check_type(folder, step.file)
                take_room(room, folder, step.file)
            fitting.append(step)
        except (FileTypeRefused, EmptyFile, quotas.QuotaExceeded) as refusal:
            choice.refuse(step.file, refusal)
    return fitting


def take_room(room, folder, file):
    """Use up the file's bytes of `room`, {folder id: bytes}. Raises QuotaExceeded (413)."""
    if file.size_bytes > room[folder.pk]:
        raise quotas.QuotaExceeded
    room[folder.pk] -= file.size_bytes


def _carry_out(user, steps):
    """Change the rows. Returns (a Before for each, the mark in their new keys)."""
    mark = uuid.uuid4().hex[:MARK_LENGTH]
    before, events, freed, taken = [], [], Counter(), Counter()
    for step in steps:
        file, place = step.file, step.place
        old = uploads.Place(file.folder, file.subfolder)
        before.append(Before(file.pk, *_ids(old), old.folder.retention_days, file.expires_at, file.visibility))
        if old.folder.pk != place.folder.pk:
            freed[old.folder.pk] += file.size_bytes
            taken[place.folder.pk] += file.size_bytes
            events.append(_left(user, file, old, place, mark))
        file.folder, file.subfolder = place.folder, place.subfolder
        file.expires_at, file.visibility = step.expires_at, step.visibility
        file.next_key = uploads.object_key(place, file.pk, f"{mark}-{file.filename}")
        events.append(
            event_of(
                Action.FILE_MOVED,
                user=user,
                target=file,
                folder=place.folder,
                size_bytes=file.size_bytes,
                before=told(old),
                after=told(place),
                bulk=mark,
            )
        )
    if not steps:
        return before, mark
    for folder_id, size_bytes in sorted(freed.items()):
        quotas.free(folder_id=folder_id, size_bytes=size_bytes)
    for folder_id, size_bytes in sorted(taken.items()):
        quotas.take(folder_id=folder_id, size_bytes=size_bytes)
    _update([step.file for step in steps], expired={one.file_id: one.expires_at for one in before})
    append(events)
    send_after_commit("fileshare.tasks.carry_moved_files")
    return before, mark


def _left(user, file, old, place, mark):
    """The row about the folder that a file leaves: who reads the log of one folder sees no row of another's."""
    return event_of(
        Action.FILE_MOVED,
        user=user,
        target=old.folder,
        folder=old.folder,
        subfolder=old.subfolder,
        size_bytes=file.size_bytes,
        file=str(file.pk),
        filename=file.filename,
        after=told(place),
        bulk=mark,
    )


def _update(files, *, expired):
    """Save the new facts of files; `expired` has their former expires_at. Few statements, however many files."""
    alike, apart = defaultdict(list), []
    for file in files:
        alike[file.folder_id, file.subfolder_id, file.visibility].append(file)
    for (folder_id, subfolder_id, visibility), group in alike.items():
        changes = {"folder": folder_id, "subfolder": subfolder_id, "visibility": visibility}
        later = [file for file in group if file.expires_at != expired[file.pk]]
        if len(later) == len(group) and len({file.expires_at for file in group}) == 1:
            changes["expires_at"] = group[0].expires_at
        else:
            apart += later
        File.objects.filter(pk__in=[file.pk for file in group]).update(**changes)
    keys = _Own({file.pk: file.next_key for file in files}, File._meta.get_field("next_key"))
    File.objects.filter(pk__in=[file.pk for file in files]).update(next_key=keys)
    if apart:
        File.objects.bulk_update(apart, ["expires_at"])


def told(place):
    """A Place as the log tells it."""
    told = {"folder": place.folder.name, "folder_slug": place.folder.slug}
    return told | ({"subfolder": place.subfolder.name} if place.subfolder else {})
