#!/usr/bin/env bash
# A filled-in PDF form is drawn empty by pypdfium2 unless `init_forms()` is called first, and its text is never read.
#
# Expected: a picture of the page shows what a person filled in, as every PDF reader does.
# Seen:     `page.render()` draws the page with an empty box. After `document.init_forms()`, called before the page is
#           opened, the value is there. The text of the page lacks the value in both cases.
# With:     pypdfium2 5.15.2; the form by reportlab 5.1.0; 2026-11.
# Matters:  previews of tax and bank forms, which are filled in on a screen, would look empty, and a search for what was
#           filled in finds nothing.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install -qq --disable-pip-version-check pypdfium2==5.15.2 reportlab==5.1.0 pillow==13.0.0

venv/bin/python - <<'PY'
import io

import pypdfium2
from reportlab.pdfgen.canvas import Canvas

file = io.BytesIO()
canvas = Canvas(file, pagesize=(300, 200))
canvas.drawString(20, 150, "Tax number:")
canvas.acroForm.textfield(name="number", value="A012345678Z", x=20, y=100, width=200, height=30)
canvas.save()


def look(*, with_forms):
    """(dark pixels inside the box, text of the page)"""
    document = pypdfium2.PdfDocument(file.getvalue())
    if with_forms:
        document.init_forms()
    page = document[0]
    box = page.render(scale=1).to_pil().convert("L").crop((22, 72, 218, 98))
    return sum(box.histogram()[:100]), page.get_textpage().get_text_range()


for with_forms in (False, True):
    ink, text = look(with_forms=with_forms)
    print(f"seen: init_forms {with_forms}: {ink} dark pixels in the box, text {text!r}")
    assert bool(ink) is with_forms
    assert text == "Tax number:"
PY
