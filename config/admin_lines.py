"""What the pages of the admin are made of: links by name, short lists, numbers, moments."""

from urllib.parse import urlencode

from django.db.models import Count, IntegerField, OuterRef, Subquery
from django.db.models.functions import Coalesce
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html, format_html_join

SHOWN = 20


def link(page, text, *args, **query):
    """A link to a page of the admin, `page` being its name; its list filtered by `query`."""
    address = reverse(f"admin:{page}", args=args)
    return format_html('<a href="{}">{}</a>', f"{address}?{urlencode(query)}" if query else address, text)


def row_link(page, row, text=None):
    """A link to the admin's page of a row, by its name unless another `text` is given; "–" for None."""
    return link(page, row if text is None else text, row.pk) if row is not None else "–"


def some_of(rows, line, *, everything=None):
    """The first SHOWN of a queryset as a list, `line` making one of each; `everything` is a link to all of them."""
    rows = list(rows[: SHOWN + 1])
    if not rows:
        return "–"
    items = format_html_join("", "<li>{}</li>", ((line(row),) for row in rows[:SHOWN]))
    more = format_html("<li>{}</li>", everything or "…") if len(rows) > SHOWN else ""
    return format_html('<ul class="plain-list">{}{}</ul>', items, more)


def number_of(rows, field):
    """How many of `rows` point by `field` at the row of the query around it."""
    count = rows.filter(**{field: OuterRef("pk")}).order_by().values(field).annotate(n=Count("pk")).values("n")
    return Coalesce(Subquery(count, output_field=IntegerField()), 0)


def moment(at):
    """A time as people read it; None for none."""
    return at and date_format(timezone.localtime(at), "j M Y, H:i")
