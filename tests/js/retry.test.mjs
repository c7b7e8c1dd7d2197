import assert from "node:assert/strict";
import { test } from "node:test";
import { errorFrom, retryAfterSeconds } from "../../static/js/lib/http.js";
import { isTransient, patience, retryDelay, retrying, sleep } from "../../static/js/lib/retry.js";

test("waits double up to half a minute, less by chance", () => {
  assert.equal(retryDelay(0, null, () => 1), 1000);
  assert.equal(retryDelay(3, null, () => 1), 8000);
  assert.equal(retryDelay(20, null, () => 1), 30_000);
  assert.equal(retryDelay(0, null, () => 0), 500);
});

test("the server's Retry-After is obeyed", () => {
  assert.equal(retryDelay(0, 12, () => 0), 12_000);
  assert.equal(retryAfterSeconds("12"), 12);
  assert.equal(retryAfterSeconds("Fri, 10 May 2030 12:00:10 GMT", Date.parse("2030-05-10T12:00:00Z")), 10);
  assert.equal(retryAfterSeconds(null), null);
  assert.equal(retryAfterSeconds("soon"), null);
});

test("a refusal keeps the server's sentence; a field's own sentence comes first", () => {
  const refused = errorFrom('{"detail": "Over quota.", "code": "quota_exceeded"}', 413, null);
  assert.deepEqual([refused.status, refused.code, refused.message], [413, "quota_exceeded", "Over quota."]);
  assert.equal(errorFrom('{"detail": "Invalid.", "code": "invalid", "errors": {"filename": ["Too long."]}}', 400, null).message, "Too long.");
  assert.equal(errorFrom("<html>", 502, "3").retryAfter, 3);
});

test("of an S3 store's XML the code is kept; its words are not for people", () => {
  const xml = '<?xml version="1.0"?><Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>';
  const refused = errorFrom(xml, 503, null);
  assert.deepEqual([refused.status, refused.code, refused.message, refused.retryAfter], [503, "SlowDown", "", null]);
});

test("only errors that may pass are tried again, and not for ever", async () => {
  const wait = async () => {};
  let calls = 0;
  const failing = (status) => () => {
    calls += 1;
    return Promise.reject(Object.assign(new Error(String(status)), { status }));
  };

  await assert.rejects(retrying(failing(503), { attempts: 3, wait }), /503/);
  assert.equal(calls, 3);
  calls = 0;
  await assert.rejects(retrying(failing(415), { attempts: 3, wait }), /415/);
  assert.equal(calls, 1);
  assert.equal(isTransient({ status: 0 }), true);
  assert.equal(isTransient({ status: 404 }), false);
  assert.equal(isTransient({ status: 400, code: "invalid" }), false);
  assert.equal(isTransient({ status: 400, code: "RequestTimeout" }), true);
  assert.equal(isTransient({ status: 409, code: "upload_completing", retryAfter: 2 }), true);
});

test("whoever waits is told before each wait, and how long", async () => {
  const told = [];
  const failing = () => Promise.reject(Object.assign(new Error("busy"), { status: 429, retryAfter: 7 }));
  const options = { attempts: 3, wait: async () => {}, onWait: (error, ms) => told.push([error.status, Math.floor(ms / 1000)]) };
  await assert.rejects(retrying(failing, options), /busy/);
  assert.deepEqual(told, [[429, 7], [429, 7]]);
});

test("the network's return ends a wait, but not one the server asked for", async () => {
  const network = new EventTarget();
  const wait = patience({ network, isOnline: () => true, random: () => 0 });
  const waiting = wait(600_000);
  network.dispatchEvent(new Event("online"));
  await waiting;

  const controller = new AbortController();
  const asked = wait(600_000, controller.signal, { retryAfter: 600 });
  network.dispatchEvent(new Event("online"));
  const first = await Promise.race([asked, new Promise((resolve) => setTimeout(resolve, 20, "still waiting"))]);
  assert.equal(first, "still waiting");
  controller.abort(new Error("paused"));
  await assert.rejects(asked, /paused/);
});

test("without a network a wait lasts until there is one, or until it is given up", async () => {
  const network = new EventTarget();
  let online = false;
  const wait = patience({ network, isOnline: () => online, random: () => 0 });
  let over = false;
  const waiting = wait(0).then(() => {
    over = true;
  });
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert.equal(over, false);
  online = true;
  network.dispatchEvent(new Event("online"));
  await waiting;

  online = false;
  const controller = new AbortController();
  const given = wait(0, controller.signal);
  controller.abort(new Error("cancelled"));
  await assert.rejects(given, /cancelled/);
});

test("a pause ends a wait at once", async () => {
  const controller = new AbortController();
  const waiting = sleep(60_000, controller.signal);
  controller.abort(new Error("paused"));
  await assert.rejects(waiting, /paused/);
});

test("progress makes it count anew", async () => {
  let [calls, moves] = [0, 5];
  const waits = [];
  const action = async () => {
    calls += 1;
    throw Object.assign(new Error(), { status: 0 });
  };
  const options = { attempts: 2, wait: async (ms) => waits.push(ms), moved: () => moves-- > 0 };
  await assert.rejects(retrying(action, options));
  assert.equal(calls, 6);
  assert.ok(waits.every((ms) => ms <= 1000), "waits stay short");
});
