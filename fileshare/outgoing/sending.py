"""Answers that send bytes. The bucket, nginx or the server's sendfile sends a stored object; a ZIP is streamed."""

import os
import re
from urllib.parse import quote

from django.conf import settings
from django.http import FileResponse, HttpResponse, HttpResponseRedirect, StreamingHttpResponse
from django.urls import reverse

from fileshare.content.filenames import content_disposition
from fileshare.storage import BLOCK_SIZE, ObjectInfo, ObjectMissing, get_store, ranges

from . import zip_format

ZIP_TYPE, PLAIN_BYTES = "application/zip", "application/octet-stream"
_MEDIA_TYPE = re.compile(r"[\w.+-]+/[\w.+-]+(?:[ \t]*;[ \t]*[\w.+-]+=[\w.+-]+)*", re.ASCII)


def send_object(request, *, key, filename, content_type, info=None, disposition="attachment", sent_on=True):
    """The answer to a GET or HEAD for the object at `key`. The caller has checked the right to it.

    `info` is the object's ObjectInfo where the caller has just asked the store for it.

    A request for one range gets a 206; several ranges or a malformed header get the whole object. If-Range and
    If-None-Match are honoured. With a remote store, a GET for bytes gets a 302 to a URL of the store, valid for
    PRESIGNED_URL_EXPIRY_SECONDS; without `sent_on` the portal sends the bytes itself. With X_ACCEL_PREFIX nginx does
    all this, and the answer only names the object. Of the headers set here, nginx then passes on Content-Type,
    Content-Disposition and Cache-Control; its internal location has to add the others.

    Raises ObjectMissing (404), StoreUnavailable (503).
    """
    if settings.X_ACCEL_PREFIX:
        response = HttpResponse()
        response["X-Accel-Redirect"] = settings.X_ACCEL_PREFIX.rstrip("/") + "/" + quote(key)
    else:
        response = _answer(request, key, info, filename, content_type, sent_on)
    if response.status_code == 302:
        response["Cache-Control"] = "private, no-store"
        return response
    response["Content-Type"] = content_type if _MEDIA_TYPE.fullmatch(content_type) else PLAIN_BYTES
    response["Content-Disposition"] = content_disposition(filename, disposition)
    response["Cache-Control"] = "private, no-store"
    response["X-Content-Type-Options"] = "nosniff"
    response["Content-Security-Policy"] = "sandbox; default-src 'none'"
    return response


def _answer(request, key, info, filename, content_type, sent_on):
    store = get_store()
    info = info or store.head(key)
    if info is None:
        raise ObjectMissing(key)
    # Answer a HEAD, a 304 and a 416 here. They ask for no bytes, but the store's URL would give its holder all of them.
    leads_on = store.is_remote and sent_on and request.method != "HEAD"
    if leads_on and ranges.select(request.headers, info).has_bytes:
        return HttpResponseRedirect(
            store.presign_get(
                key,
                filename=filename,
                content_type=content_type,
                expires_in=settings.PRESIGNED_URL_EXPIRY_SECONDS,
                claims={},
            )
        )
    return answer_range(
        request,
        info,
        lambda start, end: ObjectResponse(_RangeReader(store.open(key), start, end)),
        headers=request.headers,
    )


def answer_range(request, info, body, *, headers, own=False):
    """The answer with the bytes that `headers` ask for: 200, 206, 304 or 416. A HEAD gets the same without bytes.

    `info` is the ObjectInfo; `body(start, end)` makes the response that holds these bytes. `own` is True when the
    portal sends the bytes even with X_ACCEL_PREFIX.
    """
    status, start, end = ranges.select(headers, info, own=own)
    if status in (304, 416):
        response = HttpResponse(status=status)
    else:
        response = HttpResponse() if request.method == "HEAD" else body(start, end)
        response.status_code = status
        response["Content-Length"] = str(end - start)
    if status == 206:
        response["Content-Range"] = f"bytes {start}-{end - 1}/{info.size_bytes}"
    elif status == 416:
        response["Content-Range"] = f"bytes */{info.size_bytes}"
    response["Accept-Ranges"] = "bytes"
    response["ETag"], response["Last-Modified"] = ranges.validators(info, own=own)
    return response


def send_archive(request, stream, *, headers, again=None):
    """The answer that sends what `headers` ask of `stream`. Its Link header holds the URL that resumes the download:
    the path `again`, or without it that of the API."""
    info = ObjectInfo(
        size_bytes=stream.size_bytes,
        etag=f"{stream.archive.pk.hex}-{zip_format.FORMAT}",
        sha256=None,
        crc32=None,
        modified_at=stream.archive.created_at.replace(microsecond=0),
    )

    def body(start, end):
        return StreamingHttpResponse(stream.read(start, end))

    response = answer_range(request, info, body, headers=headers, own=True)
    again = request.build_absolute_uri(again or reverse("api-bulk-again", args=[stream.archive.pk]))
    response["Link"] = f'<{again}>; rel="alternate"; type="{ZIP_TYPE}"'
    response["Content-Type"] = _archive_type(request.headers.get("Accept", ""))
    response["Content-Disposition"] = content_disposition(stream.filename)
    response["Cache-Control"] = "private, no-store"
    response["X-Content-Type-Options"] = "nosniff"
    # Without this header nginx buffers the archive in a file when the client reads slowly.
    response["X-Accel-Buffering"] = "no"
    return response


def _archive_type(accepted):
    """The media type of a ZIP for a client that sends this Accept header."""
    return PLAIN_BYTES if PLAIN_BYTES in accepted and ZIP_TYPE not in accepted else ZIP_TYPE


class ObjectResponse(FileResponse):
    """A FileResponse whose caller sets the headers. Without sendfile it is read in blocks of 1 MiB."""

    block_size = BLOCK_SIZE

    def set_headers(self, filelike):
        pass  # FileResponse would set the length of the whole file, and guess a type from its name


class _RangeReader:
    """A reader for the bytes from `start` to `end` of a seekable file.

    `fileno` gives the file's descriptor, positioned at `start`: gunicorn sends from there with sendfile, as many bytes
    as Content-Length says. Other servers call `read`, which stops at `end`.
    """

    mode = "rb"

    def __init__(self, file, start, end):
        self._file = file
        self._end = end
        self.close = file.close  # an attribute, because Django replaces it with the response's close
        try:
            file.seek(start)
        except BaseException:
            file.close()
            raise

    def fileno(self):
        return self._file.fileno()

    def read(self, size=-1):
        left = max(0, self._end - self._file.tell())
        return self._file.read(left if size is None or size < 0 else min(size, left))

    def seek(self, offset, whence=os.SEEK_SET):
        if whence == os.SEEK_END:
            offset, whence = self._end + offset, os.SEEK_SET
        return self._file.seek(offset, whence)

    def tell(self):
        return self._file.tell()

    def seekable(self):
        return True
