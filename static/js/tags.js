/** Tags offered while one types them: those that begin like the last of the line, on files one may download.
 * Without this the line offers what the page brought along. */
import { request } from "./lib/http.js";

const PAUSE = 200; // milliseconds without a key

/** @param {string} line tags between commas
 * @returns {string[]}
 */
export function wordsOf(line) {
  return line.split(",").map((word) => word.trim()).filter(Boolean);
}

/** @param {string} line tags between commas
 * @returns {{before: string, start: string}} what stands before the last tag, as it was typed, and how that one begins
 */
export function lastOf(line) {
  const start = line.slice(line.lastIndexOf(",") + 1).trimStart();
  return { before: line.slice(0, line.length - start.length), start };
}

/** @param {string} line
 * @param {string[]} names tags to offer
 * @returns {string[]} the line, ended by each of them but those it has: a browser offers only what begins like all of it
 */
export function offers(line, names) {
  const { before } = lastOf(line);
  const given = new Set(wordsOf(before.toLowerCase()));
  return names.filter((name) => !given.has(name)).map((name) => before + name);
}

/** @param {HTMLInputElement} input with a list */
export function mount(input) {
  let timer = 0;
  let asked = null;

  const ask = async () => {
    const line = input.value;
    if (line === asked) return;
    asked = line;
    let found;
    try {
      found = await request(`/api/files/tags?q=${encodeURIComponent(lastOf(line).start)}`);
    } catch {
      return; // what is offered is only old, not wrong
    }
    if (line !== asked) return; // somebody typed on, and that answer is under way
    const options = offers(line, found.results.map((tag) => tag.name)).map((value) => Object.assign(new Option(), { value }));
    input.list.replaceChildren(...options);
  };

  input.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(ask, PAUSE);
  });
}
