"""QR codes, drawn here."""

import segno
from django.utils.safestring import mark_safe


def svg(text):
    """`text` as an SVG to stand in a page, without style or script: dark on light, whatever the theme."""
    drawn = segno.make(text, error="m").svg_inline(
        border=4, dark="#000", light="#fff", omitsize=True, svgclass="qr-code", lineclass=None
    )
    return mark_safe(drawn)  # noqa: S308 - lines and numbers of segno's, nothing of the text stands in it
