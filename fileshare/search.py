"""Finding files by name, type and tags, within what somebody may download."""

import re
import unicodedata
from dataclasses import dataclass
from datetime import datetime
from functools import reduce
from operator import itemgetter, or_
from uuid import UUID

from django.db import connection
from django.db.models import Exists, OuterRef, Q
from django.utils.translation import gettext as _

from config.access import get_visible
from config.errors import Invalid
from config.pagination import Page

from . import file_types, search_index
from . import tags as tag_names
from .models import File, Folder, Tag

MAX_LETTERS = 200
MAX_WORDS = 10
MAX_TYPE_LETTERS = 120
NEWEST = 2_000
"""So many of the newest files are looked at one by one before an index is asked."""
MANY = 20_000
"""So many where an index would give more than FEW; words too short for an index see no more."""
FEW = 5_000
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
    """The endings, with their dot, of a kind ("image"), a content type ("image/png") or one ending (".PDF", "pdf").

    None for ""; what no file ends in finds nothing. Raises Invalid (400) for a text that is too long.
    """
    if not kind:
        return ()
    word = unicodedata.normalize("NFC", kind).strip().lower().removeprefix(".")
    if len(word) > MAX_TYPE_LETTERS or not word.isprintable():
        raise Invalid("type", _("A type is an ending like pdf, a kind like image, or a content type."))
    return tuple(f".{ending}" for ending in file_types.endings_of(word) or [word])


def find(*, user, wanted, pages):
    """The Page of files that `user` may download and that are as Wanted says, newest first, with_details.

    `pages` is a config.pagination.Keyset. Every word has to be in the name, or begin one of the file's
    tags; case does not matter and no character is special. Raises Http404 for a folder they do not
    see, Invalid (400) for tags that cannot be.

    Where few files are left to see each of them is looked at. Of many the newest are looked at first, which soon
    fills a page with what is common; what is rare comes from an index.
    """
    rows = File.objects.downloadable_by(user).with_details(user).filter(*_bounds(wanted))
    if wanted.folder_id:
        place = Q(folder=get_visible(wanted.folder_id, Folder.objects.visible_to(user)))
        rows, pieces = rows.filter(place), [File.objects.downloadable_by(user).filter(place)]
    else:
        pieces = File.objects.downloadable_pieces(user) or [File.objects.downloadable_by(user)]
    pieces = [piece.filter(*_bounds(wanted, names=("uploaded_at",))) for piece in pieces]
    terms = _terms(wanted)
    if not all(term.can_match for term in terms):
        return Page()
    conditions = [*_bounds(wanted), *(term.looked_at() for term in terms)]

    def among(some):
        return pages.page(rows, pieces=[piece.filter(*conditions) for piece in some])

    def among_next(size):
        """(the Page from so many next rows, whether there are more than those)."""
        window = pages.window(pieces, size)
        return among([piece.filter(window) for piece in pieces]), bool(window)

    ways = _ways(terms)
    if not ways:
        return among_next(MANY)[0] if wanted.words else among(pieces)
    page, are_more = among_next(NEWEST)
    if pages.goes_on(page) or not are_more:
        return page
    size, way = _smallest(ways)
    if size > FEW:
        page, are_more = among_next(MANY)
        if pages.goes_on(page) or not are_more:
            return page
    rest = [term.looked_at() for term in terms if term not in way.answered]
    return pages.page(rows.filter(*rest, pk__in=search_index.among(*way.ids)))


def _smallest(ways):
    """(how many files it gives, the _Way) of the one that gives the fewest; beyond FEW only that they are more."""
    counted = search_index.count([way.ids for way in ways], FEW)
    return min(zip(counted, ways, strict=True), key=itemgetter(0))


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
    tag_ids: tuple = ()

    @property
    def can_match(self):
        """False for a tag that no file has."""
        return bool(self.pieces or self.tag_ids)

    @property
    def has_index(self):
        return all(len(piece) >= search_index.LEAST_LETTERS for piece in self.pieces)

    @property
    def tagged(self):
        """The ids of the files that have one of the tags; None where tags do not matter."""
        return Tagging.objects.filter(tag__in=self.tag_ids).values("file") if self.tag_ids else None

    def looked_at(self):
        """A condition that is answered row by row."""
        either = [_in_name(piece, ends=self.ends) for piece in self.pieces]
        if self.tag_ids:
            either.append(Q(Exists(Tagging.objects.filter(file=OuterRef("pk"), tag__in=self.tag_ids))))
        return reduce(or_, either)


@dataclass(frozen=True)
class _Way:
    """A question an index answers: `ids` is (SQL, parameters) of files, all that have every term of `answered`."""

    ids: tuple
    answered: tuple = ()


def _ways(terms):
    """The ways to ask an index for some of the terms.

    Half of all files may be of one type, and an index knows where in a name a piece is as little as anybody:
    it is asked for endings only where no word and no tag narrows further.
    """
    terms = [term for term in terms if term.has_index]
    named = tuple(term for term in terms if term.pieces and not term.ends and not term.tag_ids)
    ways = [_Way(search_index.named([term.pieces for term in named]), named)] if named else []
    for term in terms:
        if term.tag_ids:
            ids = search_index.named([term.pieces], tagged=term.tagged) if term.pieces else _sql(term.tagged)
            ways.append(_Way(ids, (term,)))
    return ways or [_Way(search_index.named([term.pieces])) for term in terms if term.ends]


def _sql(queryset):
    return queryset.query.sql_with_params()


def _terms(wanted):
    names, begun = tag_names.clean_names(wanted.tags), []
    if wanted.words:
        starts = reduce(or_, (Q(name__startswith=word.lower()) for word in wanted.words))
        begun = list(Tag.objects.filter(starts).values_list("name", "pk")[:MAX_BEGUN_TAGS])
    exact = dict(Tag.objects.filter(name__in=names).values_list("name", "pk")) if names else {}
    terms = [
        _Term((word,), tag_ids=tuple(pk for name, pk in begun if name.startswith(word.lower())))
        for word in wanted.words
    ]
    terms += [_Term(tag_ids=(exact[name],) if name in exact else ()) for name in names]
    if wanted.endings:
        terms.append(_Term(wanted.endings, ends=True))
    return terms


def _in_name(piece, *, ends):
    if connection.vendor == "sqlite" and not piece.isascii():
        # SQLite's LIKE knows upper and lower case of ASCII only.
        return Q(filename__iregex=re.escape(piece) + (r"\Z" if ends else ""))
    return Q(**{"filename__iendswith" if ends else "filename__icontains": piece})
