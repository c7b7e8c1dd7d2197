import assert from "node:assert/strict";
import { test } from "node:test";
import { batches, Queue } from "../../static/js/upload/queue.js";

const deferred = () => {
  const handle = {};
  handle.promise = new Promise((resolve, reject) => Object.assign(handle, { resolve, reject }));
  return handle;
};
const settle = () => new Promise((resolve) => setImmediate(resolve));

test("a long list goes in batches, the last one shorter", () => {
  assert.deepEqual(batches([1, 2, 3, 4, 5], 2), [[1, 2], [3, 4], [5]]);
  assert.deepEqual(batches([], 2), []);
});

test("no more than the limit run at once, in the order they came", async () => {
  const queue = new Queue(2);
  const gates = [deferred(), deferred(), deferred()];
  const begun = [];
  const all = gates.map((gate, index) => queue.add(() => (begun.push(index), gate.promise)));

  await settle();
  assert.deepEqual(begun, [0, 1]);

  gates[1].resolve("b");
  await settle();
  assert.deepEqual(begun, [0, 1, 2]);

  gates[0].resolve("a");
  gates[2].resolve("c");
  assert.deepEqual(await Promise.all(all), ["a", "b", "c"]);
});

test("a job that fails stops no other", async () => {
  const queue = new Queue(1);
  const failed = queue.add(() => Promise.reject(new Error("no")));
  const thrown = queue.add(() => {
    throw new Error("at once");
  });
  const fine = queue.add(async () => "fine");

  await assert.rejects(failed, /no/);
  await assert.rejects(thrown, /at once/);
  assert.equal(await fine, "fine");
});
