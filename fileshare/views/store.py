"""The local object store over HTTP: signed URLs that take and give bytes as S3's do.

A URL carries its own permission, so no session and no CSRF token are asked for. Whether the upload
is still open, and whether the reader may still read, is asked anew with every request.
"""

from django.http import Http404, HttpResponse
from django.utils.http import quote_etag
from django.utils.translation import gettext as _
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from config.errors import Refused
from fileshare import downloads, uploads
from fileshare.storage import TooLarge, get_store, signing

from .sending import send_object


@csrf_exempt
@require_http_methods(["GET", "HEAD", "PUT"])
def store_object(request, token):
    """`/store/<token>`, named store-object; nothing is there when the store has a server of its own."""
    if get_store().is_remote:
        raise Http404
    return _receive(request, token) if request.method == "PUT" else _send(request, token)


def _receive(request, token):
    purpose, claims = signing.verify(token, "put", "part")
    body = _Body(request, limit=claims["size"])
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


def _send(request, token):
    _purpose, claims = signing.verify(token, "get")
    file = downloads.authorize_store_get(claims["claims"], request)
    if file.object_key != claims["key"]:
        raise signing.invalid()
    return send_object(request, key=claims["key"], filename=claims["name"], content_type=claims["type"])


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
            self._left = int(announced) if announced.isascii() and announced.isdigit() else -1
            if self._left < 0:
                raise Refused(400, "malformed", _("Content-Length is not a number."))
            if self._left > limit:
                raise TooLarge(limit)
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
