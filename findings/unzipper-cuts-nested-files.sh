#!/usr/bin/env bash
# `unzipper` cuts a workbook short that lies stored in a streamed ZIP.
#
# Expected: report.xlsx comes out of a ZIP as it went in, or the reader says that it cannot read it.
# Seen:     the ZIP was written as a stream: its entries are stored, their length follows their bytes. `unzipper`, which
#           reads from front to back, looks for the mark of that length and finds the one inside the workbook, which was
#           streamed too. It hands out a shorter report.xlsx, then the workbook's own parts as files of the outer ZIP,
#           and raises nothing. Python's zipfile reads the directory at the end and gets every byte.
# With:     unzipper 0.12.5, exceljs 4.4.0 (its streaming writer), Node.js 20, Python 3.11; 2026-11.
# Matters:  a portal that packs a folder while it sends it, without compressing, is read by such programs. Write the
#           lengths into the header in front, and the checksum too where it is known: then no mark is needed.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm install --prefix . --silent --no-audit --no-fund unzipper@0.12.5 exceljs@4.4.0 >/dev/null

cat >workbook.js <<'JS'
const { stream } = require("exceljs");

(async () => {
  const workbook = new stream.xlsx.WorkbookWriter({ filename: "report.xlsx" });
  workbook.addWorksheet("Rent").addRow(["October", 45000]).commit();
  await workbook.commit();
})();
JS
node workbook.js

python3 - <<'PY'
import zipfile


class Pipe:
    """Takes bytes and cannot go back, as an HTTP answer."""

    def __init__(self, file):
        self.write, self.flush = file.write, file.flush


with open("folder.zip", "wb") as file, zipfile.ZipFile(Pipe(file), "w", zipfile.ZIP_STORED) as archive:
    archive.write("report.xlsx")
assert zipfile.ZipFile("folder.zip").read("report.xlsx") == open("report.xlsx", "rb").read()
print("seen: zipfile reads all of report.xlsx")
PY

cat >read.js <<'JS'
const assert = require("node:assert");
const fs = require("node:fs");
const { Parse } = require("unzipper");

(async () => {
  const found = [];
  for await (const entry of fs.createReadStream("folder.zip").pipe(Parse({ forceStream: true }))) {
    found.push([entry.path, (await entry.buffer()).length]);
  }
  const whole = fs.statSync("report.xlsx").size;
  const [[name, length], ...others] = found;
  console.log(`seen: unzipper reads ${length} of the ${whole} bytes of ${name}, then ${others.length} files more`);
  assert.strictEqual(name, "report.xlsx");
  assert.ok(length < whole);
  assert.ok(others.some(([other]) => other === "xl/workbook.xml"));
})();
JS
node read.js
