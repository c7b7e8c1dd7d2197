/** A job against a portal and a store that misbehave. Both are made here of their answers: an S3 store's are XML, and show
 * nothing but the ETag. */
import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

const realTimeout = setTimeout;
globalThis.setTimeout = (act, ms, ...more) => realTimeout(act, ms / 1000, ...more); // seconds pass as milliseconds
globalThis.document = { cookie: "csrftoken=t" };
globalThis.addEventListener ??= () => {};
globalThis.removeEventListener ??= () => {};

const PART = 10;
let calls;
let portal;
let store;

globalThis.fetch = async (url, { method, body }) => {
  const path = url.replace("/api/fileshare/upload/", "");
  calls.push(`${method} ${path}`);
  const [status, answer, headers = {}] = await portal(path, body && JSON.parse(body));
  if (status === 0) throw new TypeError("network");
  return { ok: status < 300, status, text: async () => JSON.stringify(answer), headers: new Headers(headers) };
};

globalThis.XMLHttpRequest = class extends EventTarget {
  upload = new EventTarget();

  open(_method, url) {
    this.url = url;
  }

  setRequestHeader(name, value) {
    if (name === "Content-Range") calls.push(value);
  }

  getAllResponseHeaders() {
    return this.headers.map(([name, value]) => `${name}: ${value}\r\n`).join("");
  }

  abort() {}

  async send(body) {
    calls.push(`PUT ${this.url}`);
    const [status, text = "", headers = []] = await store(this.url, await body.text());
    Object.assign(this, { status, responseText: text, headers });
    this.dispatchEvent(new Event(status ? "load" : "error"));
    this.dispatchEvent(new Event("loadend"));
  }
};

const { Job } = await import("../../static/js/upload/job.js");

const xml = (code) => `<?xml version="1.0" encoding="UTF-8"?><Error><Code>${code}</Code></Error>`;
const taken = (url) => [200, "", [["etag", `"${url}"`]]];
const parts = (numbers, mark = "") => numbers.map((number) => ({ part_number: number, upload_url: `/part${number}${mark}` }));
const ticket = { file_id: "f", method: "MULTIPART", upload_id: "u", part_size: PART, expires_in: 3600, parts: parts([1, 2, 3, 4]) };
const puts = () => calls.filter((call) => call.startsWith("PUT"));

const memory = () => {
  const items = new Map();
  return { getItem: (key) => items.get(key) ?? null, setItem: (key, value) => items.set(key, value), removeItem: (key) => items.delete(key) };
};
const begun = (answer = ticket, storage = memory()) => {
  const file = new File(["x".repeat(4 * PART - 3)], "a.bin", { lastModified: 1 });
  const job = new Job(file, { folderId: "f", subfolderId: "", userId: "u" }, storage);
  if (answer) job.accept(answer);
  return job;
};

beforeEach(() => {
  calls = [];
  portal = (path) => (path === "complete" ? [200, {}] : assert.fail(path));
  store = (url) => taken(url);
});

test("addresses that have expired are asked for once, and only the parts still missing are sent by them", async () => {
  const arrived = [];
  store = (url) => {
    if (url === "/part1" || url.endsWith("new")) {
      arrived.push(url);
      return taken(url);
    }
    return [403, xml("AccessDenied")];
  };
  portal = (path) => (path === "f" ? [200, { ...ticket, status: "pending", received: [], parts: parts([2, 3, 4], "new") }] : [200, {}]);
  const job = begun();
  await job.run();
  assert.equal(job.state, "done");
  assert.deepEqual(arrived.sort(), ["/part1", "/part2new", "/part3new", "/part4new"]);
  assert.deepEqual(calls.filter((call) => call === "GET f"), ["GET f"]);
});

test("addresses known to be old are not tried at all", async () => {
  portal = (path) => (path === "f" ? [200, { ...ticket, status: "pending", received: [], parts: parts([1, 2, 3, 4], "new") }] : [200, {}]);
  const job = begun({ ...ticket, expires_in: 10 });
  await job.run();
  assert.deepEqual(calls.slice(0, 1), ["GET f"]);
  assert.ok(puts().every((call) => call.endsWith("new")));
  assert.equal(puts().length, 4);
});

test("an address that is refused again is given up, with the store's status", async () => {
  store = () => [403, xml("SignatureDoesNotMatch")];
  portal = () => [200, { ...ticket, status: "pending", received: [] }];
  const job = begun();
  await job.run();
  assert.deepEqual([job.state, job.error.status], ["failed", 403]);
});

test("a store that is busy is waited for, and no part is sent twice that had arrived", async () => {
  const tries = new Map();
  store = (url) => {
    tries.set(url, (tries.get(url) ?? 0) + 1);
    if (url === "/part2" && tries.get(url) < 3) return [503, xml("SlowDown")];
    if (url === "/part3" && tries.get(url) < 2) return [429, "", [["retry-after", "2"]]];
    if (url === "/part4" && tries.get(url) < 2) return [0];
    return taken(url);
  };
  const job = begun();
  await job.run();
  assert.equal(job.state, "done");
  assert.deepEqual(Object.fromEntries(tries), { "/part1": 1, "/part2": 3, "/part3": 2, "/part4": 2 });
});

test("an answer to complete that is lost is asked for again", async () => {
  let asked = 0;
  portal = () => ((asked += 1) < 3 ? [0] : [200, {}]);
  const job = begun();
  await job.run();
  assert.deepEqual([job.state, asked, puts().length], ["done", 3, 4]);
});

test("parts the store lost are sent again, and no others", async () => {
  let asked = 0;
  const received = [1, 2, 4].map((number) => ({ part_number: number, etag: `"/part${number}"`, size_bytes: number === 4 ? 7 : 10 }));
  portal = (path, body) => {
    if (path === "f") return [200, { ...ticket, status: "pending", received, parts: parts([3], "new") }];
    asked += 1;
    if (asked === 1) return [409, { code: "missing_part", detail: "Part 3 has not been received." }];
    assert.deepEqual(body.parts.map((part) => part.etag), ['"/part1"', '"/part2"', '"/part3new"', '"/part4"']);
    return [200, {}];
  };
  const job = begun();
  await job.run();
  assert.equal(job.state, "done");
  assert.deepEqual(puts().slice(4), ["PUT /part3new"]);
});

test("a store that hides its ETags is asked by way of the portal", async () => {
  store = () => [200];
  const received = [1, 2, 3, 4].map((number) => ({ part_number: number, etag: `"e${number}"`, size_bytes: number === 4 ? 7 : 10 }));
  portal = (path, body) => {
    if (path === "f") return [200, { ...ticket, status: "pending", received, parts: [] }];
    assert.deepEqual(body.parts.map((part) => part.etag), ['"e1"', '"e2"', '"e3"', '"e4"']);
    return [200, {}];
  };
  const job = begun();
  await job.run();
  assert.equal(job.state, "done");
});

test("an upload that is gone begins anew, once", async () => {
  store = () => [404, xml("NoSuchUpload")];
  portal = () => [404, { code: "not_found" }];
  const job = begun();
  await job.run();
  assert.deepEqual([job.state, job.ticket], ["waiting", null]);
  job.accept({ ...ticket, file_id: "g" });
  await job.run();
  assert.deepEqual([job.state, job.error.status], ["failed", 404]);
});

test("an upload that was completed unseen is done", async () => {
  store = () => [409, JSON.stringify({ code: "upload_completed" })];
  portal = () => [200, { file_id: "f", status: "complete" }];
  const job = begun();
  await job.run();
  assert.equal(job.state, "done");
});

test("what a crash left half completed is completed, without a byte sent", async () => {
  const storage = memory();
  begun(ticket, storage);
  portal = (path) => (path === "f" ? [200, { ...ticket, status: "completing", received: [], parts: [] }] : [200, {}]);
  const job = begun(null, storage);
  await job.recover();
  await job.run();
  assert.deepEqual([job.state, puts().length], ["done", 0]);
});

test("an upload whose parts are put together already is completed, and no part is looked for", async () => {
  const storage = memory();
  begun(ticket, storage);
  portal = (path) => (path === "f" ? [200, { ...ticket, status: "pending", received: [], parts: [] }] : [200, {}]);
  const job = begun(null, storage);
  await job.recover();
  await job.run();
  assert.deepEqual([job.state, puts().length], ["done", 0]);
});

test("what the server says of a finished file is kept", async () => {
  portal = () => [200, { note: "It is a HEIC." }];
  const job = begun({ file_id: "f", method: "PUT", upload_url: "/put", headers: {}, expires_in: 900 });
  await job.run();
  assert.deepEqual([job.state, job.note], ["done", "It is a HEIC."]);
});

test("a single PUT whose answer was lost is completed; only bytes that never came are sent again", async () => {
  const single = { file_id: "f", method: "PUT", upload_url: "/put", headers: {}, expires_in: 900 };
  for (const came of [true, false]) {
    calls = [];
    const storage = memory();
    begun(single, storage);
    portal = (path) => {
      if (path === "f") return [200, { ...single, status: "pending", received: [] }];
      return came || puts().length > 0 ? [200, {}] : [409, { code: "not_uploaded" }];
    };
    const job = begun(null, storage);
    await job.recover();
    await job.run();
    assert.deepEqual([job.state, puts().length], ["done", came ? 0 : 1]);
  }
});

test("another content under the same name, size and time is another upload", async () => {
  const storage = memory();
  portal = () => [503, { code: "store_unavailable", detail: "Later." }];
  const first = begun(ticket, storage);
  await first.run();
  assert.deepEqual([first.state, first.mayPass], ["failed", true]);
  const file = new File(["y".repeat(4 * PART - 3)], "a.bin", { lastModified: 1 });
  const job = new Job(file, first.place, storage);
  calls = [];
  await job.recover();
  assert.deepEqual([job.ticket, calls], [null, []]);
});

test("a file that can no longer be read says so, and its upload is given up", async () => {
  portal = (path) => (path === "abort" ? [204, null] : assert.fail(path));
  const job = begun();
  job.file.slice = () => ({ arrayBuffer: () => Promise.reject(new DOMException("gone", "NotReadableError")) });
  await job.run();
  assert.deepEqual([job.state, job.error.constructor.name, job.ticket], ["failed", "FileUnreadable", null]);
  assert.deepEqual(calls, ["POST abort"]);
});

test("tags typed for an upload that was begun without them are put on the file, and only those", async () => {
  const tagged = (path) => path === "/api/files/f/tags";
  for (const answer of [{ ...ticket, status: "pending", received: [], parts: [] }, { file_id: "f", status: "complete" }]) {
    const storage = memory();
    const first = begun(ticket, storage);
    const given = [];
    portal = (path, body) => {
      if (tagged(path)) given.push(body.tags);
      return path === "f" ? [200, answer] : [200, {}];
    };
    const job = new Job(first.file, first.place, storage, ["draft"]);
    await job.recover();
    await job.run();
    assert.deepEqual([job.state, given], ["done", [["draft"]]]);
  }
});

test("tags an upload was begun with are not put on again", async () => {
  const { file, place, storage } = begun(null);
  const job = new Job(file, place, storage, ["draft"]);
  job.accept(ticket);
  await job.run();
  assert.equal(job.state, "done");
  assert.deepEqual(calls.filter((call) => call.includes("tags")), []);
});

test("a file whose tags are refused says why", async () => {
  const storage = memory();
  const first = begun(ticket, storage);
  portal = (path) => (path === "f" ? [200, { file_id: "f", status: "complete" }] : [400, { code: "invalid", detail: "Too long.", errors: { tags: ["Too long."] } }]);
  const job = new Job(first.file, first.place, storage, ["x".repeat(51)]);
  await assert.rejects(job.recover(), { status: 400, message: "Too long." });
});

test("where the store keeps what it has of a part, a cut part goes on there", async () => {
  const there = (bytes) => parts([1, 2, 3, 4]).map((part) => ({ ...part, begun_bytes: part.part_number === 2 ? bytes : 0 }));
  const bodies = [];
  let cut = 2;
  store = (url, body) => {
    if (url !== "/part2") return taken(url);
    bodies.push(body.length);
    if (cut > 0) return [[0], [409, '{"code": "wrong_offset", "detail": "no"}']][2 - cut--];
    return taken(url);
  };
  let known = 4;
  portal = (path) => (path === "complete" ? [200, {}] : [200, { ...ticket, status: "pending", parts: there(known++), received: [] }]);
  const job = begun({ ...ticket, parts: there(0) });
  await job.run();
  assert.equal(job.state, "done");
  assert.deepEqual(bodies, [10, 6, 5]);
  const ranges = calls.filter((call) => call.startsWith("bytes"));
  assert.deepEqual(ranges.filter((range) => !/ 0-/.test(range)), ["bytes 4-9/10", "bytes 5-9/10"]);
  assert.deepEqual([...new Set(ranges.filter((range) => / 0-/.test(range)))].sort(), ["bytes 0-6/7", "bytes 0-9/10"]);
});

test("a part of which only the answer was lost is not sent again", async () => {
  const whole = parts([1, 2, 3, 4]).map((part) => ({ ...part, begun_bytes: 0 }));
  let lost = false;
  store = (url) => {
    if (url !== "/part3" || lost) return taken(url);
    lost = true;
    return [0];
  };
  const received = [{ part_number: 3, etag: "three", size_bytes: PART }];
  let named;
  portal = (path, body) => {
    if (path !== "complete") return [200, { ...ticket, status: "pending", parts: whole.filter((part) => part.part_number !== 3), received }];
    named = body.parts;
    return [200, {}];
  };
  const job = begun({ ...ticket, parts: whole });
  await job.run();
  assert.equal(job.state, "done");
  assert.equal(puts().filter((call) => call === "PUT /part3").length, 1);
  assert.equal(named.find((part) => part.part_number === 3).etag, "three");
});

test("an upload that goes on tells where", async () => {
  const storage = memory();
  const first = begun(ticket, storage);
  portal = (path) => {
    if (path === "complete") return [200, {}];
    const answer = { ...ticket, status: "pending", received: [{ part_number: 1, etag: "one", size_bytes: PART }] };
    return [200, { ...answer, parts: parts([2, 3, 4]).map((part) => ({ ...part, begun_bytes: part.part_number === 2 ? 3 : 0 })) }];
  };
  const job = new Job(first.file, first.place, storage);
  await job.recover();
  assert.equal(job.sent, PART + 3);
  const run = job.run();
  assert.equal(job.continuesAt, PART + 3);
  await run;
  assert.equal(job.state, "done");
});
