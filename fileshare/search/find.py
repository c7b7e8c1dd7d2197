"""Search the files that a user may download by name, type, tags, folder, date and size."""

from dataclasses import dataclass
from datetime import datetime
from functools import reduce
from operator import itemgetter, or_
from uuid import UUID

from django.db import connection
from django.db.models import Exists, OuterRef, Q
from django.http import Http404
from django.utils.translation import gettext as _

from config.api.pagination import Page
from config.errors import Invalid
from config.prepared import Among, Fixed, Fragment, Kind, Like, Prepared, Several, Slot, length_for
from fileshare import lists
from fileshare import tags as tag_names
from fileshare.content import file_types
from fileshare.content.folding import fold
from fileshare.models import File, Folder, Tag
from fileshare.models.counting import count

from . import index

MAX_LETTERS = 200
MAX_WORDS = 10
MAX_TYPE_LETTERS = 120
NEWEST = 2_000
"""First the newest files are checked row by row, up to so many. An index is asked only if these do not fill a page."""
MANY = 20_000
"""So many are checked row by row when the index would return more than FEW files. Words too short for an index are
searched in so many of the newest files only."""
FEW = 5_000
MAX_BEGUN_TAGS = 200
"""A search considers at most so many of the tags that begin with one of its words."""

Tagging = File.tags.through
_BOUNDS = {
    "uploaded_after": ("uploaded_at", "gte"),
    "uploaded_before": ("uploaded_at", "lt"),
    "min_size": ("size_bytes", "gte"),
    "max_size": ("size_bytes", "lte"),
}


@dataclass(frozen=True)
class Wanted:
    """What a search asks for. An empty value or None sets no condition. Sizes are bytes, both ends included.

    `words` and `endings` are folded.
    """

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
    """The folded words of a search field, each once. Raises Invalid (400) for a text that is too long."""
    if len(text) > MAX_LETTERS:
        raise Invalid("q", _("Search for at most %(most)d characters.") % {"most": MAX_LETTERS})
    text = fold(text)
    words = dict.fromkeys("".join(letter if letter.isprintable() else " " for letter in text).split())
    if len(words) > MAX_WORDS:
        raise Invalid("q", _("Search for at most %(most)d words.") % {"most": MAX_WORDS})
    return tuple(words)


def endings_of(kind):
    """The folded endings of names of a kind ("image"), a content type ("image/png") or one ending (".PDF", "pdf").

    Each ending begins with its dot. Returns () for "". Any other word is taken as an ending; it may match no file.
    Raises Invalid (400) for a text that is too long or not printable.
    """
    if not kind:
        return ()
    word = fold(kind).strip().removeprefix(".")
    if len(word) > MAX_TYPE_LETTERS or not word.isprintable():
        raise Invalid("type", _("A type is an ending like pdf, a kind like image, or a content type."))
    return tuple(f".{ending}" for ending in file_types.endings_of(word) or [word])


def find(*, user, wanted, pages):
    """A Page of the files that `user` may download and that fit `wanted` (a Wanted), newest first, as FileRows.

    `pages` is a config.api.pagination.Keyset. Each word must be contained in the file's name, be the beginning of one
    of its tags, or name its type. Words are compared folded, and no character is special. Raises Http404 for a folder
    that `user` may not see, Invalid (400) for invalid tags.

    The newest files are checked row by row first. That fills a page soon when the words are common, or checks all files
    when there are few. For rare words an index finds the rest.
    """
    if wanted.folder_id and lists.SEEN.first(user=user, pk=wanted.folder_id) is None:
        raise Http404
    places = None if wanted.folder_id else lists.places_of(user)
    terms = _terms(wanted)
    if not all(term.can_match for term in terms):
        return Page()
    where = {name: getattr(wanted, name) for name in _BOUNDS} | {"user": user, "places": places}
    where |= {"folder": wanted.folder_id, "terms": terms}

    def among_next(size):
        """(the Page from the next `size` rows, True when there are more rows than that)."""
        all_rows = {"terms": [], "min_size": None, "max_size": None}
        end = _LOOKED_AT.window(pages, size, **where | all_rows, older=True, end=None)
        return _LOOKED_AT.page_at(pages, **where, older=pages.direction == "n", end=end), end is not None

    ways = _ways(terms)
    if not ways:
        return among_next(MANY)[0] if wanted.words else _LOOKED_AT.page_at(pages, **where, older=True, end=None)
    page, are_more = among_next(NEWEST)
    if pages.goes_on(page) or not are_more:
        return page
    size, way = _smallest(ways)
    if size > FEW:
        page, are_more = among_next(MANY)
        if pages.goes_on(page) or not are_more:
            return page
    rest = [term for term in terms if term not in way.answered]
    return _BY_INDEX.page_at(pages, **where | {"terms": rest}, named=way.ids)


def _smallest(ways):
    """(the number of files, the _Way) for the way that returns the fewest files. Counts only to FEW + 1."""
    counted = count([way.ids for way in ways], FEW)
    return min(zip(counted, ways, strict=True), key=itemgetter(0))


@dataclass(frozen=True)
class _Term:
    """One condition on a file: its name contains a piece or ends with an ending, or it has a listed tag."""

    pieces: tuple[str, ...] = ()
    endings: tuple[str, ...] = ()
    tag_ids: tuple = ()

    @property
    def can_match(self):
        """False for a tag that does not exist: then no file can match."""
        return bool(self.parts or self.tag_ids)

    @property
    def parts(self):
        """What an index looks for: it does not know where in a name a part is."""
        return (*self.pieces, *self.endings)

    @property
    def has_index(self):
        return all(len(part) >= index.LEAST_LETTERS for part in self.parts)

    @property
    def tagged(self):
        """A queryset of the ids of files that have one of the tags; None for a term without tags."""
        return Tagging.objects.filter(tag__in=self.tag_ids).values("file") if self.tag_ids else None

    def looked_at(self):
        """This term as a condition that the database checks row by row, without an index. See _ForTerms."""
        either = [Q(Like("folded_name", part)) for part in self.parts]
        if self.tag_ids:
            either.append(Q(Exists(Tagging.objects.filter(Among("tag_id", self.tag_ids), file=OuterRef("pk")))))
        return reduce(or_, either)


class _ForTerms(Kind):
    """A list of _Terms in a prepared query. `build` gets _Terms of Slots: patterns for LIKE, and ids of tags."""

    def shape(self, value):
        return tuple((len(term.parts), len(term.tag_ids) and length_for(len(term.tag_ids))) for term in value)

    def stand_in(self, name, shape):
        return [
            _Term(
                tuple(Slot(f"{name}.{number}.{part}", _NAME) for part in range(parts)),
                tag_ids=tuple(_TAGS.stand_in(f"{name}.{number}.tag", tags)) if tags else (),
            )
            for number, (parts, tags) in enumerate(shape)
        ]

    def values(self, name, value):
        found = {}
        for number, term in enumerate(value):
            pieces, endings = (map(connection.ops.prep_for_like_query, some) for some in (term.pieces, term.endings))
            patterns = [*(f"%{piece}%" for piece in pieces), *(f"%{ending}" for ending in endings)]
            found |= {f"{name}.{number}.{part}": pattern for part, pattern in enumerate(patterns)}
            if term.tag_ids:
                found |= _TAGS.values(f"{name}.{number}.tag", list(term.tag_ids))
        return found


_NAME = File._meta.get_field("folded_name")
_TAGS = Several(Tag._meta.pk)
_KINDS = {
    "places": lists.PLACES,
    "folder": Folder._meta.pk,
    "terms": _ForTerms(),
    **{name: File._meta.get_field(field) for name, (field, _lookup) in _BOUNDS.items()},
}


def _within(queryset, folder, bounds):
    """`queryset` limited to a folder and the bounds that are not None."""
    limits = {
        f"{field}__{lookup}": bounds[name] for name, (field, lookup) in _BOUNDS.items() if bounds[name] is not None
    }
    return queryset.filter(**limits, **({"folder": folder} if folder is not None else {}))


def _rows(user, places, folder, terms, **bounds):
    return _within(File.objects.downloadable_by(user), folder, bounds)


def _pieces(user, places, folder, terms, older, end, **bounds):
    """The files that fit, in pieces; those up to the time `end` if it is not None."""
    if places is None:
        some = [File.objects.downloadable_by(user)]
    else:
        some = File.objects.downloadable_pieces(places)
    fit = [term.looked_at() for term in terms]
    if end is not None:
        fit.append(Q(**{"uploaded_at__gte" if older else "uploaded_at__lte": end}))
    return [_within(piece, folder, bounds).filter(*fit) for piece in some]


_LOOKED_AT = lists.list_of(
    lambda user, older, end, **where: _rows(user, **where),
    pieces=_pieces,
    older=Fixed(),
    end=File._meta.get_field("uploaded_at"),
    **_KINDS,
)
"""The files that fit, each row checked; the newest of each piece up to `end`."""
_BY_INDEX = lists.list_of(
    lambda user, named, terms, **where: _rows(user, terms=terms, **where).filter(
        *(term.looked_at() for term in terms), pk__in=index.among(*named)
    ),
    named=Fragment(),
    **_KINDS,
)
"""The files that fit, among those that an index names."""


@dataclass(frozen=True)
class _Way:
    """A query that an index answers. `ids` is its (SQL, parameters): the ids of all files that fit each term of
    `answered`."""

    ids: tuple
    answered: tuple = ()


def _ways(terms):
    """The ways to ask an index for some of the terms.

    The index is asked for endings only when there is no way by a word or tag. Half of all files may have one ending,
    and the index does not know where in a name it is, so `find` has to check the ending again row by row.
    """
    terms = [term for term in terms if term.has_index]
    exact = [term for term in terms if not term.endings]
    named = tuple(term for term in exact if not term.tag_ids)
    ways = [_Way(index.named([term.pieces for term in named]), named)] if named else []
    ways += [_Way(_ids_of(term), (term,)) for term in exact if term.tag_ids]
    return ways or [_Way(_ids_of(term)) for term in terms if term.endings]


def _ids_of(term):
    return index.named([term.parts], tagged=term.tagged) if term.parts else _sql(term.tagged)


def _sql(queryset):
    return queryset.query.sql_with_params()


_BEGUN_TAGS = Prepared(
    lambda starts: Tag.objects.filter(reduce(or_, (Q(Like("folded_name", start)) for start in starts))).values_list(
        "folded_name", "pk"
    )[:MAX_BEGUN_TAGS],
    starts=Several(_NAME),
)
_TAGS_NAMED = Prepared(
    lambda names: Tag.objects.filter(Among("folded_name", names)).values_list("folded_name", "pk"),
    names=Several(_NAME),
)


def _terms(wanted):
    names = [fold(name) for name in tag_names.clean_names(wanted.tags)]
    begun = exact = ()
    if wanted.words:
        begun = _BEGUN_TAGS.all(starts=[f"{connection.ops.prep_for_like_query(word)}%" for word in wanted.words])
    if names:
        exact = _TAGS_NAMED.all(names=names)
    terms = [
        _Term((word,), _endings_named(word), tuple(pk for name, pk in begun if name.startswith(word)))
        for word in wanted.words
    ]
    terms += [_Term(tag_ids=tuple(pk for folded, pk in exact if folded == name)) for name in names]
    if wanted.endings:
        terms.append(_Term(endings=wanted.endings))
    return terms


def _endings_named(word):
    """The endings of the type that a word names. Those that contain the word are left out: the name has it anyway."""
    return tuple(f".{ending}" for ending in file_types.endings_named(word) if word not in ending)
