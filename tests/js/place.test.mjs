/** The place that is kept over an action: it is taken up on the same page, and not much later. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { isHere } from "../../static/js/place.js";

const NOW = 1_700_000_000_000;
const kept = { path: "/fileshare/a/?cursor=x", top: 300, row: "", at: NOW };

test("the same page takes the place up", () => {
  assert.equal(isHere(kept, "/fileshare/a/?cursor=x", NOW + 60_000), true);
});

test("another page, or another part of the list, does not", () => {
  assert.equal(isHere(kept, "/fileshare/a/", NOW), false);
  assert.equal(isHere(kept, "/files/move", NOW), false);
});

test("a place of long ago is forgotten, and none is none", () => {
  assert.equal(isHere(kept, kept.path, NOW + 11 * 60_000), false);
  assert.equal(isHere(null, kept.path, NOW), false);
});
