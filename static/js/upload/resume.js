/** Remembers unfinished uploads across reloads: the same file dropped in the same place goes on where it stopped. */

const PREFIX = "upload:";
const KEEP_MS = 7 * 86_400_000;

/** @param {{name: string, size: number, lastModified: number}} file
 * @param {{folderId: string, subfolderId: string}} place
 * @returns {string} the same for the same file and place
 */
export function fingerprint(file, place) {
  return PREFIX + JSON.stringify([file.name, file.size, file.lastModified, place.folderId, place.subfolderId]);
}

/** @param {Storage} storage
 * @param {string} key
 * @param {string} fileId
 * @param {number} now milliseconds
 */
export function remember(storage, key, fileId, now = Date.now()) {
  try {
    storage.setItem(key, JSON.stringify({ fileId, at: now }));
  } catch {
    // full or closed: the upload works, it only cannot be resumed after a reload
  }
}

/** @param {Storage} storage
 * @param {string} key
 * @param {number} now milliseconds
 * @returns {string|null} the upload's id
 */
export function recall(storage, key, now = Date.now()) {
  try {
    const { fileId, at } = JSON.parse(storage.getItem(key)) ?? {};
    if (fileId && now - at < KEEP_MS) return fileId;
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
