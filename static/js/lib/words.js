/** Words in sentences. No DOM. */

/** @param {string} sentence with places such as {name}
 * @param {Object<string, string|number>} words
 * @returns {string} what a word holds is never taken for a place
 */
export function fill(sentence, words) {
  return sentence.replace(/\{(\w+)\}/g, (place, name) => (name in words ? String(words[name]) : place));
}
