"""The log's page and its exports."""

import json

from django.core.serializers.json import DjangoJSONEncoder
from django.http import StreamingHttpResponse
from django.shortcuts import render
from django.utils.translation import ngettext
from django.views.decorators.http import require_safe

from config.api.pagination import keyset_page
from config.api.permissions import super_only
from config.drawing.charts import bars
from config.errors import Refused
from config.http.csv_export import csv_answer

from . import chain, reading
from .actions import Action
from .filters import EventFilter
from .models import Event

PAGE = 50
COLUMNS = (
    *("seq", "id", "created_at", "action", "actor_email", "actor_id", "target_type", "target_id", "target_name"),
    *(
        "folder_slug",
        "subfolder_slug",
        "size_bytes",
        "detail",
        "address",
        "user_agent",
        "request_id",
        "prev_hash",
        "hash",
    ),
)


@super_only
@require_safe
def log(request):
    """The log, newest first, with its filters and a chart of events by day."""
    filters = EventFilter(request.GET)
    context = {"filters": filters, "query": _query(request)}
    try:
        events = reading.read(user=request.user, filters=filters)
    except Refused as refusal:
        return render(request, "audit/log.html", context, status=refusal.status)
    days = reading.activity(events, end=filters.cleaned_data["end_date"])
    chart = bars(days, value="count", label=lambda row: _number_of_events(row["count"]))
    context |= {
        "page": keyset_page(events, request=request, time_field="created_at", default_limit=PAGE),
        "chart": chart,
        "most": _number_of_events(chart["most"]),
        "total": sum(row["count"] for row in days),
        "busy_days": [row for row in reversed(chart["bars"]) if row["count"]],
    }
    return render(request, "audit/log.html", context)


def _number_of_events(count):
    return ngettext("%(n)d event", "%(n)d events", count) % {"n": count}


def _query(request):
    """The filters as a query string, without the position in the list."""
    query = request.GET.copy()
    for name in ("cursor", "limit"):
        query.pop(name, None)
    return query.urlencode()


@super_only
@require_safe
def export_csv(request):
    """The filtered events as CSV, streamed, without cells that a spreadsheet would run as a formula."""
    rows = (
        [json.dumps(cell, ensure_ascii=False) if name == "detail" else _cell(cell) for name, cell in row.items()]
        for row in _rows(request, "csv")
    )
    return csv_answer(filename="audit-log.csv", head=COLUMNS, rows=rows)


def _cell(cell):
    return "" if cell is None else chain.plain(cell)


@super_only
@require_safe
def export_json(request):
    """The filtered events as a JSON list, streamed, one row a line, with all that a check of the chain needs."""
    rows = _rows(request, "json")

    def lines():
        yield "["
        for number, row in enumerate(rows):
            yield (",\n" if number else "\n") + json.dumps(
                {name: chain.plain(cell) for name, cell in row.items()}, cls=DjangoJSONEncoder, ensure_ascii=False
            )
        yield "\n]\n"

    return StreamingHttpResponse(
        lines(),
        content_type="application/json",
        headers={"Content-Disposition": 'attachment; filename="audit-log.json"'},
    )


def _rows(request, way):
    filters = EventFilter(request.GET)
    events = reading.read(user=request.user, filters=filters, action=Action.LOG_EXPORTED, way=way)
    return events.order_by(*Event._meta.ordering).values(*COLUMNS).iterator(chunk_size=1000)
