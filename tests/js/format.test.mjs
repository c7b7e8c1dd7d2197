import assert from "node:assert/strict";
import { test } from "node:test";
import { bytes, percent, relativeTime, speed, SpeedMeter, timeLeft } from "../../static/js/lib/format.js";

test("sizes read as on the server's pages", () => {
  assert.equal(bytes(0, "en"), "0 bytes");
  assert.equal(bytes(1, "en"), "1 byte");
  assert.equal(bytes(1023, "en"), "1,023 bytes");
  assert.equal(bytes(1024, "en"), "1.0 KB");
  assert.equal(bytes(5 * 1024 ** 3, "en"), "5.0 GB");
  assert.equal(speed(1536.4, "en"), "1.5 KB/s");
});

test("time left is rounded up to its largest unit", () => {
  assert.equal(timeLeft(0.2, "en"), "1 sec");
  assert.equal(timeLeft(59, "en"), "59 sec");
  assert.equal(timeLeft(61, "en"), "2 min");
  assert.equal(timeLeft(3601, "en"), "2 hr");
  assert.equal(timeLeft(Infinity, "en"), "");
  assert.equal(timeLeft(Number.NaN, "en"), "");
});

test("a hundred percent is said only when all is sent", () => {
  assert.equal(percent(999, 1000), 99);
  assert.equal(percent(1000, 1000), 100);
  assert.equal(percent(0, 0), 100);
});

test("times within a week are told relative to now, older ones not", () => {
  const now = new Date("2030-05-10T12:00:00Z");
  const ago = (seconds) => relativeTime(new Date(now.getTime() - seconds * 1000), now, "en");
  assert.equal(ago(10), "now");
  assert.equal(ago(50), "1 minute ago");
  assert.equal(ago(5 * 60), "5 minutes ago");
  assert.equal(ago(3 * 3600), "3 hours ago");
  assert.equal(ago(25 * 3600), "yesterday");
  assert.equal(ago(-2 * 86_400), "in 2 days");
  assert.equal(ago(8 * 86_400), null);
});

test("speed is measured over the last seconds only", () => {
  const meter = new SpeedMeter(5000);
  meter.add(0, 0);
  assert.equal(meter.perSecond, 0);
  for (let second = 1; second <= 10; second += 1) meter.add(second * 1000, second * 1000);
  assert.equal(meter.perSecond, 1000);
  for (let second = 11; second <= 20; second += 1) meter.add(10_000, second * 1000);
  assert.equal(meter.perSecond, 0);
});

test("a part begun again does not make the speed negative", () => {
  const meter = new SpeedMeter();
  meter.add(5000, 0);
  meter.add(100, 1000);
  assert.equal(meter.perSecond, 0);
});
