"""What is done with the chosen files of a table: move, copy, tag and delete them, and undo it."""

import uuid
from collections import Counter
from urllib.parse import urlsplit

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST

from config.access import is_uuid
from config.forms import attempt
from config.http.redirects import safe_path
from config.http.throttling import throttle
from fileshare import tags
from fileshare.many import choosing, copying, deleting, moving, places, tagging, undoing

from ..forms.files import TagForm


@login_required
@require_POST
def move(request):
    """Move the chosen files (`file_ids`) to `place`, a folder's id or that and a subfolder's; without it, ask where."""
    place = _place(request)
    if place is None:
        return _ask_where(request, copies=False)
    throttle(request, "many_files")
    moved = moving.move(user=request.user, file_ids=_chosen(request), partial=True, **place)
    count = len(moved.before)
    text = ngettext("%(count)d file was moved.", "%(count)d files were moved.", count) % {"count": count}
    return _done(request, moved, text if count else "", undoing.of_move(request.user, moved))


@login_required
@require_POST
def copy(request):
    """Copy the chosen files to `place`; without it, ask where."""
    place = _place(request)
    if place is None:
        return _ask_where(request, copies=True)
    throttle(request, "many_files")
    copied = copying.copy(user=request.user, file_ids=_chosen(request), partial=True, **place)
    count = len(copied.files)
    text = ngettext("%(count)d file was copied.", "%(count)d files were copied.", count) % {"count": count}
    return _done(request, copied, text if count else "")


@login_required
@require_POST
def tag(request):
    """Add `tags` to the chosen files; without them, ask for them."""
    form = TagForm(request.POST if "tags" in request.POST else None)
    if form.is_valid():
        throttle(request, "many_files")
        names = [form.cleaned_data["tags"]]
        facts = {"user": request.user, "file_ids": _chosen(request), "add": names, "partial": True}
        is_done, tagged = attempt(form, tagging.change_tags, **facts)
        if is_done:
            count = len(tagged.files)
            text = ngettext("%(count)d file has the tags.", "%(count)d files have the tags.", count)
            text = text % {"count": count} if count else ""
            return _done(request, tagged, text, undoing.of_tags(request.user, tagged))
    context = {
        "form": form,
        "file_ids": choosing.ids_of(_chosen(request)),
        "next": back_from(request),
        "known_tags": tags.suggestions(user=request.user),
    }
    return render(request, "fileshare/many_tags.html", context, status=400 if form.is_bound else 200)


@login_required
@require_POST
def delete(request):
    """Move the chosen files to the trash."""
    throttle(request, "many_files")
    deleted = deleting.delete(user=request.user, file_ids=_chosen(request), partial=True)
    count = len(deleted.files)
    text = ngettext("%(count)d file was deleted.", "%(count)d files were deleted.", count) % {"count": count}
    return _done(request, deleted, text if count else "", undoing.of_deletion(request.user, deleted))


@login_required
@require_POST
def undo(request):
    """Undo what the token `act` says, which stood in the message about it."""
    throttle(request, "many_files")
    try:
        undone = undoing.undo(user=request.user, token=request.POST.get("act", ""))
    except undoing.TooLate as refusal:
        messages.error(request, refusal.message)
        return redirect(back_from(request))
    count = undone.count
    text = {
        undoing.DELETED: ngettext("%(count)d file is back.", "%(count)d files are back.", count),
        undoing.MOVED: ngettext(
            "%(count)d file is back where it was.", "%(count)d files are back where they were.", count
        ),
        undoing.TAGGED: ngettext("%(count)d file lost the tags.", "%(count)d files lost the tags.", count),
    }[undone.act] % {"count": count}
    if not count and not undone.refused:
        messages.info(request, _("There was nothing left to undo: it has changed since then."))
        return redirect(back_from(request))
    return _done(request, undone, text if count else "")


def with_undo(text, token):
    """A message with a button that undoes what it tells of; the page of the message has its form."""
    if not token:
        return text
    button = '{} <button class="button button-small" type="submit" form="undo" name="act" value="{}">{}</button>'
    return format_html(button, text, token, _("Undo"))


def back_from(request, *, otherwise=""):
    """The path of the page on which the user chose the files: what a form says, or where the request comes from.

    `otherwise` is the path when neither is known; without it, that of the user's files.
    """
    come = urlsplit(request.headers.get("Referer", ""))
    path = come._replace(scheme="", netloc="").geturl() if come.netloc == request.get_host() else ""
    asked = safe_path(request, request.POST.get("next", "")) or safe_path(request, path)
    return asked or otherwise or reverse("my-files")


def _done(request, done, text, token=""):
    """Tell what was done, and why some files were left out, on the page that the user came from."""
    if text:
        messages.success(request, with_undo(text, token), extra_tags="undo" if token else "")
    tell = messages.warning if text else messages.error
    for why, count in Counter(refusal.message for refusal in done.refused).items():
        left = ngettext("%(count)d file was left out: %(why)s", "%(count)d files were left out: %(why)s", count)
        tell(request, left % {"count": count, "why": why})
    return redirect(back_from(request))


def _chosen(request):
    return list(dict.fromkeys(uuid.UUID(text) for text in request.POST.getlist("file_ids") if is_uuid(text)))


def _place(request):
    """The keyword arguments of a move for the `place` of the form; None without one."""
    folder_id, _slash, subfolder_id = request.POST.get("place", "").partition("/")
    return {"folder_id": folder_id, "subfolder_id": subfolder_id or None} if folder_id else None


def _ask_where(request, *, copies):
    # NUL stands in no name, and PostgreSQL refuses it.
    words = request.POST.get("words", "").replace("\0", "").strip()[:200]
    found, has_more = places.uploadable(user=request.user, words=words)
    context = {
        "copies": copies,
        "file_ids": choosing.ids_of(_chosen(request)),
        "folders": found,
        "has_more": has_more,
        "words": words,
        "next": back_from(request),
    }
    return render(request, "fileshare/many_places.html", context)
