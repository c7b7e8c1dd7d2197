"""Building blocks of the admin's pages: links by name, short lists, numbers, times."""

from urllib.parse import urlencode

from django.db.models import Count, IntegerField, OuterRef, Subquery
from django.db.models.functions import Coalesce
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html, format_html_join

SHOWN = 20


def link(page, text, *args, **query):
    """A link to the admin page named `page`; `query` filters the list that it shows."""
    address = reverse(f"admin:{page}", args=args)
    return format_html('<a href="{}">{}</a>', f"{address}?{urlencode(query)}" if query else address, text)


def row_link(page, row, text=None):
    """A link to the admin's page of a row; shows the row's name, or `text` if given. For None gives "–"."""
    return link(page, row if text is None else text, row.pk) if row is not None else "–"


def some_of(rows, line, *, everything=None):
    """The first SHOWN of a queryset as an HTML list; `line(row)` makes an item, `everything` is a link to all rows."""
    rows = list(rows[: SHOWN + 1])
    if not rows:
        return "–"
    items = format_html_join("", "<li>{}</li>", ((line(row),) for row in rows[:SHOWN]))
    more = format_html("<li>{}</li>", everything or "…") if len(rows) > SHOWN else ""
    return format_html('<ul class="plain-list">{}{}</ul>', items, more)


def number_of(rows, field):
    """A subquery: how many of `rows` point by `field` at the row of the outer query."""
    count = rows.filter(**{field: OuterRef("pk")}).order_by().values(field).annotate(n=Count("pk")).values("n")
    return Coalesce(Subquery(count, output_field=IntegerField()), 0)


def moment(at):
    """A time in the reader's time zone and format; None for None."""
    return at and date_format(timezone.localtime(at), "j M Y, H:i")
