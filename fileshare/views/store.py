"""The local object store over HTTP: signed URLs that take and give bytes as S3's do.

A URL carries its own permission, so no session and no CSRF token are asked for. Whether the upload
is still open, and whether the reader may still read, is asked anew with every request.

With BODY_FILE_DIR a proxy in front may receive the bodies (deploy/nginx/portal.conf): first it asks, by a HEAD
that names the body's length in X-Body-Length, whether the URL takes it, then it sends the PUT without a body
and with the name of the file in X-Body-File, a header it takes from nobody.
"""

import logging
from contextlib import contextmanager

from django.conf import settings
from django.http import Http404, HttpResponse
from django.utils.http import quote_etag
from django.utils.translation import gettext as _
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from config.errors import Refused
from fileshare import downloads, uploads
from fileshare.storage import StoreUnavailable, TooLarge, body_files, get_store, signing

from .sending import send_object

logger = logging.getLogger(__name__)


@csrf_exempt
@require_http_methods(["GET", "HEAD", "PUT"])
def store_object(request, token):
    """`/store/<token>`, named store-object; nothing is there when the store has a server of its own."""
    if get_store().is_remote:
        raise Http404
    if settings.BODY_FILE_DIR and request.method == "HEAD" and "HTTP_X_BODY_LENGTH" in request.META:
        return _takes_body(request, token)
    return _receive(request, token) if request.method == "PUT" else _send(request, token)


def _receive(request, token):
    purpose, claims = signing.verify(token, "put", "part")
    with _body(request, limit=claims["size"]) as body:
        if purpose == "put" and claims["type"] not in ("", request.META.get("CONTENT_TYPE", "")):
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
                claims["key"], claims["id"], claims["n"], body, size_limit=claims["size"], before_publish=assert_open
            )
    return HttpResponse(headers={"ETag": quote_etag(received.etag)})


def _takes_body(request, token):
    """204, or 403 where the PUT would be refused: the proxy then sends it on as it comes, to hear why."""
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
    file = downloads.authorize_store_get(claims["claims"], request)
    if signing.mark_of(file.object_key) != claims["key"]:
        raise signing.invalid()
    return send_object(request, key=file.object_key, filename=claims["name"], content_type=claims["type"])


@contextmanager
def _body(request, *, limit):
    """What `read(n)` gives the body, whoever received it. Raises what _Body raises, and StoreUnavailable (503)
    when a proxy names a file that is not where it should be."""
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
    """The bytes that a length in a header announces. Raises Refused 400."""
    if not (text.isascii() and text.isdigit()):
        raise Refused(400, "malformed", _("Content-Length is not a number."))
    return int(text)


def _assert_fits(size_bytes, limit):
    if size_bytes > limit:
        raise TooLarge(limit)


class _Body:
    """The request's body, read straight from the server: nothing is buffered, no form is looked for.

    Raises, before anything is read, TooLarge when more is announced than `limit` and Refused 411
    when nothing says where the body ends; while reading, Refused 400 when it ends too early.
    Without a Content-Length the body must be chunked and the server must end the stream itself
    (`wsgi.input_terminated`); Django's own view of such a body would be empty.
    """

    def __init__(self, request, *, limit):
        announced = request.META.get("CONTENT_LENGTH") or None
        if announced is not None:
            self._left = _announced(announced)
            _assert_fits(self._left, limit)
        elif "HTTP_TRANSFER_ENCODING" in request.META and request.META.get("wsgi.input_terminated"):
            self._left = None
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
        except Exception as error:  # every server has its own for a connection that broke off
            raise self._incomplete() from error
        if self._left is not None:
            if not block:
                raise self._incomplete()
            self._left -= len(block)
        return block

    def _incomplete(self):
        return Refused(400, "incomplete_body", _("The connection ended before the body did."))
