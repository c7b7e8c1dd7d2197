"""Put tags on files, and take tags off."""

from collections import defaultdict
from dataclasses import dataclass

from django.db import transaction
from django.utils.translation import gettext as _

from audit.log import append, event_of
from config.errors import Invalid
from fileshare import tags
from fileshare.contributions.actions import Action
from fileshare.models import File

from . import choosing

Tagging = File.tags.through


@dataclass(frozen=True)
class Tagged:
    """What a change of tags did: `files` have them now, `refused` are the Refusals of the others.

    `added` are the ids of the new rows that join a file and a tag.
    """

    files: list
    refused: list
    added: list


@transaction.atomic
def change_tags(*, user, file_ids, add=(), remove=(), partial=False):
    """Add and remove tags (names) of 1 to 1,000 files; they keep their others. Returns Tagged.

    Tags that a file has or lacks already change nothing. Raises Invalid (400) when no tag is named, one is not valid,
    or one is both added and removed; and SomeRefused: 404, 403, 400 for a file that would have too many.
    """
    wanted = choosing.ids_of(file_ids)
    names, gone = tags.clean_names(add), set(tags.clean_names(remove))
    if not names and not gone:
        raise Invalid("tags", _("Name at least one tag."))
    if gone & set(names):
        raise Invalid("remove_tags", _("A tag cannot be added and removed at once."))
    choice = choosing.changeable(user=user, wanted=wanted)
    had = _names_by_file(list(choice.found))
    after = {}
    for file in choice.rows:
        try:
            after[file.pk] = tags.clean_names([name for name in [*had[file.pk], *names] if name not in gone])
        except Invalid as refusal:
            choice.refuse(file, refusal)
    choice.settle(partial=partial)
    changed = [file for file in choice.rows if set(after[file.pk]) != set(had[file.pk])]
    rows = {tag.name: tag for tag in tags.rows(names)} if changed else {}
    joins = [Tagging(file=file, tag=tag) for file in changed for name, tag in rows.items() if name not in had[file.pk]]
    Tagging.objects.bulk_create(joins)
    ids = [file.pk for file in changed]
    if gone:
        Tagging.objects.filter(file__in=ids, tag__name__in=gone).delete()
    append([_told(user, file, had[file.pk], after[file.pk]) for file in changed])
    return Tagged(choice.rows, choice.refused, [join.pk for join in joins])


@transaction.atomic
def take_back(*, user, added):
    """Remove again what a change of tags added, on files that `user` may change. Returns on how many files."""
    joined = Tagging.objects.filter(pk__in=added).values("file")
    rows = File.objects.deletable_by(user).filter(pk__in=joined).select_related("folder", "subfolder")
    found = {file.pk: file for file in rows.select_for_update(of=("self",)).order_by("pk")}
    had = _names_by_file(list(found))
    joins = Tagging.objects.filter(pk__in=added, file__in=list(found))
    gone = defaultdict(set)
    for file_id, name in joins.values_list("file_id", "tag__name"):
        gone[file_id].add(name)
    joins.delete()
    append(
        [_told(user, found[pk], had[pk], [name for name in had[pk] if name not in names]) for pk, names in gone.items()]
    )
    return len(gone)


def _names_by_file(ids):
    """{file id: the names of its tags, sorted}"""
    found = {pk: [] for pk in ids}
    joins = Tagging.objects.filter(file__in=ids).order_by("tag__name")
    for file_id, name in joins.values_list("file_id", "tag__name"):
        found[file_id].append(name)
    return found


def _told(user, file, before, after):
    return event_of(
        Action.FILE_CHANGED,
        user=user,
        target=file,
        folder=file.folder,
        before={"tags": before},
        after={"tags": sorted(after)},
    )
