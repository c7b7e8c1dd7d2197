"""Pages of a list. A keyset page costs the same at the first row and at the millionth. No page counts the rows."""

import base64
import binascii
import functools
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import urlencode

from django.core.exceptions import ValidationError
from django.db.models import BooleanField, F, Func, Q
from django.utils.translation import gettext as _
from rest_framework import serializers
from rest_framework.response import Response

from config.errors import Invalid

DEFAULT_LIMIT = 100
MAX_LIMIT = 500


def read_limit(params, *, default=DEFAULT_LIMIT):
    """The `limit` of a query string, 1..500. Raises Invalid (400)."""
    text = params.get("limit", "")
    if text == "":
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= 4 and 1 <= int(text) <= MAX_LIMIT):
        raise Invalid("limit", _("limit is a whole number from 1 to %(most)d.") % {"most": MAX_LIMIT})
    return int(text)


def read_offset(params, *, most=1_000_000):
    """The `offset` of a query string, 0..most. Raises Invalid (400)."""
    text = params.get("offset", "")
    if text == "":
        return 0
    if not (text.isascii() and text.isdigit() and len(text) <= 8 and int(text) <= most):
        raise Invalid("offset", _("offset is a whole number from 0 to %(most)d.") % {"most": most})
    return int(text)


@dataclass
class Page:
    """One page: the rows, and the URLs of the pages after and before (None at the ends)."""

    results: list = field(default_factory=list)
    next: str | None = None
    previous: str | None = None


def _encode(direction, row, time_field):
    facts = [direction, getattr(row, time_field).isoformat(), str(row.pk)]
    return base64.urlsafe_b64encode(json.dumps(facts).encode()).decode().rstrip("=")


def _decode(cursor, model):
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        direction, at, pk = json.loads(base64.urlsafe_b64decode(padded))
        if direction not in ("n", "p"):
            raise ValueError
        moment = datetime.fromisoformat(at)
        if moment.tzinfo is None:
            raise ValueError
        if not isinstance(pk, str):
            raise ValueError
        return direction, moment.astimezone(UTC), model._meta.pk.to_python(pk)
    except (ValueError, TypeError, OverflowError, binascii.Error, RecursionError, ValidationError):
        raise Invalid("cursor", _("The cursor is not one of this list.")) from None


class Keyset:
    """The place in a list that a request asks for: newest first by (`time_field`, pk), after or before its `cursor`.

    Reads `cursor` and `limit` from the request's query string. The URLs of the next and previous page keep its other
    parameters. Raises Invalid (400) for a wrong cursor or limit.
    """

    def __init__(self, request, *, model, time_field, default_limit=DEFAULT_LIMIT):
        self.request = request
        self.time_field = time_field
        self.limit = read_limit(request.GET, default=default_limit)
        self.direction, self.edge = "n", None
        cursor = request.GET.get("cursor", "")
        if cursor:
            if len(cursor) > 300:
                raise Invalid("cursor", _("The cursor is not one of this list."))
            self.direction, *self.edge = _decode(cursor, model)

    def page(self, queryset, *, pieces=None):
        """One page of `queryset`, read in one query.

        `pieces` are querysets that together hold the rows of `queryset`. If given, the database reads at most one page
        of each piece from that piece's own index, and no other rows.
        """
        if pieces is not None:
            if not pieces:
                return Page()
            queryset = queryset.filter(is_first_of(map(self._onward, pieces), self.limit + 1))
        return self.page_of(list(self._onward(queryset)[: self.limit + 1]))

    def page_of(self, rows):
        """A Page of the rows from the cursor onward: up to one more than `limit`, which tells that there are more."""
        more, rows = len(rows) > self.limit, rows[: self.limit]
        if self.direction == "p":
            rows.reverse()
        has_next = more if self.direction == "n" else bool(rows)
        has_previous = self.edge is not None and bool(rows) if self.direction == "n" else more
        page = Page(results=rows)
        if has_next and rows:
            page.next = _neighbour(self.request, _encode("n", rows[-1], self.time_field))
        if has_previous and rows:
            page.previous = _neighbour(self.request, _encode("p", rows[0], self.time_field))
        return page

    def goes_on(self, page):
        """True when there are more rows beyond `page` in the request's direction."""
        return bool(page.next if self.direction == "n" else page.previous)

    def _onward(self, queryset):
        return onward(queryset, self.time_field, self.direction, self.edge)


def onward(queryset, time_field, direction, edge):
    """`queryset` in the order of `direction`, beyond the row at `edge`: (time, pk), or None."""
    older = direction == "n"
    if edge:
        at, pk = edge
        to, beyond = ("lte", "lt") if older else ("gte", "gt")
        # The first condition bounds the index range; the second orders rows with the same time as the edge.
        queryset = queryset.filter(**{f"{time_field}__{to}": at}).filter(
            Q(**{f"{time_field}__{beyond}": at}) | Q(**{f"pk__{beyond}": pk})
        )
    order = (f"-{time_field}", "-pk") if older else (time_field, "pk")
    return queryset.order_by(*order)


def is_first_of(pieces, limit):
    """A condition: the row is among the first `limit` rows of one of these ordered querysets."""
    return _Among(*union(piece.values("pk")[:limit] for piece in pieces))


class _Among(Func):
    """A condition: the row's id is among those that a query, (SQL, parameters), selects."""

    output_field = BooleanField()

    def __init__(self, sql, params):
        super().__init__(F("pk"))
        self.sql, self.params = sql, params

    def as_sql(self, compiler, connection, form="IN (%s)"):
        """On every database but PostgreSQL."""
        column, params = compiler.compile(self.source_expressions[0])
        return f"{column} {form % self.sql}", [*params, *self.params]

    def as_postgresql(self, compiler, connection):
        """As an array, which the query makes once and first.

        With IN, a planner without statistics, as after a restore, makes the list anew for each row of the table.
        """
        return self.as_sql(compiler, connection, form="= ANY(ARRAY(%s))")


def union(querysets):
    """(SQL, parameters) that select the rows of all `querysets`."""
    queries = [queryset.query.sql_with_params() for queryset in querysets]
    # Safe to format: Django made this SQL from our querysets. User input stays in the parameters.
    union = " UNION ALL ".join(f"SELECT * FROM ({sql}) AS piece" for sql, _params in queries)  # noqa: S608
    return union, [value for _sql, params in queries for value in params]


def keyset_page(queryset, *, request, time_field, default_limit=DEFAULT_LIMIT, pieces=None):
    """One page of `queryset`, newest first, at the place that the request asks for. Raises Invalid (400)."""
    place = Keyset(request, model=queryset.model, time_field=time_field, default_limit=default_limit)
    return place.page(queryset, pieces=pieces)


def offset_page(source, *, request, default_limit=DEFAULT_LIMIT, **held):
    """One page of an ordered list by `limit` and `offset`, without counting it.

    `source` is a queryset, or a function that returns the rows from one number to before another.
    `held` are parameters to add to the URLs of the next and previous page where the request's own query lacks them.
    """
    limit, offset = read_limit(request.GET, default=default_limit), read_offset(request.GET)
    end = offset + limit + 1
    rows = source(offset, end) if callable(source) else list(source[offset:end])
    previous = None
    if offset:
        previous = _neighbour(request, None, offset=max(0, offset - limit), **held)
    following = _neighbour(request, None, offset=offset + limit, **held) if len(rows) > limit else None
    return Page(results=rows[:limit], next=following, previous=previous)


def _neighbour(request, cursor, *, offset=None, **held):
    params = request.GET.copy()
    for name, value in held.items():
        if not params.get(name):
            params[name] = value
    for name, value in (("cursor", cursor), ("offset", offset)):
        params.pop(name, None)
        if value:
            params[name] = value
    query = urlencode(list(params.lists()), doseq=True)
    return request.build_absolute_uri(request.path + (f"?{query}" if query else ""))


def answer(page, serializer_class, **context):
    """The list body of the API's contract for `page`."""
    rows = serializer_class(page.results, many=True, context=context).data
    return Response({"next": page.next, "previous": page.previous, "results": rows})


@functools.cache
def page_of(serializer_class):
    """A serializer class that describes the list body to the OpenAPI schema."""
    name = serializer_class.__name__.removesuffix("Serializer")
    return type(
        f"{name}PageSerializer",
        (serializers.Serializer,),
        {
            "next": serializers.URLField(allow_null=True),
            "previous": serializers.URLField(allow_null=True),
            "results": serializer_class(many=True),
            "__doc__": f"One page of {name}.",
        },
    )
