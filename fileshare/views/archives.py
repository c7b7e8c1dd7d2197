"""A ZIP on its way: exact length, and any range of it."""

import uuid
from types import SimpleNamespace

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse, StreamingHttpResponse
from django.urls import reverse
from django.utils.http import http_date
from django.views.decorators.http import require_POST

from config.access import is_uuid
from config.throttling import throttle

from .. import archives, folders
from ..filenames import content_disposition
from ..storage import ranges


def send_archive(request, stream, *, ranged=True):
    """The answer that sends `stream`; a range of it where `ranged`. Its Link header says where to go on."""
    etag = f'"{stream.archive.pk.hex}"'
    modified = stream.archive.created_at.replace(microsecond=0)
    status, start, end = 200, 0, stream.size_bytes
    if ranged:
        facts = SimpleNamespace(etag=stream.archive.pk.hex, modified_at=modified, size_bytes=stream.size_bytes)
        status, start, end = ranges.select(request.headers, facts, own=True)
    if status in (304, 416):
        response = HttpResponse(status=status)
    elif request.method == "HEAD":
        response = HttpResponse(status=status, headers={"Content-Length": str(end - start)})
    else:
        response = StreamingHttpResponse(stream.read(start, end), status=status)
        response["Content-Length"] = str(end - start)
    if status == 206:
        response["Content-Range"] = f"bytes {start}-{end - 1}/{stream.size_bytes}"
    elif status == 416:
        response["Content-Range"] = f"bytes */{stream.size_bytes}"
    again = request.build_absolute_uri(reverse("api-bulk-again", args=[stream.archive.pk]))
    response["Link"] = f'<{again}>; rel="alternate"; type="application/zip"'
    response["Content-Type"] = "application/zip"
    response["Content-Disposition"] = content_disposition(archives.FILENAME)
    response["Accept-Ranges"] = "bytes"
    response["ETag"] = etag
    response["Last-Modified"] = http_date(modified.timestamp())
    response["Cache-Control"] = "private, no-store"
    response["X-Content-Type-Options"] = "nosniff"
    # nginx would gather it in a file before a slow client has read it.
    response["X-Accel-Buffering"] = "no"
    return response


@login_required
@require_POST
def download_chosen(request):
    """The chosen files of a table (`file_ids`) as one ZIP."""
    throttle(request, "download_url")
    ids = [uuid.UUID(text) for text in request.POST.getlist("file_ids") if is_uuid(text)]
    return send_archive(request, archives.make(user=request.user, file_ids=ids), ranged=False)


@login_required
@require_POST
def download_folder(request, slug, subfolder_slug=None):
    """A whole folder, or one of its subfolders, as one ZIP."""
    throttle(request, "download_url")
    folder = folders.visible_folder(user=request.user, slug=slug)
    subfolder = folders.subfolder_of(folder, slug=subfolder_slug) if subfolder_slug else None
    stream = archives.of_folder(user=request.user, folder=folder, subfolder=subfolder)
    return send_archive(request, stream, ranged=False)
