"""QR codes, made on the server."""

from django.utils.safestring import mark_safe

from config.lazy import LazyModule

segno = LazyModule("segno")


def svg(text):
    """`text` as an SVG inside a page, without style or script. Dark on light in every theme, for phones to read."""
    drawn = segno.make(text, error="m").svg_inline(
        border=4, dark="#000", light="#fff", omitsize=True, svgclass="qr-code", lineclass=None
    )
    return mark_safe(drawn)  # noqa: S308 - segno writes only lines and numbers; the SVG does not hold the text
