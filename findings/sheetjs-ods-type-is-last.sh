#!/usr/bin/env bash
# SheetJS writes the `mimetype` of an OpenDocument sheet behind other entries of the ZIP, not in front.
#
# Expected: OpenDocument 1.2 part 3 §3.3: when a package has a file `mimetype`, it is the first file of the ZIP, so that
#           the type stands at a fixed place.
# Seen:     it is the third, behind META-INF/manifest.xml and meta.xml. filetype takes the sheet for a plain ZIP; it
#           recognises the same sheet with `mimetype` in front. odfpy 1.4.1 reads it as it is.
# With:     xlsx 0.18.5, filetype 1.2.0; Node.js 20; 2026-11.
# Matters:  a portal that knows OpenDocument by its first bytes refuses what web applications export. Look for the entry
#           in the directory of the ZIP.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install -qq --disable-pip-version-check filetype==1.2.0
npm install --prefix . --silent --no-audit --no-fund xlsx@0.18.5 >/dev/null

cat >make.js <<'JS'
const { utils, writeFile } = require("xlsx");

const book = utils.book_new();
utils.book_append_sheet(book, utils.aoa_to_sheet([["Month", "Amount"]]), "Sales");
writeFile(book, "sales.ods");
JS
node make.js

venv/bin/python - <<'PY'
import zipfile

import filetype

with zipfile.ZipFile("sales.ods") as made, zipfile.ZipFile("again.ods", "w") as again:
    names = made.namelist()
    for name in sorted(names, key=lambda name: name != "mimetype"):
        again.writestr(name, made.read(name))

place = names.index("mimetype") + 1
told = {name: filetype.guess_mime(name) for name in ("sales.ods", "again.ods")}
print(f"seen: mimetype is entry {place} of {len(names)}: {told['sales.ods']}")
print(f"seen: with mimetype in front: {told['again.ods']}")
assert place > 1
assert told["sales.ods"] == "application/zip"
assert told["again.ods"] == "application/vnd.oasis.opendocument.spreadsheet"
PY
