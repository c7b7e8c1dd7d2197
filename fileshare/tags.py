"""Tags: words people put on files."""

import unicodedata

from django.db.models import Exists, OuterRef, Q
from django.utils.translation import gettext as _

from config.errors import Invalid

from . import search_index
from .models import File, Tag

MAX_TAGS = 50
MAX_LENGTH = 50
SUGGESTIONS = 20
FEW = 20_000
"""Of so many files the tags are gathered. Of more each tag is asked for a file, which soon finds one."""


def clean_names(names):
    """The words of `names` (each may hold several, comma-separated): trimmed, lower case, NFC, each once.

    Raises Invalid (400) for an unprintable or overlong one, or more than MAX_TAGS.
    """
    cleaned = {}
    for name in names:
        for part in str(name).split(","):
            word = " ".join(unicodedata.normalize("NFC", part).lower().split())
            if not word:
                continue
            if len(word) > MAX_LENGTH:
                raise Invalid("tags", _("A tag has at most %(most)d characters.") % {"most": MAX_LENGTH})
            if not word.isprintable():
                raise Invalid("tags", _("A tag is made of visible characters."))
            cleaned[word] = None
            if len(cleaned) > MAX_TAGS:
                raise Invalid("tags", _("A file has at most %(most)d tags.") % {"most": MAX_TAGS})
    return list(cleaned)


def rows(names):
    """The Tag rows of cleaned names, made where they are new; two at once make one."""
    if not names:
        return []
    # In one order, whoever makes them: two transactions that wait for each other's tags would never end.
    Tag.objects.bulk_create([Tag(name=name) for name in sorted(names)], ignore_conflicts=True)
    return list(Tag.objects.filter(name__in=names))


def suggestions(*, user, start=""):
    """The first SUGGESTIONS tags by name that begin with `start`, of the files `user` may download."""
    start = " ".join(unicodedata.normalize("NFC", start).lower().split())
    if not start.isprintable():
        return []
    pieces = File.objects.downloadable_pieces(user)
    if pieces is not None and search_index.are_few(pieces, FEW):
        first, *others = [piece.order_by().values("pk") for piece in pieces]
        tagged = Q(pk__in=File.tags.through.objects.filter(file__in=first.union(*others, all=True)).values("tag"))
    else:
        tagged = Exists(File.objects.downloadable_by(user).filter(tags=OuterRef("pk")))
    return list(Tag.objects.filter(tagged, name__startswith=start).order_by("name")[:SUGGESTIONS])
