/** One upload of a file: its state, its ticket, its bytes. No DOM. */
import { HttpError } from "../lib/http.js";
import { isTransient, patience, retrying } from "../lib/retry.js";
import * as api from "./api.js";
import { bytesSent, completedParts, missingParts, wholeParts } from "./parts.js";
import { Queue } from "./queue.js";
import { contentPrint, fingerprint, forget, recall, remember } from "./resume.js";
import { isAddressRefused, isElsewhere, isGone, Ticket } from "./ticket.js";
import { put } from "./transfer.js";

const PUTS_AT_ONCE = 4; // at most, for all files: a browser opens six connections to a host, and pages need some of them
const PUT_ATTEMPTS = 10; // for each part: about three minutes while the server answers with errors
const COMPLETE_ATTEMPTS = 30; // asking again is cheap, sending the whole file again is not

const puts = new Queue(1);
const wait = patience();

/** The file was changed, moved or removed (with a memory stick) while it was read. */
export class FileUnreadable extends Error {}

/** States: waiting → uploading → finishing → done; or paused, failed, cancelled. Fires "change". */
export class Job extends EventTarget {
  #begunAnew = false;
  #arrived = new Map(); // part number → ETag, as the server told when addresses were renewed
  #lateTags = []; // tags that the upload does not have, because it began before the user typed them
  #mayBeThere = false; // all bytes may have arrived before a reload or a crash: try to complete first, send if refused

  /** @param {File} file
   * @param {import("./api.js").Place} place
   * @param {Storage} storage
   * @param {string[]} tags
   */
  constructor(file, place, storage, tags = []) {
    super();
    this.file = file;
    this.tags = tags;
    this.place = place;
    this.storage = storage;
    this.key = fingerprint(file, place);
    this.state = "waiting";
    this.error = null;
    this.note = ""; // what the server says of a finished upload
    this.ticket = null;
    this.etags = new Map();
    this.underway = new Map();
    this.stalled = false;
    this.continuesAt = 0; // bytes that were there when it went on
    this.controller = null;
  }

  /** @returns {boolean} whether the upload would stop if the user left the page */
  get isLive() {
    return ["waiting", "uploading", "finishing"].includes(this.state);
  }

  /** @returns {boolean} whether it failed for a temporary reason, such as no network */
  get mayPass() {
    return this.state === "failed" && isTransient(this.error);
  }

  /** @returns {number} bytes sent so far */
  get sent() {
    if (this.state === "done") return this.file.size;
    const partSize = this.ticket?.partSize ?? this.file.size + 1;
    return bytesSent(this.file.size, partSize, this.etags.keys(), [...this.underway.values(), ...this.#begun(partSize)]);
  }

  /** Bytes that the store has of parts that are neither whole nor being sent. */
  #begun(partSize) {
    if (!this.ticket?.goesOn) return [];
    const idle = missingParts(this.file.size, partSize, new Set([...this.etags.keys(), ...this.underway.keys()]));
    return idle.map((part) => this.ticket.begun(part.number, part.end - part.start));
  }

  /** Take the server's answer for this file: a ticket or a refusal.
   * @param {import("./api.js").Answer|{detail: string, code: string}} answer
   */
  accept(answer) {
    if (!answer.file_id) return this.fail(new HttpError({ status: 400, ...answer }));
    if (this.state === "cancelled" || this.ticket) {
      api.abort(answer.file_id).catch(() => {}); // cancelled, or begun twice; if this fails, it expires by itself
      return;
    }
    this.#take(answer);
    this.#lateTags = [];
    remember(this.storage, this.key, this.ticket.fileId);
  }

  #take(answer) {
    if (this.ticket) this.ticket.renew(answer);
    else this.ticket = new Ticket(answer);
    if (answer.received && this.ticket.isMultipart) this.etags = wholeParts(answer.received, this.file.size, this.ticket.partSize);
  }

  /** Ask the server for an upload begun earlier. If it is gone, the job has no ticket; if complete, the job is done. */
  async recover() {
    const fileId = this.ticket?.fileId ?? (await this.#remembered());
    if (!fileId) return;
    if (!this.ticket) this.#lateTags = this.tags;
    try {
      const answer = await retrying(() => api.status(fileId), { wait });
      if (answer.status === "complete") await this.#finish(fileId);
      else if (this.state === "cancelled") api.abort(fileId).catch(() => {});
      else this.#take({ file_id: fileId, ...answer });
      this.#mayBeThere = answer.status === "completing" || answer.method === "PUT" || answer.parts?.length === 0;
    } catch (error) {
      if (!isGone(error)) throw error;
      this.lose();
    }
  }

  async #remembered() {
    const entry = recall(this.storage, this.key);
    if (!entry) return null;
    if (!entry.print || entry.print === (await this.#read(contentPrint(this.file)))) return entry.fileId;
    forget(this.storage, this.key); // the content has changed, although name, size and time are the same
    return null;
  }

  /** Send what is missing and complete the upload. Never throws: the state is the result. It is "waiting" when the
   * upload is gone and a new one must begin. */
  async run() {
    if (this.state !== "waiting" || !this.ticket) return;
    const controller = new AbortController();
    this.controller = controller;
    const { signal } = controller;
    this.continuesAt = this.sent;
    this.set("uploading");
    try {
      remember(this.storage, this.key, this.ticket.fileId, await this.#read(contentPrint(this.file)));
      if (!this.#mayBeThere) await this.#send(signal);
      this.#mayBeThere = false;
      this.note = (await this.#complete(signal))?.note ?? "";
      await this.#finish(this.ticket.fileId);
    } catch (error) {
      if (!signal.aborted) await this.#settle(error); // when aborted, pause() or cancel() has set the state
    } finally {
      if (this.controller === controller) {
        this.underway.clear();
        this.stalled = false;
        this.changed(); // parts that were cut off no longer count as sent
      }
    }
  }

  async #settle(error) {
    if (!isGone(error)) return this.fail(error);
    try {
      await this.recover(); // perhaps it was completed, and only the answer was lost
    } catch (problem) {
      return this.fail(problem);
    }
    if (this.state === "done" || this.state === "cancelled") return;
    if (this.#begunAnew || (this.ticket && !this.#mayBeThere)) return this.fail(error);
    this.#begunAnew = true;
    this.set("waiting");
  }

  async #send(signal) {
    if (!this.ticket.isMultipart) return this.#put(signal, 1, this.file);
    const todo = missingParts(this.file.size, this.ticket.partSize, new Set(this.etags.keys()));
    const inner = new AbortController(); // a part that fails stops the other parts, but not the job
    const stop = () => inner.abort(signal.reason);
    signal.addEventListener("abort", stop, { once: true });
    const worker = async () => {
      for (let part = todo.shift(); part && !inner.signal.aborted; part = todo.shift()) {
        const etag = await this.#put(inner.signal, part.number, this.file.slice(part.start, part.end));
        this.etags.set(part.number, etag);
      }
    };
    try {
      await Promise.all(Array.from({ length: PUTS_AT_ONCE }, worker));
    } catch (error) {
      inner.abort(error);
      throw error;
    } finally {
      signal.removeEventListener("abort", stop);
    }
  }

  #put(signal, number, body) {
    const onProgress = (sent) => {
      this.stalled = false;
      this.underway.set(number, sent);
      this.changed();
    };
    let failed = false;
    let [last, begun] = [0, 0]; // where the attempt before the last one began, and the last one
    const moved = () => {
      const gained = begun > last;
      last = begun;
      return gained;
    };
    const attempt = async () => {
      await this.#freshen(signal);
      if (failed && this.#arrived.has(number)) return this.#arrived.get(number); // only its answer was lost
      const { generation, headers } = this.ticket;
      begun = this.ticket.begun(number, body.size);
      try {
        for (;;) {
          const end = this.ticket.goesOn ? Math.min(body.size, begun + puts.piece) : body.size;
          const range = this.ticket.goesOn && { "Content-Range": `bytes ${begun}-${end - 1}/${body.size}` };
          const [from, start] = [begun, performance.now()];
          const etag = await put({
            url: this.ticket.address(number),
            headers: { ...headers, ...range },
            body: body.slice(from, end),
            onProgress: (sent) => onProgress(from + sent),
            signal,
          });
          puts.moved(end - from, performance.now() - start, PUTS_AT_ONCE);
          if (end === body.size) return etag;
          begun = end;
          this.ticket.has(number, begun);
        }
      } catch (error) {
        failed = true;
        if (error.status === 0) puts.broke();
        // Ask how much of the part is there, and for a new address.
        if (isAddressRefused(error) || this.ticket?.goesOn) this.ticket?.wasRefused(generation);
        // A browser reports an unreadable file as a network error, so try to read it.
        if (error.status === 0) await this.#read(body.slice(0, 1).arrayBuffer());
        if ([429, 503].includes(error.status) && error.retryAfter) puts.hold(error.retryAfter * 1000);
        throw error;
      } finally {
        if (this.ticket?.isMultipart) this.underway.delete(number); // from now on its ETag counts the part as sent
      }
    };
    let renewed = false;
    const again = (error) => {
      if (!isAddressRefused(error)) return isElsewhere(error) || isTransient(error);
      const first = !renewed;
      renewed = true;
      return first;
    };
    // After a refused address or offset do not wait: ask for the new one at once.
    const isStale = (error) => isAddressRefused(error) || isElsewhere(error);
    const unlessRefused = (ms, signal, error) => (isStale(error) ? null : wait(ms, signal, error));
    const onWait = (error) => !isStale(error) && this.#stall();
    return retrying(() => puts.add(attempt, signal), { attempts: PUT_ATTEMPTS, signal, again, moved, onWait, wait: unlessRefused });
  }

  #stall() {
    this.stalled = true;
    this.changed();
  }

  async #read(reading) {
    try {
      return await reading;
    } catch (error) {
      throw new FileUnreadable(this.file.name, { cause: error });
    }
  }

  #freshen(signal) {
    if (this.ticket.isFresh()) return null;
    this.freshening ??= api
      .status(this.ticket.fileId, signal)
      .then((answer) => {
        if (answer.status === "complete") throw new HttpError({ status: 409, code: "upload_completed" });
        const { received, ...addresses } = answer; // our own list of whole parts is newer
        this.#take(addresses);
        if (this.ticket.isMultipart) this.#arrived = wholeParts(received ?? [], this.file.size, this.ticket.partSize);
      })
      .finally(() => {
        this.freshening = null;
      });
    return this.freshening;
  }

  async #complete(signal) {
    const attempt = async () => {
      this.set("finishing");
      await this.#askForHiddenEtags(signal);
      const parts = this.ticket.isMultipart ? completedParts(this.etags) : null;
      const options = { attempts: COMPLETE_ATTEMPTS, signal, wait, onWait: () => this.#stall() };
      return retrying(() => api.complete(this.ticket, parts, signal), options);
    };
    try {
      return await attempt();
    } catch (error) {
      if (error.status !== 409) throw error;
      const answer = await retrying(() => api.status(this.ticket.fileId, signal), { signal, wait });
      this.#take(answer);
      this.set("uploading");
      if (answer.parts?.length !== 0) await this.#send(signal); // parts are missing: send them, once
      return attempt();
    }
  }

  /** Ask the portal for ETags that the bucket hides from scripts. */
  async #askForHiddenEtags(signal) {
    if (![...this.etags.values()].includes("")) return;
    this.#take(await retrying(() => api.status(this.ticket.fileId, signal), { signal, wait }));
  }

  async #finish(fileId) {
    if (this.#lateTags.length > 0) await retrying(() => api.addTags(fileId, this.#lateTags), { wait });
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
    if (this.ticket) api.abort(this.ticket.fileId).catch(() => {}); // if this fails, the reservation expires by itself
    forget(this.storage, this.key);
  }

  /** Begin again from "waiting"; the caller then calls recover() and run(). */
  wait() {
    this.error = null;
    this.#begunAnew = false;
    this.set("waiting");
  }

  /** Forget the upload: the server no longer knows it, or has refused it for good. */
  lose() {
    forget(this.storage, this.key);
    this.ticket = null;
    this.etags.clear();
    this.#mayBeThere = false;
  }

  fail(error) {
    if (this.state === "cancelled") return;
    this.error = error;
    // The bytes already sent are useless.
    if (error instanceof FileUnreadable && this.ticket) api.abort(this.ticket.fileId).catch(() => {});
    if (error instanceof FileUnreadable || [404, 410, 413, 415].includes(error.status)) this.lose();
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
