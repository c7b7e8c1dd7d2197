/** What the server has said about one upload: its ids, and addresses that expire. Pure. */

const MARGIN_MS = 30_000; // an address must still be valid when the request arrives

export class Ticket {
  #addresses = new Map();
  #begun = new Map(); // part number → bytes of it that the store has; only where it keeps those of a cut part
  #goodUntil = 0;

  /** @param {import("./api.js").Answer} answer of initiate or status
   * @param {number} now milliseconds
   */
  constructor(answer, now = Date.now()) {
    this.fileId = answer.file_id;
    this.method = answer.method;
    this.uploadId = answer.upload_id;
    this.partSize = answer.part_size;
    this.generation = 0;
    this.renew(answer, now);
  }

  /** @returns {boolean} whether the file goes in parts */
  get isMultipart() {
    return this.method === "MULTIPART";
  }

  /** Take newer addresses; a part the answer leaves out keeps its own.
   * @param {import("./api.js").Answer} answer
   * @param {number} now milliseconds
   */
  renew(answer, now = Date.now()) {
    this.generation += 1;
    this.headers = answer.headers;
    this.uploadId = answer.upload_id ?? this.uploadId;
    if (answer.upload_url) this.#addresses.set(1, answer.upload_url);
    for (const { part_number, upload_url, begun_bytes } of answer.parts ?? []) {
      this.#addresses.set(part_number, upload_url);
      if (begun_bytes !== undefined) this.#begun.set(part_number, begun_bytes);
    }
    this.#goodUntil = now + (answer.expires_in ?? 900) * 1000;
  }

  /** @param {number} number of a part; 1 for a single PUT
   * @returns {string|undefined}
   */
  address(number) {
    return this.#addresses.get(number);
  }

  /** @param {number} number of a part
   * @param {number} size bytes in the part
   * @returns {number} bytes of the part that the store has: a PUT may go on there
   */
  begun(number, size) {
    const count = this.#begun.get(number) ?? 0;
    return count < size ? count : 0;
  }

  /** Note that the store has more of a part.
   * @param {number} number
   * @param {number} count bytes from its beginning
   */
  has(number, count) {
    this.#begun.set(number, count);
  }

  /** @returns {boolean} whether the store keeps what it has of a part whose connection was cut */
  get goesOn() {
    return this.#begun.size > 0;
  }

  /** @param {number} now milliseconds
   * @returns {boolean} whether an address may still be used
   */
  isFresh(now = Date.now()) {
    return now < this.#goodUntil - MARGIN_MS;
  }

  /** The store refused an address. Several parts may notice at once; only the first report makes the addresses stale.
   * @param {number} generation of the address that was refused
   */
  wasRefused(generation) {
    if (generation === this.generation) this.#goodUntil = 0;
  }
}

/** @param {{status: number, code: string}} error of a store
 * @returns {boolean} whether a new address may help: this one has expired, or the keys that signed it have
 */
export function isAddressRefused({ status, code }) {
  return status === 403 || code === "ExpiredToken";
}

/** @param {{code: string}} error of a store
 * @returns {boolean} whether it has more or less of the part than the page was told
 */
export function isElsewhere({ code }) {
  return code === "wrong_offset";
}

/** @param {{status: number, code: string}} error of a store or the portal
 * @returns {boolean} whether the upload is no longer open: completed, cancelled or expired
 */
export function isGone({ status, code }) {
  return status === 404 || status === 410 || code === "upload_completed";
}
