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

test("a batch stays below what it may weigh, unless one alone is heavier", () => {
  const weigh = (weight) => weight;
  assert.deepEqual(batches([1, 2, 3, 9, 1, 1, 1], 3, weigh, 6), [[1, 2, 3], [9], [1, 1, 1]]);
});

test("whoever gives up leaves the line and was never begun", async () => {
  const queue = new Queue(1);
  const gate = deferred();
  const first = queue.add(() => gate.promise);
  const controller = new AbortController();
  const second = queue.add(() => assert.fail("begun"), controller.signal);
  const third = queue.add(async () => "third");

  controller.abort(new Error("paused"));
  await assert.rejects(second, /paused/);
  await assert.rejects(queue.add(() => assert.fail("begun"), controller.signal), /paused/);
  gate.resolve("first");
  assert.deepEqual(await Promise.all([first, third]), ["first", "third"]);
});

test("a held queue begins nothing until every hold is over", async () => {
  const ends = [];
  const queue = new Queue(2, (end, ms) => ends.push([end, ms]));
  queue.hold(2000);
  queue.hold(5000);
  let begun = false;
  const waiting = queue.add(async () => {
    begun = true;
  });
  assert.deepEqual(ends.map(([, ms]) => ms), [2000, 5000]);
  ends[0][0]();
  await settle();
  assert.equal(begun, false);
  ends[1][0]();
  await waiting;
  assert.equal(begun, true);
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
