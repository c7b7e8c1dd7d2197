/** The files in a drop, folders taken apart. */

const readEntries = (reader) => new Promise((resolve, reject) => reader.readEntries(resolve, reject));
const asFile = (entry) => new Promise((resolve, reject) => entry.file(resolve, reject));

async function walk(entry) {
  if (entry.isFile) return [await asFile(entry)];
  const reader = entry.createReader();
  const found = [];
  // a reader hands out a hundred entries at a time and an empty list at the end
  for (let some = await readEntries(reader); some.length > 0; some = await readEntries(reader)) {
    for (const child of some) found.push(...(await walk(child).catch(() => [])));
  }
  return found;
}

/** @param {DataTransfer} transfer read at once: it is empty after the event
 * @returns {Promise<File[]>} unreadable entries are left out
 */
export async function droppedFiles(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (entries.length === 0) return [...transfer.files];
  const lists = await Promise.all(entries.map((entry) => walk(entry).catch(() => [])));
  return lists.flat();
}
