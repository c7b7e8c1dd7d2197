"""Safe previews of files: pictures, text and PDF.

No content of a file may run as a script on the portal's origin. Therefore the portal decodes a picture and encodes it
again, shows text escaped in its own page, and leaves PDF to the browser's viewer, outside its origin. Other kinds have
no preview; SVG and web pages could run scripts.
"""

import codecs
import io
import threading
from dataclasses import dataclass
from enum import StrEnum

from django.utils.translation import gettext as _
from PIL import Image

from audit.log import record
from config.drawing import pictures
from config.errors import Refused
from fileshare import checksums
from fileshare.content import file_types
from fileshare.contributions.actions import Action

from .downloads import wanted

MIB = 1024 * 1024
MAX_IMAGE_BYTES = 32 * MIB
# A JPEG can be decoded at a fraction of its size. Other formats need all their pixels in memory, hence the lower limit.
MAX_IMAGE_PIXELS = 16_000_000
MAX_JPEG_PIXELS = 100_000_000
SIDE_PIXELS = 1600
MAX_TEXT_BYTES = 256 * 1024
FORMATS = ("PNG", "JPEG", "WEBP", "GIF")
IMAGE_EXTENSIONS = frozenset(["png", "jpg", "jpeg", "jpe", "jfif", "webp", "gif"])
TEXT_EXTENSIONS = frozenset(["csv", "tsv", *file_types.endings_of("text")])
_VISIBLE = {code: "�" for code in [*range(32), *range(127, 160)] if chr(code) not in "\t\n\r"}
# To decode a large picture takes much memory and a second of a core, so only two are decoded at a time. Other requests
# wait for PATIENCE_SECONDS and then get a 503: a longer wait would hold threads of the portal.
_DECODING = threading.BoundedSemaphore(2)
PATIENCE_SECONDS = 0.5


class Kind(StrEnum):
    """The kind of preview that a file has."""

    IMAGE = "image"
    TEXT = "text"
    PDF = "pdf"
    NONE = ""


class NoPreview(Refused):
    """415: there is no preview of this kind of file, or of this one file."""

    def __init__(self, code="no_preview", message=None):
        super().__init__(415, code, message or _("There is no preview of this kind of file."))


class PreviewBusy(Refused):
    """503: the portal is decoding as many pictures as it does at a time."""

    def __init__(self):
        super().__init__(503, "preview_busy", _("Many previews are being made just now. Try again."), retry_after=2)


def kind_of(file):
    """The Kind of a File, by its extension. The upload checked that its content fits the extension."""
    if file.extension in IMAGE_EXTENSIONS:
        return Kind.IMAGE
    if file.extension == "pdf":
        return Kind.PDF
    return Kind.TEXT if file.extension in TEXT_EXTENSIONS else Kind.NONE


@dataclass(frozen=True)
class Preview:
    """What a preview shows. A picture has `content` and `content_type`. A text has `text`, which must be escaped, and
    `goes_on`, which is True when it was cut. A PDF has its `kind` only."""

    kind: Kind
    content: bytes = b""
    content_type: str = ""
    text: str = ""
    goes_on: bool = False


def of(file, *, request, user=None, **detail):
    """The Preview of a File for an HTTP request. The caller has checked the right to see it. Each look is logged.

    Raises NoPreview (415), PreviewBusy (503), ObjectMissing (404), StoreUnavailable (503).
    """
    kind, is_look = kind_of(file), request.method != "HEAD"
    if kind == Kind.IMAGE:
        preview = Preview(kind, *image(file)) if is_look else Preview(kind)
    elif kind == Kind.TEXT:
        shown, goes_on = text(file)
        preview = Preview(kind, text=shown, goes_on=goes_on)
    elif kind == Kind.PDF:
        # A PDF viewer requests a long document in parts. Log only the request for the first part.
        asked = wanted(request, file)
        preview, is_look = Preview(kind), asked.has_bytes and asked.from_start
    else:
        raise NoPreview
    if is_look:
        record(Action.PREVIEW, user=user, target=file, folder=file.folder, size_bytes=file.size_bytes, **detail)
    return preview


def image(file):
    """(bytes, content type) of the picture, encoded again within SIDE_PIXELS: one frame, no metadata or hidden data.

    Raises NoPreview (415) for a file that is no picture or is too large to decode, PreviewBusy (503), ObjectMissing,
    StoreUnavailable.
    """
    if file.size_bytes > MAX_IMAGE_BYTES:
        raise _too_large()
    if not _DECODING.acquire(timeout=PATIENCE_SECONDS):
        raise PreviewBusy
    try:
        raw = io.BytesIO()
        for block in checksums.bytes_of(file, 0, file.size_bytes):
            raw.write(block)
        raw.seek(0)
        return _drawn(raw)
    finally:
        _DECODING.release()


def _too_large():
    return NoPreview("preview_too_large", _("This picture is too large for a preview."))


def _drawn(raw):
    try:
        picture = pictures.decoded(
            raw,
            formats=FORMATS,
            side=SIDE_PIXELS,
            most_pixels=MAX_IMAGE_PIXELS,
            most_jpeg_pixels=MAX_JPEG_PIXELS,
        )
    except pictures.TooManyPixels:
        raise _too_large() from None
    except pictures.PictureRefused:
        raise NoPreview("preview_unreadable", _("This picture cannot be read, so there is no preview.")) from None
    picture.thumbnail((SIDE_PIXELS, SIDE_PIXELS), Image.Resampling.LANCZOS)
    clean = Image.new(picture.mode, picture.size)
    clean.paste(picture)
    out = io.BytesIO()
    if picture.mode == "RGBA":
        clean.save(out, "PNG")
        return out.getvalue(), "image/png"
    clean.save(out, "JPEG", quality=85)
    return out.getvalue(), "image/jpeg"


def text(file):
    """(text, True when it was cut): the first MAX_TEXT_BYTES. Bytes that cannot be decoded are replaced.

    The caller must escape the text before it shows it. Raises ObjectMissing, StoreUnavailable.
    """
    end = min(file.size_bytes, MAX_TEXT_BYTES)
    raw = b"".join(checksums.bytes_of(file, 0, end))
    decoded = _decoded(raw)
    return decoded.translate(_VISIBLE), end < file.size_bytes


def _decoded(raw):
    for mark, encoding in (
        (codecs.BOM_UTF8, "utf-8-sig"),
        # UTF-32 before UTF-16: its little-endian mark begins with that of UTF-16.
        (codecs.BOM_UTF32_LE, "utf-32"),
        (codecs.BOM_UTF32_BE, "utf-32"),
        (codecs.BOM_UTF16_LE, "utf-16"),
        (codecs.BOM_UTF16_BE, "utf-16"),
    ):
        if raw.startswith(mark):
            return raw.decode(encoding, "replace")
    try:
        # The incremental decoder accepts an incomplete last character: the cut may have split it.
        return codecs.getincrementaldecoder("utf-8")().decode(raw)
    except UnicodeDecodeError:
        return raw.decode("cp1252", "replace")
