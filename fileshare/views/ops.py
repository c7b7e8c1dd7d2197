"""The ops pages, for the role ops and supers."""

import functools

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.shortcuts import redirect, render
from django.template.defaultfilters import filesizeformat
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.http import require_POST, require_safe

from accounts.notices import kinds
from config.access import get_visible
from config.api.pagination import keyset_page, offset_page
from config.drawing.charts import bars
from config.errors import Refused
from config.http.redirects import safe_path
from config.http.throttling import throttle
from fileshare.desk import ops, traffic
from fileshare.incoming import uploads

from ..models import File, Upload

QUEUE_SHOWN = 10
RECENT = 10
PAGE = 50
FILES_PAGE = 20
CLIENTS_PAGE = 25
MOST_FOLDERS = 200


def ops_only(view):
    """A page for the role ops and supers. Other users get 403, visitors the log-in page."""

    @login_required
    @functools.wraps(view)
    def guarded(request, *args, **kwargs):
        ops.assert_may(request.user)
        return view(request, *args, **kwargs)

    return guarded


class FolderChoice(forms.Form):
    """Choose one of the watched folders; for clients also a part of a name or an address."""

    folder = forms.ChoiceField(label=gettext_lazy("Folder"), required=False)
    q = forms.CharField(label=gettext_lazy("Name or address"), required=False, max_length=254)

    def __init__(self, data, *, user, empty_label=None):
        super().__init__(data)
        self.rows = list(ops.shared_folders(user).in_order().only("name", "slug", "owner")[:MOST_FOLDERS])
        choices = [(folder.slug, folder.name) for folder in self.rows]
        self.fields["folder"].choices = [("", empty_label), *choices] if empty_label else choices

    def slug(self):
        """The requested slug, whether or not it is among the choices; "" without one."""
        # Replace NUL, which databases refuse, by a character that no slug contains.
        return self.data.get("folder", "").replace("\0", "\N{REPLACEMENT CHARACTER}")[:100]


@ops_only
@require_safe
def overview(request):
    """Unfinished uploads, recent files, and how much was uploaded and downloaded each day."""
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
    """(title, the key of a row's value to draw, the function that describes a row) of each chart."""
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
    """All unfinished uploads to the watched folders, newest first."""
    page = keyset_page(_queue(request.user), request=request, time_field="created_at", default_limit=PAGE)
    return render(request, "fileshare/ops_uploads.html", {"page": page})


@ops_only
@require_POST
def give_up(request, file_id):
    """End one of the user's own uploads; a super may end any upload."""
    upload = uploads.give_up(user=request.user, file_id=file_id)
    messages.success(request, _("The upload of “%(name)s” was given up.") % {"name": upload.filename})
    return redirect("ops-uploads")


@ops_only
@require_safe
def files(request):
    """The files of one folder, and for each the clients who have downloaded it."""
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
    """One file and all clients of its folder: when each downloaded it, or that they have not."""
    rows = File.objects.visible_to(request.user).filter(folder__in=ops.shared_folders(request.user).values("pk"))
    row = get_visible(file_id, rows.select_related("folder", "subfolder", "uploaded_by"))
    page = offset_page(ops.clients_of(request.user, folder=row.folder), request=request, default_limit=PAGE)
    last = ops.last_fetched([row], page.results)
    page.results = [(person, last.get((str(row.pk), person.pk))) for person in page.results]
    return render(request, "fileshare/ops_file.html", {"file": row, "page": page})


@ops_only
@require_safe
def clients(request):
    """Clients by name, and how many files each has not downloaded."""
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
    """Remind a client of a folder's files. A refusal is shown as a message on the page with the button."""
    throttle(request, "letters")
    try:
        wish = ops.nudge(user=request.user, folder_id=folder_id, client_id=user_id)
    except Refused as refusal:
        if refusal.status in (429, 503):
            raise
        messages.error(request, refusal.message)
    else:
        words = {
            kinds.NOW: _("A reminder is on its way."),
            kinds.DIGEST: _("They will be reminded by their daily letter."),
            kinds.OFF: _("They want no such mail: the reminder waits for them in the portal."),
        }
        messages.success(request, words[wish])
    return redirect(safe_path(request, request.POST.get("back", "")) or "ops-clients")


@ops_only
@require_safe
def refusals(request):
    """Refused uploads, newest first, with the reason for each."""
    page = keyset_page(
        ops.refusals(request.user).select_related("actor"),
        request=request,
        time_field="created_at",
        default_limit=PAGE,
    )
    for event in page.results:
        event.reason = ops.reason_of(event)
    return render(request, "fileshare/ops_refusals.html", {"page": page, "days": ops.DAYS})
