/** The calls of an upload by two doors: the API's, which is told the place, and a file request's, which knows it. */
import assert from "node:assert/strict";
import { test } from "node:test";

globalThis.document = { cookie: "csrftoken=t" };
const calls = [];
globalThis.fetch = async (url, { method, body, headers }) => {
  calls.push([`${method} ${url}`, body && JSON.parse(body), headers["X-CSRFToken"]]);
  return { ok: true, status: 200, text: async () => JSON.stringify({ file_id: "f", uploads: [] }), headers: new Headers() };
};

const api = await import("../../static/js/upload/api.js");
const place = { folderId: "a", subfolderId: "b", userId: "u" };
const item = { file: { name: "x.txt", size: 3, type: "text/plain" }, tags: [] };
const facts = { filename: "x.txt", size_bytes: 3, content_type: "text/plain" };
const wish = { part_size: 8 * 1024 ** 2 };

test("the API is told where a file goes", async () => {
  await api.initiate(place, [item]);
  assert.deepEqual(calls.pop(), ["POST /api/fileshare/upload/initiate", { folder_id: "a", subfolder_id: "b", ...wish, ...facts }, "t"]);
});

test("and which tags each file gets", async () => {
  const tagged = { ...item, tags: ["draft", "2026"] };
  await api.initiate(place, [tagged]);
  assert.deepEqual(calls.pop()[1], { folder_id: "a", subfolder_id: "b", ...wish, ...facts, tags: ["draft", "2026"] });
  await api.initiate(place, [tagged, item]);
  assert.deepEqual(calls.pop()[1].files, [{ ...facts, tags: ["draft", "2026"] }, facts]);
});

test("a file request is not, and every call goes to it, with the token against forged requests", async () => {
  api.useDoor("/request/abc/upload");
  await api.initiate(place, [item]);
  assert.deepEqual(calls.pop(), ["POST /request/abc/upload/initiate", { ...wish, ...facts }, "t"]);
  await api.initiate(place, [item, item]);
  assert.deepEqual(calls.pop()[1], { ...wish, files: [facts, facts] });
  await api.status("f");
  await api.complete({ fileId: "f" }, null);
  await api.abort("f");
  assert.deepEqual(calls.map(([call]) => call), [
    "GET /request/abc/upload/f", "POST /request/abc/upload/complete", "POST /request/abc/upload/abort",
  ]);
});
