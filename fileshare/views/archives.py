"""A ZIP on its way: exact length, and any range of it."""

import uuid

from django.contrib.auth.decorators import login_required
from django.http import StreamingHttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_POST

from config.access import is_uuid
from config.throttling import throttle

from .. import archives, folders
from ..filenames import content_disposition
from ..models import File
from ..storage import ObjectInfo
from .sending import answer_range


def send_archive(request, stream, *, headers):
    """The answer that sends what `headers` ask of `stream`. Its Link header says where to go on."""
    info = ObjectInfo(
        size_bytes=stream.size_bytes,
        etag=stream.archive.pk.hex,
        sha256=None,
        crc32=None,
        modified_at=stream.archive.created_at.replace(microsecond=0),
    )

    def body(start, end):
        return StreamingHttpResponse(stream.read(start, end))

    response = answer_range(request, info, body, headers=headers, own=True)
    again = request.build_absolute_uri(reverse("api-bulk-again", args=[stream.archive.pk]))
    response["Link"] = f'<{again}>; rel="alternate"; type="application/zip"'
    response["Content-Type"] = "application/zip"
    response["Content-Disposition"] = content_disposition(archives.FILENAME)
    response["Cache-Control"] = "private, no-store"
    response["X-Content-Type-Options"] = "nosniff"
    # nginx would gather it in a file before a slow client has read it.
    response["X-Accel-Buffering"] = "no"
    return response


@login_required
@require_POST
def download_chosen(request):
    """The chosen files of a table (`file_ids`) as one ZIP; with `partial` those of them that are still to be had.

    Without it, when some are not, a page that says so and offers the others.
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
    """A whole folder, or one of its subfolders, as one ZIP."""
    throttle(request, "download_url")
    folder = folders.visible_folder(user=request.user, slug=slug)
    subfolder = folders.subfolder_of(folder, slug=subfolder_slug) if subfolder_slug else None
    stream = archives.of_folder(user=request.user, folder=folder, subfolder=subfolder)
    return send_archive(request, stream, headers={})
