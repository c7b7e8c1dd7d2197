#!/usr/bin/env bash
# python-calamine counts rows and columns from the first filled cell, and its two ways of reading differ.
#
# Expected: a value that stands in C4 is found in the fourth row and the third column.
# Seen:     `to_python()` leaves out the empty rows above and the empty columns on the left: C4 is at [0][0].
#           `iter_rows()` of the same sheet gives the rows above, yet still no columns: C4 is at [3][0]. Only
#           `to_python(skip_empty_area=False)` has it at [3][2]; `sheet.start` tells what was left out.
# With:     python-calamine 0.9.1, openpyxl 3.1.5; 2026-11.
# Matters:  a preview with numbered rows, a message such as "row 4 is wrong", or an import that counts columns points at
#           the wrong cell in workbooks with a margin or a letterhead.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install -qq --disable-pip-version-check python-calamine==0.9.1 openpyxl==3.1.5

venv/bin/python - <<'PY'
import openpyxl
from python_calamine import CalamineWorkbook

workbook = openpyxl.Workbook()
workbook.active["C4"], workbook.active["D4"], workbook.active["C5"] = "Invoice", 1200, "Receipt"
workbook.save("book.xlsx")

sheet = CalamineWorkbook.from_path("book.xlsx").get_sheet_by_index(0)
ways = {
    "to_python()": sheet.to_python(),
    "iter_rows()": list(sheet.iter_rows()),
    "to_python(skip_empty_area=False)": sheet.to_python(skip_empty_area=False),
}
places = {}
for name, rows in ways.items():
    places[name] = next((r, row.index("Invoice")) for r, row in enumerate(rows) if "Invoice" in row)
    print(f"seen: {name} has C4 at {places[name]}")
print(f"seen: start {sheet.start}")
assert list(places.values()) == [(0, 0), (3, 0), (3, 2)]
assert sheet.start == (3, 2)
PY
