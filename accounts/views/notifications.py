"""The user's notices, and which of them come by mail."""

from datetime import timedelta

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET, require_http_methods, require_POST, require_safe

from accounts.notices import kinds, live_count, notifications, preferences
from config.access import get_visible, is_uuid
from config.api.pagination import keyset_page
from config.forms import attempt

from ..forms import MailForm
from ..models import Notification


@login_required
@require_GET
def notice_list(request):
    """The user's notices by day, newest first; with `unread=1` only the unread ones."""
    only_unread = request.GET.get("unread") == "1"
    own = Notification.objects.filter(user=request.user)
    page = keyset_page(
        own.filter(is_read=False) if only_unread else own,
        request=request,
        time_field="created_at",
        default_limit=50,
    )
    today = timezone.localdate()
    for notice in page.results:
        notice.text, notice.url = notifications.sentence(notice), notifications.url(notice)
        notice.icon, notice.day = kinds.icon(notice.type), timezone.localdate(notice.created_at)
    context = {
        "page": page,
        "only_unread": only_unread,
        "today": today,
        "yesterday": today - timedelta(days=1),
        "newest": live_count.mark_of(page.results[0]) if page.results and not (page.previous or only_unread) else "",
    }
    return render(request, "accounts/notifications.html", context)


@login_required
@require_POST
def mark_read(request):
    """Mark the chosen notices, or all, read."""
    ids = [text for text in request.POST.getlist("ids")[:1000] if is_uuid(text)]
    notifications.mark_read(user=request.user, ids=ids, everything=bool(request.POST.get("all")))
    return redirect("notifications")


@login_required
@require_safe
def open_notice(request, notice_id):
    """Mark one of the user's notices read and redirect to its page. A HEAD request does not mark it."""
    notice = get_visible(notice_id, Notification.objects.filter(user=request.user))
    if request.method == "GET":
        notifications.mark_read(user=request.user, ids=[notice.pk])
    return redirect(notifications.url(notice) or "notifications")


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def mail_preferences(request):
    """For each kind of notice: by mail at once, once a day, or not at all."""
    chosen = preferences.chosen(request.user)
    form = MailForm(request.POST if request.method == "POST" else None, initial=chosen)
    if form.is_bound and form.is_valid():
        done, _chosen = attempt(form, preferences.choose, user=request.user, wishes=form.wishes())
        if done:
            messages.success(request, _("Saved."))
            return redirect("profile-notifications")
    context = {"form": form, "groups": form.groups()}
    return render(request, "accounts/profile_notifications.html", context, status=400 if form.errors else 200)


# No CSRF check: mail programs send this POST by themselves (RFC 8058). The signed token protects it instead.
@csrf_exempt
@require_http_methods(["GET", "HEAD", "POST"])
def unsubscribe(request, token):
    """Stop a kind of e-mail by a POST from the page's button or from a mail program; a GET shows the page."""
    if request.method == "POST":
        _user, kind = preferences.unsubscribe(token=token)
    else:
        _user, kind = preferences.read_unsubscribe(token)
    context = {
        "done": request.method == "POST",
        "label": kinds.KINDS[kind].label if kind in kinds.KINDS else "",
    }
    return render(request, "accounts/unsubscribe.html", context)
