/** The upload calls of the API. Every call throws HttpError. */
import { onPortal, request } from "../lib/http.js";

let base = onPortal("/api/fileshare/upload");
let namesPlace = true;
const PART_SIZE = 8 * 1024 ** 2; // a cut line loses at most so much

/** @typedef {{file_id: string, method: "PUT"|"MULTIPART", expires_in: number, upload_url?: string, headers?: Object<string, string>,
 *   upload_id?: string, part_size?: number, parts?: {part_number: number, upload_url: string, begun_bytes?: number}[],
 *   status?: string, received?: {part_number: number, etag: string, size_bytes: number}[]}} Answer */
/** @typedef {{folderId: string, subfolderId: string, userId: string}} Place subfolderId "" means the folder's root */
/** @typedef {{file_id: string, filename: string, size_bytes: number, folder: {id: string}, subfolder: {id: string}|null,
 *   created_at: string, expires_at: string}} Unfinished */

/** @typedef {{file: File, tags: string[]}} Item */

const describe = ({ file, tags }) => ({
  filename: file.name,
  size_bytes: file.size,
  content_type: file.type || "application/octet-stream",
  ...(tags.length > 0 && { tags }),
});

const idsOf = (place) => (place.subfolderId ? { folder_id: place.folderId, subfolder_id: place.subfolderId } : { folder_id: place.folderId });

const asked = (place) => ({ ...(namesPlace && idsOf(place)), part_size: PART_SIZE });

/** Use other addresses for the same calls: those of a file request, where the server knows the folder.
 * @param {string} address without a slash at the end
 */
export function useDoor(address) {
  base = address;
  namesPlace = false;
}

/** Announce several files in one request; the server reserves their space.
 * @param {Place} place
 * @param {Item[]} items 1 to 100
 * @returns {Promise<(Answer|{detail: string, code: string})[]>} in order; a refused file has `detail`
 */
export async function initiate(place, items) {
  if (items.length === 1) return [await request(`${base}/initiate`, { method: "POST", body: { ...asked(place), ...describe(items[0]) } })];
  const answer = await request(`${base}/initiate`, { method: "POST", body: { ...asked(place), files: items.map(describe) } });
  return answer.uploads;
}

/** @param {string} fileId
 * @param {AbortSignal} [signal]
 * @returns {Promise<Answer>} the received parts, and new addresses for the rest; of a complete file only its `status`
 */
export function status(fileId, signal) {
  return request(`${base}/${fileId}`, { signal });
}

/** @param {import("./ticket.js").Ticket} ticket
 * @param {{part_number: number, etag: string}[]|null} parts null for a single PUT
 * @param {AbortSignal} [signal]
 * @returns {Promise<{note?: string}>} the file; `note` is a sentence about a file that got another ending than it had
 */
export function complete(ticket, parts, signal) {
  const body = parts ? { file_id: ticket.fileId, upload_id: ticket.uploadId, parts } : { file_id: ticket.fileId };
  return request(`${base}/complete`, { method: "POST", body, signal });
}

/** Add tags to a file; it keeps those it has.
 * @param {string} fileId
 * @param {string[]} tags 1 or more
 */
export function addTags(fileId, tags) {
  return request(onPortal(`/api/files/${fileId}/tags`), { method: "POST", body: { tags } });
}

/** @param {string} fileId */
export function abort(fileId) {
  return request(`${base}/abort`, { method: "POST", body: { file_id: fileId } });
}

/** @returns {Promise<Unfinished[]>} the user's unfinished uploads, newest first, at most 500 */
export async function unfinished() {
  return (await request(onPortal("/api/fileshare/uploads?limit=500"))).results;
}
