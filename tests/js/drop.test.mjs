import assert from "node:assert/strict";
import { test } from "node:test";
import { droppedFiles } from "../../static/js/upload/drop.js";

const file = (name) => ({ name, isFile: true, file: (resolve) => resolve({ name }) });
const locked = (name) => ({ name, isFile: true, file: (_resolve, reject) => reject(new Error("locked")) });
const folder = (name, ...batches) => ({
  name,
  createReader: () => {
    const left = [...batches];
    return { readEntries: (resolve) => resolve(left.shift() ?? []) };
  },
});
const dropped = (...entries) => ({ items: entries.map((entry) => ({ webkitGetAsEntry: () => entry })), files: [] });

test("a folder's files are found, however deep and in however many lots; what cannot be read stops no other", async () => {
  const inner = folder("inner", [file("c"), locked("secret")]);
  const found = await droppedFiles(dropped(file("a"), folder("outer", [file("b"), inner], [file("d")])));
  assert.deepEqual(found.files.map(({ name }) => name), ["a", "b", "c", "d"]);
  assert.deepEqual([found.folders, found.unreadable], [2, ["secret"]]);
});

test("where the browser knows no folders the files come as they are", async () => {
  const found = await droppedFiles({ items: [{}], files: [{ name: "a" }] });
  assert.deepEqual(found, { files: [{ name: "a" }], folders: 0, unreadable: [] });
});
