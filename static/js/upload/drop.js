/** The files that the user dropped, including those inside dropped folders. */
import { fill } from "../lib/words.js";

const readEntries = (reader) => new Promise((resolve, reject) => reader.readEntries(resolve, reject));
const asFile = (entry) => new Promise((resolve, reject) => entry.file(resolve, reject));
// What Finder and Explorer keep in folders, and the owner files of open Office documents.
const LEFT_BY_A_SYSTEM = /^(\.DS_Store|Thumbs\.db|desktop\.ini|~\$.*)$/i;

async function walk(entry, found, inFolder) {
  try {
    if (inFolder && entry.isFile && LEFT_BY_A_SYSTEM.test(entry.name)) {
      found.leftOut += 1;
      return;
    }
    if (entry.isFile) {
      found.files.push(await asFile(entry));
      return;
    }
    found.folders += 1;
    const reader = entry.createReader();
    // a reader returns a hundred entries at a time, and an empty list at the end
    for (let some = await readEntries(reader); some.length > 0; some = await readEntries(reader)) {
      for (const child of some) await walk(child, found, true);
    }
  } catch {
    found.unreadable.push(entry.name);
  }
}

/** @param {DataTransfer} transfer read it during the event: afterwards it is empty
 * @returns {Promise<{files: File[], folders: number, leftOut: number, unreadable: string[]}>} `folders` counts the
 *   dropped folders, `leftOut` the files in them that a system made for itself; `unreadable` has the names of entries
 *   that could not be read
 */
export async function droppedFiles(transfer) {
  const found = { files: [], folders: 0, leftOut: 0, unreadable: [] };
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (entries.length === 0) return { ...found, files: [...transfer.files] };
  for (const entry of entries) await walk(entry, found, false);
  return found;
}

/** @param {{folders?: number, leftOut?: number, unreadable?: string[]}} found
 * @param {DOMStringMap} texts the panel's sentences
 * @returns {string} what to tell about the dropped folders
 */
export function notesOn({ folders = 0, leftOut = 0, unreadable = [] }, texts) {
  const notes = [
    folders > 0 && texts.textFlat,
    leftOut > 0 && fill(texts.textLeftOut, { count: leftOut }),
    unreadable.length > 0 && fill(texts.textNotRead, { count: unreadable.length, names: unreadable.slice(0, 5).join(", ") }),
  ];
  return notes.filter(Boolean).join(" ");
}
