/** What a line for tags offers: the line is made longer, whatever stood before stays as it was typed. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { lastOf, mount, offers, wordsOf } from "../../static/js/tags.js";

test("a line is parted by commas, and what is empty is no tag", () => {
  assert.deepEqual(wordsOf(" Draft,, year  end ,"), ["Draft", "year  end"]);
  assert.deepEqual(wordsOf(""), []);
  assert.deepEqual(wordsOf(" , "), []);
});

test("the last tag is looked up, without the space before it", () => {
  assert.deepEqual(lastOf("dr"), { before: "", start: "dr" });
  assert.deepEqual(lastOf("Draft,  ye"), { before: "Draft,  ", start: "ye" });
  assert.deepEqual(lastOf("draft,year e"), { before: "draft,", start: "year e" });
  assert.deepEqual(lastOf("draft, "), { before: "draft, ", start: "" });
  assert.deepEqual(lastOf(""), { before: "", start: "" });
});

test("each offer is the whole line, so that a browser shows it and puts it in place", () => {
  assert.deepEqual(offers("dr", ["draft", "drive"]), ["draft", "drive"]);
  assert.deepEqual(offers("2026, dr", ["draft", "drive"]), ["2026, draft", "2026, drive"]);
});

test("what the line has is not offered again", () => {
  assert.deepEqual(offers("Draft, d", ["draft", "drive"]), ["Draft, drive"]);
  assert.deepEqual(offers("draft", ["draft"]), ["draft"]);
});

test("an answer that comes late does not push out the one that was asked for last", async () => {
  const answers = new Map();
  globalThis.fetch = (url) => new Promise((resolve) => answers.set(decodeURIComponent(url), resolve));
  globalThis.Option = class {};
  const give = (url, names) => answers.get(url)({
    ok: true, status: 200, headers: new Headers(), text: async () => JSON.stringify({ results: names.map((name) => ({ name })) }),
  });
  const until = async (met) => {
    while (!met()) await new Promise((resolve) => setTimeout(resolve, 5));
  };
  const input = Object.assign(new EventTarget(), { value: "", list: { replaceChildren: (...options) => (input.offered = options.map((option) => option.value)) } });
  const type = (value) => {
    input.value = value;
    input.dispatchEvent(new Event("input"));
  };
  mount(input);

  type("d");
  type("dr");
  await until(() => answers.size === 1);
  type("a, dri");
  await until(() => answers.size === 2);
  assert.deepEqual([...answers.keys()], ["/api/files/tags?q=dr", "/api/files/tags?q=dri"]);
  give("/api/files/tags?q=dri", ["drive"]);
  await until(() => input.offered);
  give("/api/files/tags?q=dr", ["draft"]);
  await new Promise((resolve) => setTimeout(resolve, 5));
  assert.deepEqual(input.offered, ["a, drive"]);
});
