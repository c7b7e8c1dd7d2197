"""Tags: words that users put on files."""

import unicodedata

from django.db.models import Exists, OuterRef, Q
from django.utils.translation import gettext as _

from config.errors import Invalid

from . import lists
from .content.folding import fold
from .models import File, Tag
from .models.counting import are_few

MAX_TAGS = 50
MAX_LENGTH = 50
SUGGESTIONS = 20
FEW = 20_000
"""Up to this many files, `suggestions` collects the tags of all files.

With more files it goes through the tags instead, and looks for one file of each: that is found soon.
"""


def clean_names(names):
    """The tags in `names` (each may hold several, separated by commas): trimmed, lower case, NFC, each once.

    Raises Invalid (400) for a tag that is unprintable or too long, or for more than MAX_TAGS.
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
    """The Tag rows of cleaned names. Missing ones are created; two requests at once create one row."""
    if not names:
        return []
    # Sort: two transactions that insert the same tags in different orders would deadlock.
    Tag.objects.bulk_create([Tag(name=name) for name in sorted(names)], ignore_conflicts=True)
    return list(Tag.objects.filter(name__in=names))


def suggestions(*, user, start=""):
    """The first SUGGESTIONS tags that begin with `start`, by name, among the tags of files `user` may download."""
    start = " ".join(fold(start).split())
    if not start.isprintable():
        return []
    places = lists.places_of(user)
    pieces = None if places is None else File.objects.downloadable_pieces(places)
    if pieces is not None and are_few(pieces, FEW):
        first, *others = [piece.order_by().values("pk") for piece in pieces]
        tagged = Q(pk__in=File.tags.through.objects.filter(file__in=first.union(*others, all=True)).values("tag"))
    else:
        tagged = Exists(File.objects.downloadable_by(user).filter(tags=OuterRef("pk")))
    return list(Tag.objects.filter(tagged, folded_name__startswith=start).order_by("name")[:SUGGESTIONS])
