/** The upload calls of the API. Every call throws HttpError. */
import { request } from "../lib/http.js";

const BASE = "/api/fileshare/upload";

/** @typedef {{file_id: string, method: "PUT"|"MULTIPART", expires_in: number, upload_url?: string, headers?: Object<string, string>,
 *   upload_id?: string, part_size?: number, parts?: {part_number: number, upload_url: string}[],
 *   status?: string, received?: {part_number: number, etag: string, size_bytes: number}[]}} Answer */
/** @typedef {{folderId: string, subfolderId: string, userId: string}} Place subfolderId "" means the folder's root */
/** @typedef {{file_id: string, filename: string, size_bytes: number, folder: {id: string}, subfolder: {id: string}|null,
 *   created_at: string, expires_at: string}} Unfinished */

const describe = (file) => ({
  filename: file.name,
  size_bytes: file.size,
  content_type: file.type || "application/octet-stream",
});

const placed = (place) => (place.subfolderId ? { folder_id: place.folderId, subfolder_id: place.subfolderId } : { folder_id: place.folderId });

/** Reserve space for some files in one request.
 * @param {Place} place
 * @param {File[]} files 1 to 100
 * @returns {Promise<(Answer|{detail: string, code: string})[]>} in order; a refused file has `detail`
 */
export async function initiate(place, files) {
  if (files.length === 1) return [await request(`${BASE}/initiate`, { method: "POST", body: { ...placed(place), ...describe(files[0]) } })];
  const answer = await request(`${BASE}/initiate`, { method: "POST", body: { ...placed(place), files: files.map(describe) } });
  return answer.uploads;
}

/** @param {string} fileId
 * @param {AbortSignal} [signal]
 * @returns {Promise<Answer>} what has arrived, and fresh addresses for the rest; only `status` "complete" when the file is there
 */
export function status(fileId, signal) {
  return request(`${BASE}/${fileId}`, { signal });
}

/** @param {import("./ticket.js").Ticket} ticket
 * @param {{part_number: number, etag: string}[]|null} parts null for a single PUT
 * @param {AbortSignal} [signal]
 */
export function complete(ticket, parts, signal) {
  const body = parts ? { file_id: ticket.fileId, upload_id: ticket.uploadId, parts } : { file_id: ticket.fileId };
  return request(`${BASE}/complete`, { method: "POST", body, signal });
}

/** @param {string} fileId */
export function abort(fileId) {
  return request(`${BASE}/abort`, { method: "POST", body: { file_id: fileId } });
}

/** @returns {Promise<Unfinished[]>} this person's unfinished uploads, newest first; of very many the newest 500 */
export async function unfinished() {
  return (await request("/api/fileshare/uploads?limit=500")).results;
}
