"""The local object store over HTTP: signed URLs that receive and send bytes as S3's do.

The URL's signature is the permission, so the view needs no session and no CSRF token. Each request checks again
whether the upload is still open, or whether the user may still read the file.

With BODY_FILE_DIR a proxy in front may receive the bodies (deploy/nginx/portal.conf). First the proxy sends a HEAD
with the body's length in X-Body-Length, to ask whether the URL takes the body. Then it sends the PUT without a body
and with the file's name in X-Body-File. It removes an X-Body-File header that a client sends.
"""

import logging
import re
from contextlib import contextmanager

from django.conf import settings
from django.http import Http404, HttpResponse
from django.utils.http import quote_etag
from django.utils.translation import gettext as _
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from config.errors import Refused
from config.http.refusals import cut_off
from config.http.view_facts import JSON, says
from fileshare.incoming import uploads
from fileshare.outgoing import downloads
from fileshare.outgoing.sending import send_object
from fileshare.sharing import redeeming
from fileshare.storage import StoreUnavailable, TooLarge, body_files, get_store, signing

logger = logging.getLogger(__name__)
CONTENT_RANGE = re.compile(r"bytes (?P<start>\d{1,18})-(?P<last>\d{1,18})/(?P<size>\d{1,18})", re.ASCII)


# No limit of the body here: the signature of a PUT limits its size.
@says(body_limit=None, refuses_in=JSON, needs_session=False)
@csrf_exempt
@require_http_methods(["GET", "HEAD", "PUT"])
def store_object(request, token):
    """`/store/<token>`, named store-object. Raises Http404 when the store has its own server, as S3 has."""
    if get_store().is_remote:
        raise Http404
    if settings.BODY_FILE_DIR and request.method == "HEAD" and "HTTP_X_BODY_LENGTH" in request.META:
        return _takes_body(request, token)
    return _receive(request, token) if request.method == "PUT" else _send(request, token)


def _receive(request, token):
    purpose, claims = signing.verify(token, "put", "part")
    span = _span(request, claims["size"] if purpose == "part" else None)
    with _body(request, limit=span[1] - span[0] if span else claims["size"]) as body:
        # Clients leave out the type of a body that is empty.
        content_type = request.META.get("CONTENT_TYPE", "") or (claims["type"] if claims["size"] == 0 else "")
        if purpose == "put" and claims["type"] not in ("", content_type):
            raise signing.invalid()

        def assert_open():
            uploads.assert_open(claims["file"])

        assert_open()
        store = get_store()
        if purpose == "put":
            received = store.receive_put(
                claims["key"], body, size_limit=claims["size"], content_type=claims["type"], before_publish=assert_open
            )
        else:
            received = store.receive_part(
                claims["key"],
                claims["id"],
                claims["n"],
                body,
                size_limit=claims["size"],
                span=span,
                before_publish=assert_open,
            )
    if received is None:
        return HttpResponse(status=204)
    return HttpResponse(headers={"ETag": quote_etag(received.etag)})


def _span(request, size):
    """(start, end) of the part's bytes that the body has; None for all of them. `size` is the part's, None for a file.

    Raises Refused (400) for another Content-Range: RFC 9110 §14.5 forbids to take it for the whole.
    """
    given = request.headers.get("Content-Range")
    if given is None:
        return None
    found = CONTENT_RANGE.fullmatch(given)
    if size is not None and found is not None:
        start, last, whole = (int(found[name]) for name in ("start", "last", "size"))
        if start <= last < whole == size:
            return start, last + 1
    raise Refused(400, "malformed", _("Content-Range names no bytes of this part."))


def _takes_body(request, token):
    """204 when the URL takes the body, else 403: the proxy then passes the PUT on, and the client gets the error."""
    try:
        _purpose, claims = signing.verify(token, "put", "part")
        _assert_fits(_announced(request.META["HTTP_X_BODY_LENGTH"]), claims["size"])
        uploads.assert_open(claims["file"])
    except Refused as refusal:
        if refusal.status >= 500:
            raise
        return HttpResponse(status=403)
    return HttpResponse(status=204)


def _send(request, token):
    _purpose, claims = signing.verify(token, "get")
    file, info = _authorized(claims["claims"], request)
    return send_object(request, key=file.object_key, info=info, filename=claims["name"], content_type=claims["type"])


def _authorized(claims, request):
    """(File, its ObjectInfo or None) of a URL, if its user may still read it, or a share link's use was spent on it."""
    if "share_download" in claims:
        return redeeming.file_of_grant(claims["share_download"]), None
    return downloads.authorize_store_get(claims, request)


@contextmanager
def _body(request, *, limit):
    """An object whose `read(n)` gives the body, which the portal or the proxy has received.

    Raises what _Body raises, and StoreUnavailable (503) when the proxy names a file that is not in BODY_FILE_DIR.
    """
    path = request.META.get("HTTP_X_BODY_FILE", "") if settings.BODY_FILE_DIR else ""
    if not path:
        yield _Body(request, limit=limit)
        return
    file = body_files.named(path)
    if file is None:
        logger.error("X-Body-File names no file directly in BODY_FILE_DIR that can be read")
        raise StoreUnavailable
    with file:
        _assert_fits(file.size_bytes, limit)
        yield file


def _announced(text):
    """The number of bytes that a header announces. Raises Refused (400)."""
    if not (text.isascii() and text.isdigit()):
        raise Refused(400, "malformed", _("Content-Length is not a number."))
    return int(text)


def _assert_fits(size_bytes, limit):
    if size_bytes > limit:
        raise TooLarge(limit)


class _Body:
    """The request's body, read directly from the server: it is not buffered and not parsed as a form.

    Creating it raises TooLarge when the client announces more than `limit` bytes, and Refused (411) when no header
    tells where the body ends, unless it has to be empty. Reading raises Refused: 400 when the body ends too early,
    408 when it arrives too slowly.
    Without a Content-Length the body must be chunked, and the server must end the stream itself
    (`wsgi.input_terminated`). Django's own request would show such a body as empty.
    """

    def __init__(self, request, *, limit):
        announced = request.META.get("CONTENT_LENGTH") or None
        if announced is not None:
            self._left = _announced(announced)
            _assert_fits(self._left, limit)
        elif "HTTP_TRANSFER_ENCODING" in request.META and request.META.get("wsgi.input_terminated"):
            self._left = None
        elif limit == 0:
            self._left = 0  # without both headers a body is empty (RFC 9112 §6.3), as it shall be
        else:
            raise Refused(411, "length_required", _("Send a Content-Length."))
        self._stream = request.environ["wsgi.input"]

    def read(self, size):
        """The next bytes, at most `size`; b"" at the end of a whole body."""
        if self._left is not None:
            size = min(size, self._left)
        if size == 0:
            return b""
        try:
            block = self._stream.read(size)
        except Exception as error:  # each server raises its own exception when a connection breaks
            raise cut_off(error) from error
        if self._left is not None:
            if not block:
                raise cut_off(None)
            self._left -= len(block)
        return block
