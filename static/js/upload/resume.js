/** Remembers unfinished uploads across reloads: the user resumes one by choosing the same file in the same folder. */

const PREFIX = "upload:";
const KEEP_MS = 7 * 86_400_000;
const SAMPLE = 64 * 1024;

/** @typedef {{fileId: string, at: number, print?: string}} Entry print: contentPrint, set when bytes are sent */

/** @param {{name: string, size: number, lastModified: number}} file
 * @param {import("./api.js").Place} place
 * @returns {string} the same for the same file, place and user
 */
export function fingerprint(file, place) {
  return PREFIX + JSON.stringify([file.name, file.size, file.lastModified, place.folderId, place.subfolderId, place.userId]);
}

/** A hash of the content's beginning, middle and end. It detects a changed file that has the same name, size and time.
 * @param {Blob} file
 * @returns {Promise<string>}
 * @throws when the file cannot be read, or no longer
 */
export async function contentPrint(file) {
  const starts = new Set([0, Math.max(0, Math.floor((file.size - SAMPLE) / 2)), Math.max(0, file.size - SAMPLE)]);
  let hash = 0x811c9dc5; // FNV-1a: fast, and works without https; it detects mistakes, not deliberate changes
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
    // storage is full or blocked: the upload works, but cannot be resumed after a reload
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
    // the entry is not ours or unreadable: begin a new upload
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
    // blocked storage contains no entry to delete
  }
}

/** @param {Storage} storage
 * @param {number} now milliseconds
 * @returns {Map<string, string>} upload id → key, of all remembered uploads; entries that are too old are deleted
 */
export function remembered(storage, now = Date.now()) {
  const found = new Map();
  try {
    for (const key of Object.keys(storage).filter((name) => name.startsWith(PREFIX))) {
      const entry = recall(storage, key, now);
      if (entry) found.set(entry.fileId, key);
    }
  } catch {
    // blocked storage contains no entries
  }
  return found;
}
