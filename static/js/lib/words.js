/** Fills words into sentences. No DOM. */

/** @param {string} sentence with places such as {name}
 * @param {Object<string, string|number>} words
 * @returns {string} braces inside a word are not replaced
 */
export function fill(sentence, words) {
  return sentence.replace(/\{(\w+)\}/g, (place, name) => (name in words ? String(words[name]) : place));
}
