"""Finding files by name, type and tags, within what somebody may download."""

import re
import unicodedata
from dataclasses import dataclass, field
from datetime import datetime
from functools import reduce
from operator import or_
from uuid import UUID

from django.db import connection
from django.db.models import Exists, OuterRef, Q
from django.utils.translation import gettext as _

from config.access import get_visible
from config.errors import Invalid

from . import file_types, search_index
from . import tags as tag_names
from .models import File, Folder, Tag

MAX_LETTERS = 200
MAX_WORDS = 10
NEWEST = 20_000
"""So many of the newest files are looked at one by one before an index is asked; words too short for it see no more."""
MAX_BEGUN_TAGS = 200
"""Of the tags that the words of a search begin, so many are looked for."""

Tagging = File.tags.through


@dataclass(frozen=True)
class Wanted:
    """What is searched for; whatever is empty or None does not narrow it. Sizes are bytes, both ends included."""

    words: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    endings: tuple[str, ...] = ()
    folder_id: UUID | None = None
    uploaded_after: datetime | None = None
    uploaded_before: datetime | None = None
    min_size: int | None = None
    max_size: int | None = None

    def __bool__(self):
        return self != Wanted()


def words_of(text):
    """The words of a search field, each once and NFC. Raises Invalid (400) for a text that is too long."""
    if len(text) > MAX_LETTERS:
        raise Invalid("q", _("Search for at most %(most)d characters.") % {"most": MAX_LETTERS})
    text = unicodedata.normalize("NFC", text)
    words = dict.fromkeys("".join(letter if letter.isprintable() else " " for letter in text).split())
    if len(words) > MAX_WORDS:
        raise Invalid("q", _("Search for at most %(most)d words.") % {"most": MAX_WORDS})
    return tuple(words)


def endings_of(kind):
    """The endings, with their dot, of a kind ("image") or of one type (".PDF", "pdf"); none for "".

    Raises Invalid (400) for what is neither.
    """
    if not kind:
        return ()
    word = kind.strip().lower().removeprefix(".")
    if not (word.isascii() and word.isalnum() and len(word) <= 10):
        raise Invalid("type", _("A type is an ending like pdf, or a kind like image."))
    return tuple(f".{ending}" for ending in file_types.endings_of_kind(word) or [word])


def find(*, user, wanted, pages):
    """The Page of files that `user` may download and that are as Wanted says, newest first, with_details.

    `pages` is a config.pagination.Keyset. Every word has to be in the name, or begin one of the file's
    tags; case does not matter and no character is special. Raises Http404 for a folder they do not
    see, Invalid (400) for tags that cannot be.
    """
    rows, everything = File.objects.downloadable_by(user).with_details(user), File.objects.filter(deleted_at=None)
    if wanted.folder_id:
        place = Q(folder=get_visible(wanted.folder_id, Folder.objects.visible_to(user)))
        rows, everything = rows.filter(place), everything.filter(place)
    rows, everything = rows.filter(*_bounds(wanted)), everything.filter(*_bounds(wanted, names=("uploaded_at",)))
    terms = _terms(wanted)
    if not terms:
        return pages.page(rows)
    one_by_one = reduce(lambda narrowed, term: narrowed.filter(term.looked_at()), terms, rows)
    indexed = [term for term in terms if term.has_index]
    if not indexed and not wanted.words:
        return pages.page(one_by_one)
    window = pages.window(everything, NEWEST)
    page = pages.page(one_by_one.filter(window) if window else one_by_one)
    if window is None or pages.goes_on(page) or not indexed:
        return page
    # Half of all files may be of one type: its index is asked only where no word and no tag narrows further.
    first = [term for term in indexed if not term.ends] or indexed
    for term in terms:
        rows = rows.filter(term.looked_up() if term in first else term.looked_at())
    return pages.page(rows)


def _bounds(wanted, names=("uploaded_at", "size_bytes")):
    bounds = {
        "uploaded_at__gte": wanted.uploaded_after,
        "uploaded_at__lt": wanted.uploaded_before,
        "size_bytes__gte": wanted.min_size,
        "size_bytes__lte": wanted.max_size,
    }
    return [Q((name, value)) for name, value in bounds.items() if value is not None and name.startswith(names)]


@dataclass(frozen=True)
class _Term:
    """One thing a file has to have: a piece of its name, or one of several, or one of some tags."""

    pieces: tuple[str, ...] = ()
    ends: bool = False
    tag_ids: list = field(default_factory=list)

    @property
    def has_index(self):
        return all(len(piece) >= search_index.LEAST_LETTERS for piece in self.pieces)

    def looked_at(self):
        """A condition that is answered row by row."""
        tagged = Tagging.objects.filter(file=OuterRef("pk"), tag__in=self.tag_ids)
        either = [_in_name(piece, ends=self.ends) for piece in self.pieces]
        if self.tag_ids or not either:
            either.append(Q(Exists(tagged)))
        return reduce(or_, either)

    def looked_up(self):
        """The same, answered by an index, which there has to be."""
        tagged = Tagging.objects.filter(tag__in=self.tag_ids).values("file")
        if not self.pieces:
            return Q(pk__in=tagged)
        found = Q(pk__in=search_index.named(self.pieces, tagged=tagged if self.tag_ids else None))
        return found & self.looked_at() if self.ends else found


def _terms(wanted):
    names, begun = tag_names.clean_names(wanted.tags), []
    if wanted.words:
        starts = reduce(or_, (Q(name__startswith=word.lower()) for word in wanted.words))
        begun = list(Tag.objects.filter(starts).values_list("name", "pk")[:MAX_BEGUN_TAGS])
    exact = dict(Tag.objects.filter(name__in=names).values_list("name", "pk")) if names else {}
    terms = [
        _Term((word,), tag_ids=[pk for name, pk in begun if name.startswith(word.lower())]) for word in wanted.words
    ]
    terms += [_Term(tag_ids=[exact[name]] if name in exact else []) for name in names]
    if wanted.endings:
        terms.append(_Term(wanted.endings, ends=True))
    return terms


def _in_name(piece, *, ends):
    if connection.vendor == "sqlite" and not piece.isascii():
        # SQLite's LIKE knows upper and lower case of ASCII only.
        return Q(filename__iregex=re.escape(piece))
    return Q(**{"filename__iendswith" if ends else "filename__icontains": piece})
