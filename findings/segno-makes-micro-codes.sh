#!/usr/bin/env bash
# segno makes a Micro QR code of a short text, which scanners in the browser cannot read.
#
# Expected: `segno.make(text)` makes a QR code for any text, long or short.
# Seen:     a receipt number of eight characters becomes Micro QR "M3-M" (one finder pattern). jsQR, a scanner for web
#           pages, finds no code in the picture. `segno.make_qr()` of the same text makes "1-H", which it reads. A link
#           is long enough to get a QR code from `make` too.
# With:     segno 1.6.6, jsqr 1.4.0; Node.js 20; 2026-11.
# Matters:  the codes of links work in every test; the code of a short receipt number fails when it is scanned.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install -qq --disable-pip-version-check segno==1.6.6
npm install --prefix . --silent --no-audit --no-fund jsqr@1.4.0 >/dev/null

venv/bin/python - <<'PY'
import json

import segno

made = {}
for name, make, text in (
    ("short", segno.make, "RCP-4821"),
    ("short, make_qr", segno.make_qr, "RCP-4821"),
    ("link", segno.make, "https://portal.example/s/4821"),
):
    code = make(text)
    rows = [[255 * (1 - dark) for dark in row] for row in code.matrix_iter(scale=8, border=4)]
    made[name] = {"text": text, "kind": code.designator, "micro": code.is_micro, "rows": rows}
json.dump(made, open("codes.json", "w"))
PY

cat >scan.js <<'JS'
const assert = require("node:assert");
const jsQR = require("jsqr");

for (const [name, { text, kind, micro, rows }] of Object.entries(require("./codes.json"))) {
  const pixels = Uint8ClampedArray.from(rows.flat().flatMap((grey) => [grey, grey, grey, 255]));
  const found = jsQR(pixels, rows[0].length, rows.length)?.data ?? null;
  console.log(`seen: ${name}: ${kind}, jsQR reads ${found}`);
  assert.strictEqual(micro, name === "short");
  assert.strictEqual(found, name === "short" ? null : text);
}
JS
node scan.js
