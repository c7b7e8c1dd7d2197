#!/usr/bin/env bash
# SheetJS reads a date in Nairobi sixteen seconds too early: on the day before.
#
# Expected: with `cellDates` a cell that shows 2026-10-31 becomes 31 October, midnight, in the zone of the machine.
# Seen:     in UTC it does. In Africa/Nairobi it becomes 30 October, 23:59:44. The library counts days from 1899-12-30
#           and takes the zone's offset of that day, when Nairobi kept local mean time (+2:27:16, known to JavaScript
#           as +2:27). The cell as text is right; only the Date is early.
# With:     xlsx 0.18.5, the newest on npm under this name; Node.js 20; 2026-11. Version 0.20.3, which npm has only
#           under other names, reads midnight UTC instead.
# Matters:  a page or a client script in East Africa that reads due dates from an uploaded workbook is a day early.
#           Read the text or the number of the cell, not the Date.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm install --prefix . --silent --no-audit --no-fund xlsx@0.18.5 >/dev/null

cat >read.js <<'JS'
const assert = require("node:assert");
const { read, write } = require("xlsx");

const cell = { t: "n", v: 46326, z: "yyyy-mm-dd" };
const bytes = write({ SheetNames: ["Fees"], Sheets: { Fees: { "!ref": "A1", A1: cell } } }, { type: "buffer" });
const { v: date, w: text } = read(bytes, { cellDates: true, cellText: true, cellNF: true }).Sheets.Fees.A1;

const [day, time] = process.argv.slice(2);
console.log(`seen: ${process.env.TZ}: the text ${text}, the Date ${date}`);
assert.strictEqual(text, "2026-10-31");
assert.strictEqual(date.getDate(), Number(day));
assert.strictEqual(date.toTimeString().slice(0, 8), time);
JS

TZ=UTC node read.js 31 00:00:00
TZ=Africa/Nairobi node read.js 30 23:59:44
