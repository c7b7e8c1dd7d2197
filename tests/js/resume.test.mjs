import assert from "node:assert/strict";
import { test } from "node:test";
import { contentPrint, fingerprint, forget, recall, remember, remembered } from "../../static/js/upload/resume.js";

const memory = () => {
  const items = new Map();
  return {
    getItem: (key) => items.get(key) ?? null,
    setItem: (key, value) => items.set(key, value),
    removeItem: (key) => items.delete(key),
  };
};
const file = { name: "a.docx", size: 5, lastModified: 1 };
const place = { folderId: "f", subfolderId: "", userId: "u" };

test("a fingerprint tells files, places and people apart", () => {
  assert.equal(fingerprint({ ...file }, { ...place }), fingerprint(file, place));
  assert.notEqual(fingerprint({ ...file, lastModified: 2 }, place), fingerprint(file, place));
  assert.notEqual(fingerprint(file, { ...place, subfolderId: "s" }), fingerprint(file, place));
  assert.notEqual(fingerprint(file, { ...place, userId: "v" }), fingerprint(file, place));
});

test("an upload is remembered until it is forgotten or a week old", () => {
  const storage = memory();
  remember(storage, "k", "id", "print", 0);
  assert.deepEqual(recall(storage, "k", 1000), { fileId: "id", at: 0, print: "print" });
  assert.equal(recall(storage, "k", 8 * 86_400_000), null);
  remember(storage, "k", "id", undefined, 0);
  forget(storage, "k");
  assert.equal(recall(storage, "k", 1000), null);
});

test("all that is remembered is found by the upload's id", () => {
  const items = { "upload:a": JSON.stringify({ fileId: "1", at: 0 }), "upload:b": "broken", theme: "dark" };
  const storage = Object.defineProperties({ ...items }, {
    getItem: { value: (key) => items[key] ?? null },
    removeItem: { value: (key) => delete items[key] },
  });
  assert.deepEqual([...remembered(storage, 1000)], [["1", "upload:a"]]);
});

test("a content print sees the beginning, the middle and the end of a large file", async () => {
  const content = new Uint8Array(1_000_000);
  const print = await contentPrint(new Blob([content]));
  assert.equal(await contentPrint(new Blob([content])), print);
  for (const place of [0, 500_000, 999_999]) {
    const other = content.slice();
    other[place] = 1;
    assert.notEqual(await contentPrint(new Blob([other])), print);
  }
  assert.notEqual(await contentPrint(new Blob(["a"])), await contentPrint(new Blob(["b"])));
});

test("storage that is full or closed never breaks an upload", () => {
  const closed = { getItem: () => { throw new Error("closed"); }, setItem: () => { throw new Error("full"); }, removeItem: () => { throw new Error("closed"); } };
  remember(closed, "k", "id");
  forget(closed, "k");
  assert.equal(recall(closed, "k"), null);
  assert.equal(remembered(null).size, 0);
});
