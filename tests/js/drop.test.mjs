import assert from "node:assert/strict";
import { readdir, readFile } from "node:fs/promises";
import { test } from "node:test";
import { droppedFiles, notesOn } from "../../static/js/upload/drop.js";

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
  assert.deepEqual(found, { files: [{ name: "a" }], folders: 0, leftOut: 0, unreadable: [] });
});

test("what a system keeps in folders is left out and counted; dropped by itself it is a file like any other", async () => {
  const left = [".DS_Store", "Thumbs.db", "thumbs.DB", "Desktop.ini", "~$report.docx"].map(file);
  const kept = ["~report.docx", "my desktop.ini", "Thumbs.db.txt", ".DS_Store2"].map(file);
  const found = await droppedFiles(dropped(file(".DS_Store"), folder("outer", left, [folder("~$inner", [...kept, file("Thumbs.db")])])));
  assert.deepEqual(found.files.map(({ name }) => name), [".DS_Store", ...kept.map(({ name }) => name)]);
  assert.equal(found.leftOut, 6);
  assert.equal(notesOn(found, { textFlat: "Flat.", textLeftOut: "Left out: {count}." }), "Flat. Left out: 6.");
});

test("the page has each sentence that the uploader says", async () => {
  const page = await readFile(new URL("../../templates/fileshare/_upload.html", import.meta.url), "utf8");
  const scripts = new URL("../../static/js/upload/", import.meta.url);
  for (const name of await readdir(scripts)) {
    for (const [, words] of (await readFile(new URL(name, scripts), "utf8")).matchAll(/\btexts\.(text[A-Z]\w*)/g)) {
      const attribute = `data-${words.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}=`;
      assert.ok(page.includes(attribute), `${name}: ${attribute}`);
    }
  }
});
