"""Download several files as one ZIP: the chosen ones, or a whole folder."""

import uuid

from django.contrib.auth.decorators import login_required
from django.shortcuts import render
from django.views.decorators.http import require_POST

from config.access import is_uuid
from config.http.throttling import throttle
from fileshare import folders
from fileshare.outgoing import archives
from fileshare.outgoing.sending import send_archive

from ..models import File


@login_required
@require_POST
def download_chosen(request):
    """Send the chosen files of a table (`file_ids`) as one ZIP; with `partial` only those still available.

    Without `partial`, when some files are no longer available, show a page that offers the others.
    """
    throttle(request, "download_url")
    ids = list(dict.fromkeys(uuid.UUID(text) for text in request.POST.getlist("file_ids") if is_uuid(text)))
    try:
        stream = archives.make(user=request.user, file_ids=ids, partial="partial" in request.POST)
    except archives.SomeRefused as refusal:
        rest = File.objects.downloadable_by(request.user).filter(pk__in=ids).count()
        if not rest:
            raise
        context = {"file_ids": ids, "rest": rest, "refused": len(ids) - rest}
        return render(request, "fileshare/download_rest.html", context, status=refusal.status)
    return send_archive(request, stream, headers={})


@login_required
@require_POST
def download_folder(request, slug, subfolder_slug=None):
    """Send a whole folder, or one of its subfolders, as one ZIP."""
    throttle(request, "download_url")
    folder = folders.visible_folder(user=request.user, slug=slug)
    subfolder = folders.subfolder_of(folder, slug=subfolder_slug) if subfolder_slug else None
    stream = archives.of_folder(user=request.user, folder=folder, subfolder=subfolder)
    return send_archive(request, stream, headers={})
