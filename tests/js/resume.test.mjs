import assert from "node:assert/strict";
import { test } from "node:test";
import { fingerprint, forget, recall, remember } from "../../static/js/upload/resume.js";

const memory = () => {
  const items = new Map();
  return {
    getItem: (key) => items.get(key) ?? null,
    setItem: (key, value) => items.set(key, value),
    removeItem: (key) => items.delete(key),
  };
};
const file = { name: "a.docx", size: 5, lastModified: 1 };
const place = { folderId: "f", subfolderId: "" };

test("a fingerprint tells files and places apart", () => {
  assert.equal(fingerprint({ ...file }, { ...place }), fingerprint(file, place));
  assert.notEqual(fingerprint({ ...file, lastModified: 2 }, place), fingerprint(file, place));
  assert.notEqual(fingerprint(file, { ...place, subfolderId: "s" }), fingerprint(file, place));
});

test("an upload is remembered until it is forgotten or a week old", () => {
  const storage = memory();
  remember(storage, "k", "id", 0);
  assert.equal(recall(storage, "k", 1000), "id");
  assert.equal(recall(storage, "k", 8 * 86_400_000), null);
  remember(storage, "k", "id", 0);
  forget(storage, "k");
  assert.equal(recall(storage, "k", 1000), null);
});

test("storage that is full or closed never breaks an upload", () => {
  const closed = { getItem: () => { throw new Error("closed"); }, setItem: () => { throw new Error("full"); }, removeItem: () => { throw new Error("closed"); } };
  remember(closed, "k", "id");
  forget(closed, "k");
  assert.equal(recall(closed, "k"), null);
});
