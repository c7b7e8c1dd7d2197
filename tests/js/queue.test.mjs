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

test("a fast line gets more jobs and larger pieces at a time, a slow or broken one fewer and smaller ones", () => {
  const MIB = 1024 ** 2;
  const queue = new Queue(1);
  const after = (...steps) => {
    for (const step of steps) step === "broke" ? queue.broke() : queue.moved(...step, 4);
    return [queue.limit, queue.piece / 1024];
  };
  assert.deepEqual(after([256 * 1024, 100]), [2, 512]);
  assert.deepEqual(after([512 * 1024, 100], [MIB, 100], [2 * MIB, 200]), [4, 4096]);
  assert.deepEqual(after([8 * MIB, 3900]), [4, 2048]);
  assert.deepEqual(after([8 * MIB, 4100]), [1, 1024]);
  assert.deepEqual(after([1000, 20]), [2, 1024], "a small body tells nothing of the line");
  assert.deepEqual(after([512 * 1024, 4000], [256 * 1024, 2000]), [1, 256]);
  assert.deepEqual(after([256 * 1024, 1000]), [1, 256]);
  assert.deepEqual(after("broke", "broke", "broke", "broke"), [1, 32]);
});
