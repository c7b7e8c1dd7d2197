/** One file on its way: its state, its ticket, its bytes. No DOM. */
import { HttpError } from "../lib/http.js";
import { isTransient, retrying } from "../lib/retry.js";
import * as api from "./api.js";
import { bytesSent, completedParts, missingParts, wholeParts } from "./parts.js";
import { Queue } from "./queue.js";
import { fingerprint, forget, recall, remember } from "./resume.js";
import { put } from "./transfer.js";

const PARTS_AT_ONCE = 3;
const PUTS_AT_ONCE = 4; // over all files: a browser gives one host six connections, and pages need some
const EXPIRY_MARGIN_MS = 30_000;

const puts = new Queue(PUTS_AT_ONCE);

/** States: waiting → uploading → finishing → done; or paused, failed, cancelled. Fires "change". */
export class Job extends EventTarget {
  /** @param {File} file
   * @param {import("./api.js").Place} place
   * @param {Storage} storage
   */
  constructor(file, place, storage) {
    super();
    this.file = file;
    this.place = place;
    this.storage = storage;
    this.key = fingerprint(file, place);
    this.state = "waiting";
    this.error = null;
    this.ticket = null;
    this.expiresAt = 0;
    this.etags = new Map();
    this.underway = new Map();
    this.controller = null;
  }

  /** @returns {boolean} whether leaving the page would lose something */
  get isLive() {
    return ["waiting", "uploading", "finishing"].includes(this.state);
  }

  /** @returns {number} bytes sent so far */
  get sent() {
    if (this.state === "done") return this.file.size;
    return bytesSent(this.file.size, this.ticket?.part_size ?? this.file.size + 1, this.etags.keys(), this.underway.values());
  }

  /** The server's word on this file: a ticket, or a refusal.
   * @param {import("./api.js").Ticket|{detail: string, code: string}} answer
   */
  accept(answer) {
    if (!answer.file_id) return this.fail(new HttpError({ status: 400, ...answer }));
    if (this.state === "cancelled" || this.ticket) {
      api.abort(answer.file_id).catch(() => {}); // given up, or asked twice; the reservation lapses by itself if this fails
      return;
    }
    this.#take(answer);
    remember(this.storage, this.key, this.ticket.file_id);
  }

  #take(ticket) {
    const known = new Map((this.ticket?.parts ?? []).map((part) => [part.part_number, part]));
    for (const part of ticket.parts ?? []) known.set(part.part_number, part);
    this.ticket = { ...this.ticket, ...ticket, parts: [...known.values()] };
    this.expiresAt = Date.now() + (ticket.expires_in ?? 900) * 1000;
    if (ticket.received && this.ticket.part_size) this.etags = wholeParts(ticket.received, this.file.size, this.ticket.part_size);
  }

  /** Ask after an upload begun earlier. Leaves the job without a ticket when it is gone, and done when all had arrived. */
  async recover() {
    const fileId = this.ticket?.file_id ?? recall(this.storage, this.key);
    if (!fileId) return;
    try {
      const ticket = await retrying(() => api.status(fileId));
      if (ticket.status === "complete") this.#finish();
      else this.#take({ file_id: fileId, ...ticket });
    } catch (error) {
      if (isTransient(error) || error.status === 401) throw error;
      this.lose();
    }
  }

  /** Send what is missing and complete. Never throws: the outcome is the state. */
  async run() {
    if (this.state !== "waiting" || !this.ticket) return;
    this.controller = new AbortController();
    const { signal } = this.controller;
    this.set("uploading");
    try {
      await this.#send(signal);
      this.set("finishing");
      await this.#complete(signal);
      this.#finish();
    } catch (error) {
      if (!signal.aborted) this.fail(error); // aborted: pause() or cancel() has set the state
    } finally {
      this.underway.clear();
      this.changed(); // what was cut off no longer counts
    }
  }

  async #send(signal) {
    if (this.ticket.method !== "MULTIPART") {
      await this.#put(signal, 1, () => this.ticket.upload_url, this.file, this.ticket.headers);
      return;
    }
    const todo = missingParts(this.file.size, this.ticket.part_size, new Set(this.etags.keys()));
    const inner = new AbortController(); // one part given up stops its fellows, not the job
    const stop = () => inner.abort(signal.reason);
    signal.addEventListener("abort", stop, { once: true });
    const worker = async () => {
      for (let part = todo.shift(); part && !inner.signal.aborted; part = todo.shift()) {
        const { number, start, end } = part;
        const address = () => this.ticket.parts.find((known) => known.part_number === number)?.upload_url;
        const etag = await this.#put(inner.signal, number, address, this.file.slice(start, end));
        this.etags.set(number, etag);
      }
    };
    try {
      await Promise.all(Array.from({ length: PARTS_AT_ONCE }, worker));
    } catch (error) {
      inner.abort(error);
      throw error;
    } finally {
      signal.removeEventListener("abort", stop);
    }
  }

  #put(signal, number, address, body, headers) {
    const onProgress = (sent) => {
      this.underway.set(number, sent);
      this.changed();
    };
    const attempt = async () => {
      await this.#freshen(signal);
      try {
        return await put({ url: address(), headers, body, onProgress, signal });
      } catch (error) {
        if (error.status === 403) this.expiresAt = 0; // the address has probably expired: ask for another
        throw error;
      } finally {
        if (this.ticket.method === "MULTIPART") this.underway.delete(number); // from here on it counts by its ETag
      }
    };
    let renewed = false;
    const again = (error) => {
      if (error.status !== 403) return isTransient(error);
      const first = !renewed;
      renewed = true;
      return first;
    };
    return retrying(() => puts.add(attempt), { signal, again });
  }

  #freshen(signal) {
    if (Date.now() < this.expiresAt - EXPIRY_MARGIN_MS) return null;
    this.freshening ??= api
      .status(this.ticket.file_id, signal)
      .then((ticket) => {
        const { received, ...addresses } = ticket; // our own count is newer while parts are on their way
        this.#take(addresses);
      })
      .finally(() => {
        this.freshening = null;
      });
    return this.freshening;
  }

  async #complete(signal) {
    const parts = () => (this.ticket.method === "MULTIPART" ? completedParts(this.etags) : null);
    const attempt = () => retrying(() => api.complete(this.ticket, parts(), signal), { signal });
    try {
      await attempt();
    } catch (error) {
      if (error.status !== 409 || this.ticket.method !== "MULTIPART") throw error;
      this.#take(await api.status(this.ticket.file_id, signal)); // the server lacks something: mend it once
      await this.#send(signal);
      await attempt();
    }
  }

  #finish() {
    forget(this.storage, this.key);
    if (this.state !== "cancelled") this.set("done");
  }

  pause() {
    if (this.state !== "waiting" && this.state !== "uploading") return;
    this.set("paused");
    this.controller?.abort(new DOMException("paused", "AbortError"));
  }

  cancel() {
    if (this.state === "done") return;
    this.set("cancelled");
    this.controller?.abort(new DOMException("cancelled", "AbortError"));
    if (this.ticket) api.abort(this.ticket.file_id).catch(() => {}); // the reservation lapses by itself if this fails
    forget(this.storage, this.key);
  }

  /** Back to the start of the line; recover() and run() follow. */
  wait() {
    this.error = null;
    this.set("waiting");
  }

  /** The server does not know the upload any more, or has refused it for good. */
  lose() {
    forget(this.storage, this.key);
    this.ticket = null;
    this.etags.clear();
  }

  fail(error) {
    if (this.state === "cancelled") return;
    this.error = error;
    if ([404, 410, 413, 415].includes(error.status)) this.lose();
    this.set("failed");
  }

  set(state) {
    this.state = state;
    this.changed();
  }

  changed() {
    this.dispatchEvent(new Event("change"));
  }
}
