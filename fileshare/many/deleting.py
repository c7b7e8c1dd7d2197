"""Move files to the trash, and take them out again."""

from dataclasses import dataclass
from datetime import datetime

from django.db import transaction

from fileshare import files, holds
from fileshare.models import File

from . import choosing


@dataclass(frozen=True)
class Deleted:
    """What a deletion did: `files` are in the trash since `deleted_at`, `refused` are the Refusals of the others."""

    files: list
    refused: list
    deleted_at: datetime | None


@transaction.atomic
def delete(*, user, file_ids, partial=False):
    """Move 1 to 1,000 files to the trash, each as `files.delete` does. Returns Deleted.

    Raises Invalid (400), and SomeRefused: 404, 403, 409 for a file under a legal hold.
    """
    wanted = choosing.ids_of(file_ids)
    holds.guard()
    choice = choosing.changeable(user=user, wanted=wanted)
    choice.refuse_held()
    choice.settle(partial=partial)
    deleted_at = files.move_to_trash(choice.rows, by=user) if choice.found else None
    return Deleted(choice.rows, choice.refused, deleted_at)


@transaction.atomic
def restore(*, user, file_ids, deleted_at):
    """Take out of the trash those of these files that `user` deleted at that very moment. Returns how many."""
    rows = File.objects.restorable_by(user).filter(pk__in=file_ids, deleted_by=user, deleted_at=deleted_at)
    rows = rows.select_related("folder", "subfolder").select_for_update(of=("self",)).order_by("pk")
    found = list(rows)
    if found:
        files.take_from_trash(found, by=user)
    return len(found)
