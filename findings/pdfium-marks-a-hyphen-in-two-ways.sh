#!/usr/bin/env bash
# PDFium's text of a word broken over two lines holds no hyphen but a mark: U+FFFE by one call, U+0002 by another.
#
# Expected: a word that the page breaks as "agree-" and "ment" is "agreement" or "agree-" + newline + "ment", in any way
#           of asking, and a search of the page finds it.
# Seen:     `get_text_range()` gives "agree", U+FFFE, "ment"; `get_text_bounded()` gives "agree", U+0002, "ment". Both
#           are one line, and PDFium's own search finds neither "agreement" nor "agree-".
# With:     pypdfium2 5.15.2; the PDF by fpdf2 2.8.9; 2026-11.
# Matters:  U+FFFE is no character and U+0002 is none that XML 1.0 may hold, so an export or an index trips over it, and
#           "agreement" is not found. Take both marks out before the text is stored.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install -qq --disable-pip-version-check pypdfium2==5.15.2 fpdf2==2.8.9

venv/bin/python - <<'PY'
import pypdfium2
from fpdf import FPDF

pdf = FPDF()
pdf.add_page()
pdf.set_font("Helvetica", size=12)
pdf.text(20, 20, "The tenant signed an agree-")
pdf.text(20, 26, "ment about the office.")

text = pypdfium2.PdfDocument(bytes(pdf.output()))[0].get_textpage()
by_range, bounded = text.get_text_range(), text.get_text_bounded()
print(f"seen: get_text_range   {ascii(by_range)}")
print(f"seen: get_text_bounded {ascii(bounded)}")
assert by_range == "The tenant signed an agree\ufffement about the office."
assert bounded == "The tenant signed an agree\x02ment about the office."

found = {word: text.search(word).get_next() for word in ("tenant", "agreement", "agree-")}
print(f"seen: search {found}")
assert found["tenant"]
assert found["agreement"] is found["agree-"] is None
PY
