/** Suggests tags while the user types: those that begin like the last tag of the line, on files the user may download.
 * Without this script the line suggests the tags that came with the page. */
import { onPortal, request } from "./lib/http.js";

const PAUSE = 200; // milliseconds after the last key

/** @param {string} line tags between commas
 * @returns {string[]}
 */
export function wordsOf(line) {
  return line.split(",").map((word) => word.trim()).filter(Boolean);
}

/** @param {string} line tags between commas
 * @returns {{before: string, start: string}} the text before the last tag, as typed, and the beginning of the last tag
 */
export function lastOf(line) {
  const start = line.slice(line.lastIndexOf(",") + 1).trimStart();
  return { before: line.slice(0, line.length - start.length), start };
}

/** @param {string} line
 * @param {string[]} names tags to offer
 * @returns {string[]} the line completed with each name that it does not have yet: a browser suggests only values that
 *   begin with the whole line
 */
export function offers(line, names) {
  const { before } = lastOf(line);
  const given = new Set(wordsOf(before.toLowerCase()));
  return names.filter((name) => !given.has(name)).map((name) => before + name);
}

/** @param {HTMLInputElement} input with a datalist */
export function mount(input) {
  let timer = 0;
  let asked = null;

  const ask = async () => {
    const line = input.value;
    if (line === asked) return;
    asked = line;
    let found;
    try {
      found = await request(onPortal(`/api/files/tags?q=${encodeURIComponent(lastOf(line).start)}`));
    } catch {
      return; // keep the old suggestions: they are still valid tags
    }
    if (line !== asked) return; // the user typed on, and a newer request is under way
    const options = offers(line, found.results.map((tag) => tag.name)).map((value) => Object.assign(new Option(), { value }));
    input.list.replaceChildren(...options);
  };

  const askSoon = () => {
    clearTimeout(timer);
    timer = setTimeout(ask, PAUSE);
  };
  input.addEventListener("input", askSoon);
  // On a slow device the user types before this script is there.
  if (input === input.ownerDocument?.activeElement && input.value) askSoon();
}
