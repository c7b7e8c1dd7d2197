"""Safe looks at a file: pictures drawn anew, text as text, and PDF for the browser's own viewer.

Whatever a file holds, nothing of it runs on our origin: a picture is decoded here and encoded anew, text stands
escaped in a page of ours, and PDF is left to the browser's viewer, apart from our origin. Other kinds have no
preview, SVG and web pages least of all.
"""

import codecs
import io
import threading
from dataclasses import dataclass
from enum import StrEnum

from django.utils.translation import gettext as _
from PIL import Image

from audit.log import record
from audit.models import Action
from config import pictures
from config.errors import Refused

from . import file_types, files
from .downloads import wanted

MIB = 1024 * 1024
MAX_IMAGE_BYTES = 32 * MIB
# A JPEG is decoded at a fraction of its size; of the others every pixel lies in memory at once.
MAX_IMAGE_PIXELS = 16_000_000
MAX_JPEG_PIXELS = 100_000_000
SIDE_PIXELS = 1600
MAX_TEXT_BYTES = 256 * 1024
FORMATS = ("PNG", "JPEG", "WEBP", "GIF")
IMAGE_EXTENSIONS = frozenset(["png", "jpg", "jpeg", "jpe", "jfif", "webp", "gif"])
TEXT_EXTENSIONS = frozenset(["csv", "tsv", *file_types.endings_of("text")])
_VISIBLE = {code: "�" for code in [*range(32), *range(127, 160)] if chr(code) not in "\t\n\r"}
# A large picture takes memory and a second of a core while it is decoded: few at a time, and the others are asked
# to come again, for whoever waited here would hold a thread of the portal.
_DECODING = threading.BoundedSemaphore(2)
PATIENCE_SECONDS = 0.5


class Kind(StrEnum):
    """How a file can be looked at."""

    IMAGE = "image"
    TEXT = "text"
    PDF = "pdf"
    NONE = ""


class NoPreview(Refused):
    """415: there is no preview of this kind of file, or none of this very file."""

    def __init__(self, code="no_preview", message=None):
        super().__init__(415, code, message or _("There is no preview of this kind of file."))


class PreviewBusy(Refused):
    """503: as many pictures are being drawn as the portal draws at once."""

    def __init__(self):
        super().__init__(503, "preview_busy", _("Many previews are being made just now. Try again."), retry_after=2)


def kind_of(file):
    """The Kind of a File, told by its ending, which its content was checked against when it came."""
    if file.extension in IMAGE_EXTENSIONS:
        return Kind.IMAGE
    if file.extension == "pdf":
        return Kind.PDF
    return Kind.TEXT if file.extension in TEXT_EXTENSIONS else Kind.NONE


@dataclass(frozen=True)
class Preview:
    """What is shown: `content` of `content_type` for a picture, `text` (raw, to be escaped) and whether it goes on
    for a text; of a PDF only that it is one."""

    kind: Kind
    content: bytes = b""
    content_type: str = ""
    text: str = ""
    goes_on: bool = False


def of(file, *, request, user=None, **detail):
    """The Preview of a File for an HTTP request; who may have it was asked before. A look is written down.

    Raises NoPreview (415), ObjectMissing (404), StoreUnavailable (503).
    """
    kind, is_look = kind_of(file), request.method != "HEAD"
    if kind == Kind.IMAGE:
        preview = Preview(kind, *image(file)) if is_look else Preview(kind)
    elif kind == Kind.TEXT:
        shown, goes_on = text(file)
        preview = Preview(kind, text=shown, goes_on=goes_on)
    elif kind == Kind.PDF:
        # A viewer asks for the parts of a long document one by one.
        asked = wanted(request, file)
        preview, is_look = Preview(kind), asked.has_bytes and asked.from_start
    else:
        raise NoPreview
    if is_look:
        record(Action.PREVIEW, user=user, target=file, folder=file.folder, size_bytes=file.size_bytes, **detail)
    return preview


def image(file):
    """(bytes, content type) of the picture, drawn anew within SIDE_PIXELS: no metadata, nothing hidden, one frame.

    Raises NoPreview (415) for what is no picture or too large to decode, PreviewBusy (503), ObjectMissing,
    StoreUnavailable.
    """
    if file.size_bytes > MAX_IMAGE_BYTES:
        raise _too_large()
    if not _DECODING.acquire(timeout=PATIENCE_SECONDS):
        raise PreviewBusy
    try:
        raw = io.BytesIO()
        for block in files.read(file, 0, file.size_bytes):
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
    """(text, whether it goes on): the first MAX_TEXT_BYTES, read as leniently as it takes.

    The text is raw: whoever shows it has to escape it. Raises ObjectMissing, StoreUnavailable.
    """
    end = min(file.size_bytes, MAX_TEXT_BYTES)
    raw = b"".join(files.read(file, 0, end))
    decoded = _decoded(raw)
    return decoded.translate(_VISIBLE), end < file.size_bytes


def _decoded(raw):
    for mark, encoding in (
        (codecs.BOM_UTF8, "utf-8-sig"),
        # UTF-32 first: its mark begins with that of UTF-16.
        (codecs.BOM_UTF32_LE, "utf-32"),
        (codecs.BOM_UTF32_BE, "utf-32"),
        (codecs.BOM_UTF16_LE, "utf-16"),
        (codecs.BOM_UTF16_BE, "utf-16"),
    ):
        if raw.startswith(mark):
            return raw.decode(encoding, "replace")
    try:
        # The cut may go through a letter.
        return codecs.getincrementaldecoder("utf-8")().decode(raw)
    except UnicodeDecodeError:
        return raw.decode("cp1252", "replace")
