"""Pictures of any depth: black, middle and white stay black, middle and white."""

import io

import pytest
from PIL import Image

from config.drawing import pictures

pytestmark = pytest.mark.once

DARK, MIDDLE, BRIGHT = (0, 0, 0), (128, 128, 128), (255, 255, 255)
GREYS = [DARK, MIDDLE, BRIGHT]
SIXTEEN_BITS = [0, 0x8000, 0xFFFF]
MODES = {
    "1": ([0, 255, 255], [DARK, BRIGHT, BRIGHT]),
    "L": ([0, 128, 255], GREYS),
    "P": ([0, 128, 255], GREYS),
    "RGB": (GREYS, GREYS),
    "RGBX": ([(*grey, 0) for grey in GREYS], GREYS),
    "CMYK": ([(0, 0, 0, 255), (0, 0, 0, 127), (0, 0, 0, 0)], GREYS),
    "YCbCr": ([(0, 128, 128), (128, 128, 128), (255, 128, 128)], GREYS),
    "HSV": ([(0, 0, 0), (0, 0, 128), (0, 0, 255)], GREYS),
    "LAB": ([(0, 128, 128), (137, 128, 128), (255, 128, 128)], GREYS),
    "I;16": (SIXTEEN_BITS, GREYS),
    "I;16L": (SIXTEEN_BITS, GREYS),
    "I;16B": (SIXTEEN_BITS, GREYS),
    "I;16N": (SIXTEEN_BITS, GREYS),
    "I": (SIXTEEN_BITS, GREYS),
    "F": ([0.0, 0.502, 1.0], GREYS),
    "LA": ([(0, 255), (128, 0), (255, 128)], [(*DARK, 255), (*MIDDLE, 0), (*BRIGHT, 128)]),
    "La": ([(0, 255), (64, 128), (255, 255)], [(*DARK, 255), (*MIDDLE, 128), (*BRIGHT, 255)]),
    "PA": ([(0, 255), (128, 0), (255, 128)], [(*DARK, 255), (*MIDDLE, 0), (*BRIGHT, 128)]),
    "RGBA": ([(*DARK, 255), (*MIDDLE, 0), (*BRIGHT, 128)], [(*DARK, 255), (*MIDDLE, 0), (*BRIGHT, 128)]),
    "RGBa": ([(*DARK, 255), (64, 64, 64, 128), (*BRIGHT, 255)], [(*DARK, 255), (*MIDDLE, 128), (*BRIGHT, 255)]),
}


def of(mode, values):
    picture = Image.new(mode, (len(values), 1))
    if mode in ("P", "PA"):
        picture.putpalette([part for grey in range(256) for part in (grey, grey, grey)])
    for column, value in enumerate(values):
        picture.putpixel((column, 0), value)
    return picture


def columns(picture):
    return [picture.getpixel((column, 0)) for column in range(picture.width)]


def test_the_table_names_every_mode_that_pillow_knows():
    assert MODES.keys() == set(Image.MODES)


@pytest.mark.parametrize(("mode", "values", "shown"), [(mode, *facts) for mode, facts in MODES.items()], ids=MODES)
def test_a_picture_keeps_its_depth(mode, values, shown):
    got = columns(pictures.eight_bit(of(mode, values)))

    assert [len(colour) for colour in got] == [len(colour) for colour in shown]
    assert all(
        abs(a - b) <= 2 for found, colour in zip(got, shown, strict=True) for a, b in zip(found, colour, strict=True)
    ), got


@pytest.mark.parametrize(
    ("mode", "values", "shown"),
    [
        ("I", [0, 128, 255], [0, 128, 255]),
        ("I", [0, 500_000, 1_000_000], [0, 127, 255]),
        ("I", [-100, 0, 100], [0, 127, 255]),
        ("I", [-7, -7, -7], [0, 0, 0]),
        ("F", [0.0, 128.0, 255.0], [0, 128, 255]),
        ("F", [0.0, 32_768.0, 65_535.0], [0, 127, 255]),
        ("F", [-1.0, 0.0, 1.0], [0, 127, 255]),
    ],
)
def test_grey_without_a_fixed_white_is_scaled_and_not_clipped(mode, values, shown):
    assert columns(pictures.eight_bit(of(mode, values))) == [(grey,) * 3 for grey in shown]


def test_a_png_of_16_bits_keeps_its_greys_and_only_its_very_transparent_value():
    file = io.BytesIO()
    of("I;16", [0, 0x80FF, 0x8000, 0xFFFF]).save(file, "PNG", transparency=0x80FF)

    picture = pictures.decoded(file, formats=["PNG"], side=100, most_pixels=100)

    assert columns(picture) == [(*DARK, 255), (*MIDDLE, 0), (*MIDDLE, 255), (*BRIGHT, 255)]
