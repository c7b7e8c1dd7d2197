/** Remembers unfinished uploads across reloads: the same file chosen in the same place goes on where it stopped. */

const PREFIX = "upload:";
const KEEP_MS = 7 * 86_400_000;
const SAMPLE = 64 * 1024;

/** @typedef {{fileId: string, at: number, print?: string}} Entry print: of some of the content, once bytes were sent */

/** @param {{name: string, size: number, lastModified: number}} file
 * @param {import("./api.js").Place} place
 * @returns {string} the same for the same file, place and person
 */
export function fingerprint(file, place) {
  return PREFIX + JSON.stringify([file.name, file.size, file.lastModified, place.folderId, place.subfolderId, place.userId]);
}

/** A look at the content: beginning, middle and end. Tells a file that was written anew under its old name, size and time.
 * @param {Blob} file
 * @returns {Promise<string>}
 * @throws when the file cannot be read (any more)
 */
export async function contentPrint(file) {
  const starts = new Set([0, Math.max(0, Math.floor((file.size - SAMPLE) / 2)), Math.max(0, file.size - SAMPLE)]);
  let hash = 0x811c9dc5; // FNV-1a: quick, and there without https too; it guards against mistakes, not against intent
  for (const start of starts) {
    for (const byte of new Uint8Array(await file.slice(start, start + SAMPLE).arrayBuffer())) hash = Math.imul(hash ^ byte, 0x01000193);
  }
  return (hash >>> 0).toString(16);
}

/** @param {Storage} storage
 * @param {string} key
 * @param {string} fileId
 * @param {string} [print]
 * @param {number} now milliseconds
 */
export function remember(storage, key, fileId, print, now = Date.now()) {
  try {
    storage.setItem(key, JSON.stringify({ fileId, at: now, print }));
  } catch {
    // full or closed: the upload works, it only cannot be resumed after a reload
  }
}

/** @param {Storage} storage
 * @param {string} key
 * @param {number} now milliseconds
 * @returns {Entry|null}
 */
export function recall(storage, key, now = Date.now()) {
  try {
    const entry = JSON.parse(storage.getItem(key));
    if (entry?.fileId && now - entry.at < KEEP_MS) return entry;
    storage.removeItem(key);
  } catch {
    // not ours or unreadable: begin anew
  }
  return null;
}

/** @param {Storage} storage
 * @param {string} key
 */
export function forget(storage, key) {
  try {
    storage.removeItem(key);
  } catch {
    // closed storage holds nothing to forget
  }
}

/** @param {Storage} storage
 * @param {number} now milliseconds
 * @returns {Map<string, string>} upload id → key, of all that is remembered; what is too old is forgotten
 */
export function remembered(storage, now = Date.now()) {
  const found = new Map();
  try {
    for (const key of Object.keys(storage).filter((name) => name.startsWith(PREFIX))) {
      const entry = recall(storage, key, now);
      if (entry) found.set(entry.fileId, key);
    }
  } catch {
    // closed storage remembers nothing
  }
  return found;
}
