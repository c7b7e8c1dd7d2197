"""Previews: what of a file can be looked at without running anything of it."""

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import render
from django.utils.cache import get_conditional_response
from django.utils.http import quote_etag
from django.views.decorators.http import require_safe

from config.throttling import throttle

from .. import downloads, previews
from ..storage import ranges
from .sending import send_object

# Made anew of the same file, a preview looks the same until this changes.
LOOK = "1"


@login_required
@require_safe
def file_preview(request, file_id):
    """A look at a file the user may download; it counts as no download."""
    file = downloads.downloadable(user=request.user, file_id=file_id)
    return show(request, file, back=file.get_absolute_url(), user=request.user)


def show(request, file, *, back, **seen_by):
    """The answer that shows `file` to somebody who may see it; `back` is where a page of ours leads back to.

    A picture and a PDF are bytes that nothing can run in, text is a page. Raises Throttled (429), NoPreview (415),
    ObjectMissing (404), StoreUnavailable (503).
    """
    if not _goes_on(request, file):
        throttle(request, "preview")
    etag = quote_etag(f"{file.pk}-{LOOK}")
    if previews.kind_of(file) == previews.Kind.IMAGE and (fresh := get_conditional_response(request, etag=etag)):
        # Kept by the browser and asked for anew each time: whoever lost the right does not get here.
        fresh["ETag"], fresh["Cache-Control"] = etag, "private, no-cache"
        return fresh
    preview = previews.of(file, request=request, **seen_by)
    if preview.kind == previews.Kind.TEXT:
        return render(request, "fileshare/share_text.html", {"file": file, "preview": preview, "back": back})
    if preview.kind == previews.Kind.PDF:
        # Chromium and Firefox run a document's scripts in viewers of their own, whose origin is not ours. That is
        # what keeps them out: Chromium's frame around the viewer has our origin and does not heed the sandbox.
        # Bytes of a bucket pass through here, for its answers would bear none of our headers.
        response = send_object(
            request,
            key=file.object_key,
            filename=file.filename,
            content_type="application/pdf",
            disposition="inline",
            sent_on=False,
        )
    else:
        response = HttpResponse(preview.content, content_type=preview.content_type)
        response["ETag"], response["Cache-Control"] = etag, "private, no-cache"
        response["Content-Security-Policy"] = "sandbox; default-src 'none'"
        response["Content-Disposition"] = "inline"
    response["Cross-Origin-Resource-Policy"] = "same-origin"
    response["X-Robots-Tag"] = "noindex, nofollow"
    return response


def _goes_on(request, file):
    """True for a later part of a PDF, whose viewer asks for a long one piece by piece: the look was counted."""
    # With If-Range it may be the whole all the same.
    if previews.kind_of(file) != previews.Kind.PDF or "If-Range" in request.headers:
        return False
    match ranges.parse(request.headers.get("Range"), file.size_bytes):
        case (start, _end):
            return start > 0
    return False
