"""The ops page and its parts, for the role ops and supers."""

import functools

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.shortcuts import redirect, render
from django.template.defaultfilters import filesizeformat
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.http import require_POST, require_safe

from accounts import notices
from config.access import get_visible
from config.charts import bars
from config.errors import Refused
from config.pagination import keyset_page, offset_page
from config.redirects import safe_path
from config.throttling import throttle

from .. import file_types, inspection, ooxml, ops, traffic, uploads
from ..models import File, Upload

QUEUE_SHOWN = 10
RECENT = 10
PAGE = 50
FILES_PAGE = 20
CLIENTS_PAGE = 25
MOST_FOLDERS = 200
# What an upload may be refused for, by its content or name.
REASONS = {
    **file_types.MESSAGES,
    **inspection.MESSAGES,
    **ooxml.MESSAGES,
    "quota_exceeded": gettext_lazy("The folder had not enough room."),
    "file_too_large": gettext_lazy("It was larger than the portal takes."),
    "no_room": gettext_lazy("There was no room for it in the file request or its folder."),
    "request_closed": gettext_lazy("The file request was closed."),
    "request_past": gettext_lazy("The time of the file request was over."),
    "request_full": gettext_lazy("The file request was full."),
}


def ops_only(view):
    """A page for the role ops and supers: 403 for everybody else, the log-in for nobody."""

    @login_required
    @functools.wraps(view)
    def guarded(request, *args, **kwargs):
        ops.assert_may(request.user)
        return view(request, *args, **kwargs)

    return guarded


class FolderChoice(forms.Form):
    """One of the watched folders, and for clients a part of a name or an address."""

    folder = forms.ChoiceField(label=gettext_lazy("Folder"), required=False)
    q = forms.CharField(label=gettext_lazy("Name or address"), required=False, max_length=254)

    def __init__(self, data, *, user, empty_label=None):
        super().__init__(data)
        self.rows = list(ops.shared_folders(user).in_order().only("name", "slug", "owner")[:MOST_FOLDERS])
        choices = [(folder.slug, folder.name) for folder in self.rows]
        self.fields["folder"].choices = [("", empty_label), *choices] if empty_label else choices

    def slug(self):
        """The slug that was asked for, whether or not it is among the choices; "" for none."""
        # A letter no slug has stands for one that no database takes.
        return self.data.get("folder", "").replace("\0", "\N{REPLACEMENT CHARACTER}")[:100]


@ops_only
@require_safe
def overview(request):
    """What is on its way, what came, how much came and went by day."""
    rows = traffic.by_day(request.user, days=ops.DAYS)
    queue = _queue(request.user).order_by("-created_at", "-pk")
    shown = list(queue[: QUEUE_SHOWN + 1])
    recent, pieces = ops.recent_files(request.user)
    context = {
        "days": ops.DAYS,
        "today": rows[-1],
        "queue": shown[:QUEUE_SHOWN],
        "queue_goes_on": len(shown) > QUEUE_SHOWN,
        "waiting_count": queue.order_by().count(),
        "refused_count": ops.refusals(request.user).order_by().count(),
        "recent_files": keyset_page(
            recent.with_version_count().with_details(request.user),
            request=request,
            time_field="uploaded_at",
            default_limit=RECENT,
            pieces=pieces,
        ).results,
        "charts": [_chart(rows, *facts) for facts in _charts()],
        "rows": rows[::-1],
    }
    return render(request, "fileshare/ops.html", context)


def _charts():
    """(title, the number of a row that is drawn, what is said of a row) of each chart."""
    up = ngettext_of("%(n)d file, %(size)s", "%(n)d files, %(size)s", "uploads", "uploaded")
    down = ngettext_of("%(n)d download, %(size)s", "%(n)d downloads, %(size)s", "downloads", "downloaded")
    return [
        (_("Uploaded by day"), "uploaded", up),
        (_("Downloaded by day"), "downloaded", down),
        (_("Stored at the end of the day"), "stored", lambda row: filesizeformat(row["stored"])),
    ]


def ngettext_of(one, many, count, size):
    """A function from a row to the sentence about its `count` and `size`."""
    return lambda row: ngettext(one, many, row[count]) % {"n": row[count], "size": filesizeformat(row[size])}


def _chart(rows, title, value, label):
    drawn = bars(rows, value=value, label=label)
    return {"title": title, "chart": drawn, "most": filesizeformat(drawn["most"]), "has_any": drawn["most"] > 0}


def _queue(user):
    return Upload.objects.watched_by(user).select_related("folder", "subfolder", "uploaded_by", "sender")


@ops_only
@require_safe
def upload_queue(request):
    """Every upload on its way into the watched folders, newest first."""
    page = keyset_page(_queue(request.user), request=request, time_field="created_at", default_limit=PAGE)
    return render(request, "fileshare/ops_uploads.html", {"page": page})


@ops_only
@require_POST
def give_up(request, file_id):
    """End an upload of one's own, or as a super anybody's."""
    upload = uploads.give_up(user=request.user, file_id=file_id)
    messages.success(request, _("The upload of “%(name)s” was given up.") % {"name": upload.filename})
    return redirect("ops-uploads")


@ops_only
@require_safe
def files(request):
    """The files of one folder, and which of its clients have fetched each."""
    form = FolderChoice(request.GET, user=request.user)
    slug = form.slug() or (form.rows[0].slug if form.rows else "")
    context = {"form": form, "folder": None}
    if slug:
        folder = ops.folder_of(request.user, slug)
        rows = File.objects.in_folder(folder, request.user).select_related("folder", "subfolder", "uploaded_by")
        page = keyset_page(rows, request=request, time_field="uploaded_at", default_limit=FILES_PAGE)
        page.results, count = ops.fetched(page.results, folder=folder)
        context |= {"folder": folder, "page": page, "client_count": count}
    return render(request, "fileshare/ops_files.html", context)


@ops_only
@require_safe
def file(request, file_id):
    """One file, and every client of its folder: who fetched it when, and who has not."""
    rows = File.objects.visible_to(request.user).filter(folder__in=ops.shared_folders(request.user).values("pk"))
    row = get_visible(file_id, rows.select_related("folder", "subfolder", "uploaded_by"))
    page = offset_page(ops.clients_of(request.user, folder=row.folder), request=request, default_limit=PAGE)
    last = ops.last_fetched([row], page.results)
    page.results = [(person, last.get((str(row.pk), person.pk))) for person in page.results]
    return render(request, "fileshare/ops_file.html", {"file": row, "page": page})


@ops_only
@require_safe
def clients(request):
    """Clients by name, and how much each has not fetched."""
    form = FolderChoice(request.GET, user=request.user, empty_label=_("All of them"))
    folder = ops.folder_of(request.user, form.slug()) if form.slug() else None
    text = form.data.get("q", "").replace("\0", "").strip()[:254]
    rows = ops.clients_of(request.user, folder=folder, text=text)
    page = offset_page(rows, request=request, default_limit=CLIENTS_PAGE)
    page.results, is_cut = ops.waiting(page.results, user=request.user, folder=folder)
    context = {"form": form, "page": page, "days": ops.DAYS, "most_files": ops.MOST_FILES if is_cut else None}
    return render(request, "fileshare/ops_clients.html", context)


@ops_only
@require_POST
def nudge(request, folder_id, user_id):
    """Remind a client of a folder's files; a refusal is said on the page the button is on."""
    throttle(request, "letters")
    try:
        wish = ops.nudge(user=request.user, folder_id=folder_id, client_id=user_id)
    except Refused as refusal:
        if refusal.status in (429, 503):
            raise
        messages.error(request, refusal.message)
    else:
        words = {
            notices.NOW: _("A reminder is on its way."),
            notices.DIGEST: _("They will be reminded by their daily letter."),
            notices.OFF: _("They want no such mail: the reminder waits for them in the portal."),
        }
        messages.success(request, words[wish])
    return redirect(safe_path(request, request.POST.get("back", "")) or "ops-clients")


@ops_only
@require_safe
def refusals(request):
    """Uploads that were refused, newest first, and why."""
    page = keyset_page(
        ops.refusals(request.user).select_related("actor"),
        request=request,
        time_field="created_at",
        default_limit=PAGE,
    )
    for event in page.results:
        code = event.detail.get("code", "")
        event.reason = REASONS.get(code, code)
    return render(request, "fileshare/ops_refusals.html", {"page": page, "days": ops.DAYS})
