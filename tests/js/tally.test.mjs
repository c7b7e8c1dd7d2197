import assert from "node:assert/strict";
import { test } from "node:test";
import { fill } from "../../static/js/lib/words.js";
import { tally } from "../../static/js/upload/tally.js";

const job = (state, size, sent, isLive = false) => ({ state, isLive, sent, file: { size } });

test("what was cancelled counts no more", () => {
  const jobs = [job("done", 10, 10), job("failed", 20, 5), job("uploading", 30, 15, true), job("cancelled", 40, 1)];
  assert.deepEqual(tally(jobs), { total: 3, done: 1, failed: 1, live: 1, finished: 2, sent: 30, size: 60 });
});

test("a name that looks like a place stays a name", () => {
  assert.equal(fill("{name} failed: {reason} {other}", { name: "{reason}", reason: "$& too large" }), "{reason} failed: $& too large {other}");
});
