"""Pictures with EXIF data that no camera writes."""

import io
import struct
import zlib

from PIL import Image

ORIENTATION, SHORT, SIGNED_SHORT, FLOAT = 0x0112, 3, 8, 11
SIZE = (64, 48)
UPRIGHT = (SIZE[1], SIZE[0])
"""The size of a picture on its side once it is turned."""


def chunk(name, data):
    """A chunk of a PNG."""
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png_with_cut_exif():
    """A PNG whose eXIf chunk ends within its header."""
    out = io.BytesIO()
    Image.new("RGB", SIZE, "red").save(out, "PNG")
    header, rest = out.getvalue()[:33], out.getvalue()[33:]
    return header + chunk(b"eXIf", b"II*\0") + rest


def jpeg_on_its_side(tag, kind, *values):
    """A JPEG that lies on its side, with one more tag whose values have the TIFF type `kind`."""
    form = {SHORT: "H", SIGNED_SHORT: "h", FLOAT: "f"}[kind]
    packed = struct.pack(f"<{len(values)}{form}", *values)
    entries = sorted(
        [(ORIENTATION, SHORT, 1, struct.pack("<H", 6)), (tag, kind, len(values), packed)], key=lambda entry: entry[0]
    )
    directory = b"".join(struct.pack("<HHI", *facts) + value.ljust(4, b"\0") for *facts, value in entries)
    exif = b"Exif\0\0II*\0" + struct.pack("<IH", 8, len(entries)) + directory + bytes(4)
    out = io.BytesIO()
    Image.new("RGB", SIZE, "red").save(out, "JPEG", exif=exif)
    return out.getvalue()


ODD_TAGS = {
    "an interoperability pointer below zero": jpeg_on_its_side(0xA005, SIGNED_SHORT, -1),
    "a description that is a number": jpeg_on_its_side(0x010E, FLOAT, 1.5),
    "two photometric interpretations": jpeg_on_its_side(0x0106, SHORT, 1, 2),
}
"""Each of them broke Pillow where it wrote the tags anew."""
