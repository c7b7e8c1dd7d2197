import assert from "node:assert/strict";
import { test } from "node:test";
import { bytesSent, completedParts, missingParts, wholeParts } from "../../static/js/upload/parts.js";

test("a file is cut into equal parts and a shorter last one", () => {
  assert.deepEqual(missingParts(25, 10, new Set()), [
    { number: 1, start: 0, end: 10 },
    { number: 2, start: 10, end: 20 },
    { number: 3, start: 20, end: 25 },
  ]);
});

test("a file of exactly two parts has no empty third", () => {
  assert.deepEqual(missingParts(20, 10, new Set()).map((part) => part.number), [1, 2]);
});

test("parts the server has are not sent again", () => {
  assert.deepEqual(missingParts(25, 10, new Set([1, 3])), [{ number: 2, start: 10, end: 20 }]);
  assert.deepEqual(missingParts(25, 10, new Set([1, 2, 3])), []);
});

test("an empty file is one empty part", () => {
  assert.deepEqual(missingParts(0, 10, new Set()), [{ number: 1, start: 0, end: 0 }]);
});

test("parts are completed in order of number, not of arrival", () => {
  const etags = new Map([[10, '"j"'], [2, '"b"'], [1, '"a"']]);
  assert.deepEqual(completedParts(etags).map((part) => part.part_number), [1, 2, 10]);
  assert.deepEqual(completedParts(etags)[0], { part_number: 1, etag: '"a"' });
});

test("bytes sent count whole parts, the short last part and what is under way", () => {
  assert.equal(bytesSent(25, 10, [1], []), 10);
  assert.equal(bytesSent(25, 10, [1, 3], [4]), 19);
  assert.equal(bytesSent(25, 10, [1, 2, 3], []), 25);
  assert.equal(bytesSent(25, 10, [1, 2, 3], [9]), 25);
  assert.equal(bytesSent(0, 10, [], []), 0);
});

test("a part that was cut off does not count as received", () => {
  const received = [
    { part_number: 1, etag: '"a"', size_bytes: 10 },
    { part_number: 2, etag: '"b"', size_bytes: 7 },
    { part_number: 3, etag: '"c"', size_bytes: 5 },
  ];
  assert.deepEqual([...wholeParts(received, 25, 10).keys()], [1, 3]);
});
