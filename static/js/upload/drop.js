/** The files in a drop, folders taken apart. */

const readEntries = (reader) => new Promise((resolve, reject) => reader.readEntries(resolve, reject));
const asFile = (entry) => new Promise((resolve, reject) => entry.file(resolve, reject));

async function walk(entry, found) {
  try {
    if (entry.isFile) {
      found.files.push(await asFile(entry));
      return;
    }
    found.folders += 1;
    const reader = entry.createReader();
    // a reader hands out a hundred entries at a time and an empty list at the end
    for (let some = await readEntries(reader); some.length > 0; some = await readEntries(reader)) {
      for (const child of some) await walk(child, found);
    }
  } catch {
    found.unreadable.push(entry.name);
  }
}

/** @param {DataTransfer} transfer read at once: it is empty after the event
 * @returns {Promise<{files: File[], folders: number, unreadable: string[]}>} how many folders were taken apart, and
 *   the names of what could not be read
 */
export async function droppedFiles(transfer) {
  const found = { files: [], folders: 0, unreadable: [] };
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (entries.length === 0) return { ...found, files: [...transfer.files] };
  for (const entry of entries) await walk(entry, found);
  return found;
}
