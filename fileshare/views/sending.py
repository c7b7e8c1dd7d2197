"""How the bytes of a stored object leave: from the bucket, by nginx, or by the server's own sendfile."""

import os
import re
from urllib.parse import quote

from django.conf import settings
from django.http import FileResponse, HttpResponse, HttpResponseRedirect

from fileshare.filenames import content_disposition
from fileshare.storage import BLOCK_SIZE, ObjectMissing, get_store, ranges

_MEDIA_TYPE = re.compile(r"[\w.+-]+/[\w.+-]+(?:[ \t]*;[ \t]*[\w.+-]+=[\w.+-]+)*", re.ASCII)


def send_object(request, *, key, filename, content_type, disposition="attachment", sent_on=True):
    """The answer to a GET or HEAD for the object at `key`; who may have it was asked before.

    One range is answered with 206, several or a malformed header with the whole; If-Range and
    If-None-Match are honoured. A store with a server of its own is where a GET for bytes is sent on
    to, by a 302 to a URL good for PRESIGNED_URL_EXPIRY_SECONDS; without `sent_on` the bytes pass through
    here. With X_ACCEL_PREFIX nginx does all of it and the answer only names the object. Of the headers
    set here nginx then passes on Content-Type, Content-Disposition and Cache-Control: its internal
    location has to add the others.

    Raises ObjectMissing (404), StoreUnavailable (503).
    """
    if settings.X_ACCEL_PREFIX:
        response = HttpResponse()
        response["X-Accel-Redirect"] = settings.X_ACCEL_PREFIX.rstrip("/") + "/" + quote(key)
    else:
        response = _answer(request, key, filename, content_type, sent_on)
    if response.status_code == 302:
        response["Cache-Control"] = "private, no-store"
        return response
    response["Content-Type"] = content_type if _MEDIA_TYPE.fullmatch(content_type) else "application/octet-stream"
    response["Content-Disposition"] = content_disposition(filename, disposition)
    response["Cache-Control"] = "private, no-store"
    response["X-Content-Type-Options"] = "nosniff"
    response["Content-Security-Policy"] = "sandbox; default-src 'none'"
    return response


def _answer(request, key, filename, content_type, sent_on):
    store = get_store()
    info = store.head(key)
    if info is None:
        raise ObjectMissing(key)
    # A HEAD, a 304 and a 416 are answered here: the URL would give away the bytes they do not ask for.
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
    """The answer with the bytes that `headers` ask of a representation: 200, 206, 304 or 416, or a HEAD's.

    `info` is an ObjectInfo, `body(start, end)` makes the response that holds those bytes; `own` when no
    nginx sends in our stead.
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


class ObjectResponse(FileResponse):
    """A FileResponse whose headers come from the caller, in blocks of 1 MiB where there is no sendfile."""

    block_size = BLOCK_SIZE

    def set_headers(self, filelike):
        pass  # FileResponse would measure the file and guess from its name


class _RangeReader:
    """The bytes from `start` to `end` of a seekable file, and nothing behind them.

    It shows the file's descriptor, standing at `start`: gunicorn sends from there, as many bytes as
    Content-Length says, without reading them. Other servers read, and stop at `end`.
    """

    mode = "rb"

    def __init__(self, file, start, end):
        self._file = file
        self._end = end
        self.close = file.close  # Django puts the response's own close in its place
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
