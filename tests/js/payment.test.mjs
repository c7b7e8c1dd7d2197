import assert from "node:assert/strict";
import { test } from "node:test";

import { grouped } from "../../static/js/payment-digits.js";
import { pause } from "../../static/js/payment-pause.js";

test("numbers are written in groups", () => {
  assert.equal(grouped("0712345678"), "0712 345 678");
  assert.equal(grouped("0110-345.678"), "0110 345 678");
  assert.equal(grouped("+254712345678"), "+254 712 345 678");
  assert.equal(grouped("254 712 345678"), "+254 712 345 678");
});

test("what is no such number stays as it was typed", () => {
  for (const text of ["", "07", "07123456789", "0812345678", "call me", "0712 345 67x"]) assert.equal(grouped(text), text);
});

test("the longer somebody waits, the seldomer it is asked", () => {
  assert.ok(pause(0) < pause(90_000) && pause(90_000) < pause(3_600_000));
});
