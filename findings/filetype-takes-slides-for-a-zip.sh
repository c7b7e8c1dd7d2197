#!/usr/bin/env bash
# filetype takes slides made by PptxGenJS for a plain ZIP, because of the order of their entries.
#
# Expected: a sound .pptx is told to be one by its content, as python-pptx's is.
# Seen:     "application/zip". PptxGenJS begins the package with entries for its folders (`_rels/`, …), which the format
#           allows: the order of entries means nothing in it. filetype looks for the name of a part in the first ones.
#           Packed again without those entries the same slides are recognised.
# With:     filetype 1.2.0, pptxgenjs 4.0.1; Node.js 20; 2026-11. The libmagic of Debian 12 says the same.
# Matters:  a portal that allows .pptx by detected type refuses what web applications export. Read [Content_Types].xml
#           and the relation to the main part instead of guessing from the first bytes.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install -qq --disable-pip-version-check filetype==1.2.0
npm install --prefix . --silent --no-audit --no-fund pptxgenjs@4.0.1 >/dev/null

cat >make.js <<'JS'
const PptxGenJS = require("pptxgenjs");

const slides = new PptxGenJS();
slides.addSlide().addText("Rent review", { x: 1, y: 1 });
slides.writeFile({ fileName: "review.pptx" });
JS
node make.js >/dev/null

venv/bin/python - <<'PY'
import zipfile

import filetype

with zipfile.ZipFile("review.pptx") as made, zipfile.ZipFile("again.pptx", "w", zipfile.ZIP_DEFLATED) as again:
    names = made.namelist()
    types = made.read("[Content_Types].xml").decode()
    for name in names:
        if not name.endswith("/"):
            again.writestr(name, made.read(name))

assert "presentationml.presentation.main+xml" in types
told = {name: filetype.guess_mime(name) for name in ("review.pptx", "again.pptx")}
print(f"seen: first entry {names[0]!r}: {told['review.pptx']}")
print(f"seen: without entries for folders: {told['again.pptx']}")
assert names[0] == "_rels/"
assert told["review.pptx"] == "application/zip"
assert told["again.pptx"] == "application/vnd.openxmlformats-officedocument.presentationml.presentation"
PY
