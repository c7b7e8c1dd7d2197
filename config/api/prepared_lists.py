"""Keyset pages of prepared querysets (config.prepared): hot lists are composed once and then only executed."""

from django.db.models.expressions import RawSQL

from config.prepared import Fixed, Prepared

from .pagination import DEFAULT_LIMIT, Keyset, is_first_of, onward, union


class PreparedList:
    """keyset_page for a queryset that is prepared: `build`, `rows` and `kinds` are those of config.prepared.Prepared.

    The rows need `time_field` and `pk`. `pieces` gets the values as `build` does, and returns querysets that together
    hold the rows of `build`, or None. The database then reads at most one page of each piece from that piece's own
    index, and no other rows. `shown` makes of the queryset what `rows` needs.
    """

    def __init__(self, build, *, model, time_field, pieces=None, shown=None, rows=None, **kinds):
        self._model, self._time_field = model, time_field
        places = {"direction": Fixed(), "at": model._meta.get_field(time_field), "pk": model._meta.pk}

        def further(queryset, direction, at, pk):
            return onward(queryset, time_field, direction, None if at is None else (at, pk))

        def page(direction, at, pk, limit, **values):
            queryset, some = build(**values), pieces and pieces(**values)
            if some is not None:
                queryset = queryset.filter(is_first_of((further(piece, direction, at, pk) for piece in some), limit))
            queryset = shown(queryset, **values) if shown else queryset
            return further(queryset, direction, at, pk)[:limit]

        def window(direction, at, pk, size, **values):
            heads = (further(piece, direction, at, pk).values(time_field)[:size] for piece in pieces(**values))
            return _end_of(heads, size, model=model, time_field=time_field, direction=direction)

        self._page = Prepared(page, rows=rows, limit=Fixed(), **places, **kinds)
        self._window = Prepared(window, size=Fixed(), **places, **kinds)

    def at(self, request, *, default_limit=DEFAULT_LIMIT):
        """The Keyset that the request asks for. Raises Invalid (400)."""
        return Keyset(request, model=self._model, time_field=self._time_field, default_limit=default_limit)

    def page(self, *, request, default_limit=DEFAULT_LIMIT, **values):
        """One page, newest first, at the place that the request asks for. Raises Invalid (400)."""
        return self.page_at(self.at(request, default_limit=default_limit), **values)

    def page_at(self, place, **values):
        """One page at a Keyset of this list."""
        rows = self._page.all(limit=place.limit + 1, **_edge(place), **values)
        return place.page_of(rows)

    def window(self, place, size, **values):
        """The time of the row that ends the next `size` rows of all pieces together; None where there are fewer.

        A row in two pieces counts twice. All pieces have the same bound in time. With a bound each, a page could end at
        an old row of one piece, and the next page would skip newer rows of another.
        """
        return self._window.first(size=size, **_edge(place), **values)


def _edge(place):
    at, pk = place.edge or (None, None)
    return {"direction": place.direction, "at": at, "pk": pk}


def _end_of(heads, size, *, model, time_field, direction):
    # Each piece reads its rows in order from an index, and the database merges them.
    sql, params = union(heads)
    # Safe to format: field names and a number from our code, no user input.
    order = f"{time_field}{' DESC' if direction == 'n' else ''}"
    text = f"SELECT {time_field} FROM ({sql}) AS pieces ORDER BY {order} LIMIT 1 OFFSET {size - 1}"  # noqa: S608
    edge = RawSQL(text, params, output_field=model._meta.get_field(time_field))  # noqa: S611
    # Any one row serves to run the subquery: Django has no query without a table.
    return model._base_manager.order_by().annotate(edge=edge).values_list("edge", flat=True)[:1]
