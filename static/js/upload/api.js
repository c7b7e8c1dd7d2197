/** The upload calls of the API. Every call throws HttpError. */
import { request } from "../lib/http.js";

const BASE = "/api/fileshare/upload";

/** @typedef {{file_id: string, method: "PUT"|"MULTIPART", expires_in: number, upload_url?: string, headers?: Object<string, string>,
 *   upload_id?: string, part_size?: number, parts?: {part_number: number, upload_url: string}[],
 *   status?: string, received?: {part_number: number, etag: string, size_bytes: number}[]}} Ticket */
/** @typedef {{folderId: string, subfolderId: string}} Place subfolderId "" means the folder's root */

const describe = (file) => ({
  filename: file.name,
  size_bytes: file.size,
  content_type: file.type || "application/octet-stream",
});

const placed = (place) => (place.subfolderId ? { folder_id: place.folderId, subfolder_id: place.subfolderId } : { folder_id: place.folderId });

/** Reserve space for some files in one request.
 * @param {Place} place
 * @param {File[]} files 1 to 100
 * @returns {Promise<(Ticket|{detail: string, code: string})[]>} in order; a refused file has `detail`
 */
export async function initiate(place, files) {
  if (files.length === 1) return [await request(`${BASE}/initiate`, { method: "POST", body: { ...placed(place), ...describe(files[0]) } })];
  const answer = await request(`${BASE}/initiate`, { method: "POST", body: { ...placed(place), files: files.map(describe) } });
  return answer.uploads;
}

/** @param {string} fileId
 * @param {AbortSignal} [signal]
 * @returns {Promise<Ticket>} what has arrived, and fresh addresses for the rest; only `status` "complete" when the file is there
 */
export function status(fileId, signal) {
  return request(`${BASE}/${fileId}`, { signal });
}

/** @param {Ticket} ticket
 * @param {{part_number: number, etag: string}[]|null} parts null for a single PUT
 * @param {AbortSignal} [signal]
 */
export function complete(ticket, parts, signal) {
  const body = parts ? { file_id: ticket.file_id, upload_id: ticket.upload_id, parts } : { file_id: ticket.file_id };
  return request(`${BASE}/complete`, { method: "POST", body, signal });
}

/** @param {string} fileId */
export function abort(fileId) {
  return request(`${BASE}/abort`, { method: "POST", body: { file_id: fileId } });
}
