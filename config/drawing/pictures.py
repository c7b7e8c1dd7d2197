"""Decode pictures that users upload: any bytes give a picture or one of three refusals."""

import warnings

from PIL import ExifTags, Image, ImageChops

_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""How to turn a picture of each EXIF orientation upright."""


class PictureRefused(Exception):
    """The file cannot be used as a picture."""


class NoPicture(PictureRefused):
    """Its format is not one of those allowed."""


class TooManyPixels(PictureRefused):
    """It has more pixels than the limit."""


class Unreadable(PictureRefused):
    """It begins like a picture but cannot be decoded."""


def decoded(source, *, formats, side, most_pixels, most_jpeg_pixels=None):
    """The first frame of the picture in `source`, turned upright: as RGB, or RGBA if it has transparency.

    `source` is a seekable binary file, `formats` Pillow's names of the allowed formats. A JPEG is decoded at reduced
    size, at least `side` pixels each way. It may have `most_jpeg_pixels`, if given. Deeper pictures are scaled to 8
    bits. Raises PictureRefused.
    """
    try:
        with warnings.catch_warnings():
            # Pillow only warns near its own limit of pixels: turn the warning into an error.
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            picture = Image.open(source, formats=formats)
            most = most_jpeg_pixels if most_jpeg_pixels and picture.format == "JPEG" else most_pixels
            if picture.width * picture.height > most:
                raise TooManyPixels
            picture.draft("RGB", (side, side))
            picture.load()
            return eight_bit(_upright(picture))
    except PictureRefused:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise TooManyPixels from None
    except Image.UnidentifiedImageError:
        raise NoPicture from None
    except Exception:  # noqa: BLE001 - on crafted bytes the decoders raise errors of any kind
        raise Unreadable from None


def _upright(picture):
    # ImageOps.exif_transpose also rewrites all other tags, and fails on malformed ones that no camera writes.
    turn = _UPRIGHT.get(picture.getexif().get(ExifTags.Base.Orientation))
    return picture if turn is None else picture.transpose(turn)


def eight_bit(picture):
    """`picture`, of any mode that Pillow knows, as RGB, or RGBA if it has transparency.

    Pillow's own `convert` clips grey that is deeper than 8 bits: all but the darkest would turn white.
    """
    if picture.mode.startswith("I;16"):
        return _from_16_bits(picture)
    if picture.mode in ("I", "F"):
        picture = _from_open_range(picture)
    elif picture.mode == "La":
        picture = picture.convert("LA")
    return picture.convert("RGBA" if picture.has_transparency_data else "RGB")


def _from_16_bits(picture):
    """Grey of 16 bits by its upper byte, as the PNG specification allows (§13.12).

    The transparent grey of a PNG is a value of 16 bits: only pixels of exactly that value are transparent.
    """
    # By way of mode I: from one mode of 16 bits to another, Pillow clips.
    high, low = Image.frombytes("LA", picture.size, picture.convert("I").tobytes("raw", "I;16B")).split()
    key = picture.info.get("transparency")
    if not isinstance(key, int):
        return high.convert("RGB")
    others = [
        band.point([255 * (value != wanted) for value in range(256)])
        for band, wanted in ((low, key & 0xFF), (high, key >> 8))
    ]
    return Image.merge("RGBA", (high, high, high, ImageChops.lighter(*others)))


def _from_open_range(picture):
    """Grey of modes without a fixed white: I (32-bit integers) and F (floats). Returns mode L.

    White is the first of 1 (F only), 255, 65,535 that no pixel exceeds; else, and with values below 0, the range of
    the pixels is stretched to that of the grey.
    """
    darkest, brightest = picture.getextrema()
    usual = (1, 255, 65_535) if picture.mode == "F" else (255, 65_535)
    white = next((value for value in usual if darkest >= 0 and brightest <= value), None)
    black, white = (0, white) if white else (darkest, brightest)
    scale = 255 / ((white - black) or 1)
    return picture.convert("F").point(lambda value: value * scale + -black * scale).convert("L")
