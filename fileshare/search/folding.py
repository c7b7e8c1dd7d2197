"""Folds the names of rows that an earlier version wrote, or folded by other rules; a migration and jobs call it.

While a new version replaces an old one, the old one goes on writing rows: their folded name is null, and the search
does not find them until `fold_missing` has run. A row that the old one renames is found by its former name until
`fold_all` has run. `fold_all` also follows a new version of Unicode, which comes with a new version of Python.
"""

from django.db import connection, transaction

from fileshare.content.folding import fold
from fileshare.models import File, Tag

BATCH = 1000
NAMES = ((File, "filename"), (Tag, "name"))


def fold_missing():
    """Fold the names of files and tags that are not folded. Returns how many."""
    return _fold(folded_name=None)


def fold_all():
    """Fold all names of files and tags again. Returns how many had another folded form."""
    return _fold()


def _fold(**which):
    rows = [(model._base_manager.filter(**which), source) for model, source in NAMES]
    return sum(fold_rows(some, source, database=connection) for some, source in rows)


def fold_rows(rows, source, *, database):
    """Fold the column `source` of these rows into `folded_name`. Returns how many changed.

    Reads without a lock, so rows that are folded already are not written. Updates a stale row only while it has the
    name that was read; who renames it meanwhile folds it too, or leaves it to the next run. `rows` is a queryset, also
    of a migration's model.
    """
    every_row = rows.model._base_manager.using(database.alias)
    rows = rows.using(database.alias).order_by("pk").values_list("pk", source, "folded_name")
    changed, last = 0, None
    while True:
        batch = list((rows if last is None else rows.filter(pk__gt=last))[:BATCH])
        stale = [(pk, name, folded) for pk, name, before in batch if (folded := fold(name)) != before]
        if stale:
            # In the order of the keys, so that two runs at once do not wait for each other in a circle.
            with transaction.atomic(using=database.alias):
                for pk, name, folded in stale:
                    changed += every_row.filter(pk=pk, **{source: name}).update(folded_name=folded)
        if len(batch) < BATCH:
            break
        last = batch[-1][0]
    return changed
