import assert from "node:assert/strict";
import { test } from "node:test";
import { errorFrom, retryAfterSeconds } from "../../static/js/lib/http.js";
import { isTransient, retryDelay, retrying, sleep } from "../../static/js/lib/retry.js";

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
});

test("a pause ends a wait at once", async () => {
  const controller = new AbortController();
  const waiting = sleep(60_000, controller.signal);
  controller.abort(new Error("paused"));
  await assert.rejects(waiting, /paused/);
});
