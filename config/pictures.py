"""Pictures that people send, decoded: whatever their bytes are, it is a picture or one of three refusals."""

import warnings

from PIL import ExifTags, Image

_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What turns a picture of each EXIF orientation upright."""


class PictureRefused(Exception):
    """A file that gives no picture."""


class NoPicture(PictureRefused):
    """It is none of the formats asked for."""


class TooManyPixels(PictureRefused):
    """It is a picture of more pixels than are decoded."""


class Unreadable(PictureRefused):
    """It begins like a picture and cannot be decoded."""


def decoded(source, *, formats, side, most_pixels, most_jpeg_pixels=None):
    """The first frame of the picture in `source`, a seekable binary file: upright, as RGB, as RGBA where transparent.

    formats: Pillow's names of those that are tried. A JPEG is decoded at a fraction of its size where `side` pixels
    each way are left; it may have `most_jpeg_pixels` where they are given. Raises PictureRefused.
    """
    try:
        with warnings.catch_warnings():
            # A picture near Pillow's own limit of pixels is refused like one beyond it.
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            picture = Image.open(source, formats=formats)
            most = most_jpeg_pixels if most_jpeg_pixels and picture.format == "JPEG" else most_pixels
            if picture.width * picture.height > most:
                raise TooManyPixels
            picture.draft("RGB", (side, side))
            picture.load()
            picture = _upright(picture)
            return picture.convert("RGBA" if picture.has_transparency_data else "RGB")
    except PictureRefused:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise TooManyPixels from None
    except Image.UnidentifiedImageError:
        raise NoPicture from None
    except Exception:  # noqa: BLE001 - of crafted bytes the decoders raise whatever their code meets
        raise Unreadable from None


def _upright(picture):
    # ImageOps.exif_transpose writes all the other tags anew, and trips over those that no camera writes.
    turn = _UPRIGHT.get(picture.getexif().get(ExifTags.Base.Orientation))
    return picture if turn is None else picture.transpose(turn)
