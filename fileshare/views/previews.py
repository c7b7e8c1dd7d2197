"""Previews: show a file in the browser without running any code that it contains."""

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import render
from django.utils.cache import get_conditional_response
from django.utils.http import quote_etag
from django.views.decorators.http import require_safe

from config.http.throttling import throttle
from fileshare.outgoing import downloads, previews
from fileshare.outgoing.sending import send_object

from ..storage import ranges

# Part of the ETag. Change it when previews of the same file change, or browsers keep showing the old ones.
LOOK = "1"


@login_required
@require_safe
def file_preview(request, file_id):
    """Show a preview of a file the user may download. It does not count as a download."""
    file = downloads.downloadable(user=request.user, file_id=file_id)
    return show(request, file, back=file.get_absolute_url(), user=request.user)


def show(request, file, *, back, **seen_by):
    """The response that shows `file`. The caller has checked that the user may see it.

    A picture or a PDF is sent as bytes, in a way that its scripts cannot run on the portal's origin. A text is shown
    on a page with a link to the address `back`. Raises Throttled (429), NoPreview (415), ObjectMissing (404),
    StoreUnavailable (503).
    """
    if not _goes_on(request, file):
        throttle(request, "preview")
    etag = quote_etag(f"{file.pk}-{LOOK}")
    if previews.kind_of(file) == previews.Kind.IMAGE and (fresh := get_conditional_response(request, etag=etag)):
        # The browser keeps the picture but asks again each time. A user who has lost the right does not get this far.
        fresh["ETag"], fresh["Cache-Control"] = etag, "private, no-cache"
        return fresh
    preview = previews.of(file, request=request, **seen_by)
    if preview.kind == previews.Kind.TEXT:
        return render(request, "fileshare/share_text.html", {"file": file, "preview": preview, "back": back})
    if preview.kind == previews.Kind.PDF:
        # Chromium and Firefox run a PDF's scripts in their own viewers, whose origin is not the portal's. This protects
        # the portal. A sandbox would not: Chromium's frame around the viewer has the portal's origin and ignores it.
        # With a bucket the portal sends the bytes itself (sent_on=False): the bucket's answers lack these headers.
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
    """True for a later part of a PDF: a viewer requests a long PDF in parts, and the first one was counted."""
    # With If-Range the answer may be the whole file, so count it.
    if previews.kind_of(file) != previews.Kind.PDF or "If-Range" in request.headers:
        return False
    match ranges.parse(request.headers.get("Range"), file.size_bytes):
        case (start, _end):
            return start > 0
    return False
