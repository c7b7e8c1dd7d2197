#!/usr/bin/env bash
# SheetJS declares in every plain workbook that its .bin parts are a workbook with macros, and writes no such part.
#
# Expected: `[Content_Types].xml` of an .xlsx without macros names no type of macros.
# Seen:     `<Default Extension="bin" ContentType="application/vnd.ms-excel.sheet.binary.macroEnabled.main"/>`, in the
#           output of `xlsx` and of `xlsx-js-style`. The workbook has no .bin part, and Excel opens it without a word.
# With:     xlsx 0.18.5, xlsx-js-style 1.2.0; Node.js 20; 2026-11.
# Matters:  a portal that looks for "macroEnabled" in the types refuses the most used JavaScript writer. A type counts
#           where a part has it.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm install --prefix . --silent --no-audit --no-fund xlsx@0.18.5 xlsx-js-style@1.2.0 >/dev/null

cat >make.js <<'JS'
for (const writer of ["xlsx", "xlsx-js-style"]) {
  const { utils, writeFile } = require(writer);
  const book = utils.book_new();
  utils.book_append_sheet(book, utils.aoa_to_sheet([["Month", "Amount"]]), "Sales");
  writeFile(book, `${writer}.xlsx`);
}
JS
node make.js

python3 - <<'PY'
import zipfile

for writer in ("xlsx", "xlsx-js-style"):
    with zipfile.ZipFile(f"{writer}.xlsx") as book:
        types = book.read("[Content_Types].xml").decode()
        parts = [name for name in book.namelist() if name.endswith(".bin")]
    print(f"seen: {writer}: macroEnabled among the types: {'macroEnabled' in types}; .bin parts: {parts}")
    assert 'Extension="bin" ContentType="application/vnd.ms-excel.sheet.binary.macroEnabled.main"' in types
    assert not parts
PY
