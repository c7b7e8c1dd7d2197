/** Decides which jobs may run now. Pure: knows nothing of files or the network. */

const SMALL = 1024 ** 2;
const [LEAST, FIRST, MOST] = [32 * 1024, 256 * 1024, 64 * 1024 ** 2];
const [QUICK, SLOW] = [500, 1500]; // milliseconds
const FAST = (2 * 1024 ** 2) / 1000; // bytes in a millisecond: a part of 8 MiB takes four seconds

/** @template T
 * @param {T[]} list
 * @param {number} size the most items of a batch, 1 or more
 * @param {(item: T) => number} [weight]
 * @param {number} [most] the most weight of a batch; an item that weighs more gets a batch of its own
 * @returns {T[][]} in the order of the list
 */
export function batches(list, size, weight = () => 0, most = Infinity) {
  const all = [];
  let load = 0;
  for (const item of list) {
    load += weight(item);
    if (all.length === 0 || all.at(-1).length === size || load > most) {
      all.push([]);
      load = weight(item);
    }
    all.at(-1).push(item);
  }
  return all;
}

/** Runs jobs in the order they were added, `limit` at a time. A job that fails does not stop the others. */
export class Queue {
  /** @param {number} limit
   * @param {(act: () => void, ms: number) => void} later a test replaces it, so that it need not wait
   */
  constructor(limit, later = setTimeout) {
    this.limit = limit;
    this.piece = FIRST; // bytes to send in one request, where a store takes a part in pieces: about a second's worth
    this.later = later;
    this.running = 0;
    this.held = 0;
    this.waiting = [];
  }

  /** @template T
   * @param {() => Promise<T>} job
   * @param {AbortSignal} [signal] removes the job from the queue if it has not begun
   * @returns {Promise<T>} settles as the job does, or with the signal's reason
   */
  add(job, signal) {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason);
      const entry = { job, resolve, reject, begin: () => signal?.removeEventListener("abort", leave) };
      const leave = () => {
        this.waiting.splice(this.waiting.indexOf(entry), 1);
        reject(signal.reason);
      };
      signal?.addEventListener("abort", leave, { once: true });
      this.waiting.push(entry);
      this.#next();
    });
  }

  /** Begin no new job for this time, because the server asked for a pause. Running jobs go on.
   * @param {number} ms
   */
  hold(ms) {
    this.held += 1;
    this.later(() => {
      this.held -= 1;
      this.#next();
    }, ms);
  }

  /** Learn from a job that moved bytes how many may run at a time: one on a slow line, up to `most` on a fast one.
   * @param {number} count bytes
   * @param {number} ms how long it took
   * @param {number} most
   */
  moved(count, ms, most) {
    const isSmall = count < SMALL; // it tells nothing of the line
    if (count / ms >= FAST || (isSmall && ms < QUICK)) this.limit = Math.min(most, this.limit + 1);
    else if (!isSmall || ms > SLOW) this.limit = 1;
    if (ms < QUICK && count >= this.piece) this.piece = Math.min(MOST, this.piece * 2);
    else if (ms > SLOW) this.piece = Math.max(LEAST, this.piece / 2);
    this.#next();
  }

  /** Learn that a job failed: run one at a time from here on. */
  broke() {
    this.limit = 1;
    this.piece = Math.max(LEAST, this.piece / 2);
  }

  #next() {
    while (this.held === 0 && this.running < this.limit && this.waiting.length > 0) {
      const { job, resolve, reject, begin } = this.waiting.shift();
      begin();
      this.running += 1;
      Promise.resolve()
        .then(job)
        .then(resolve, reject)
        .finally(() => {
          this.running -= 1;
          this.#next();
        });
    }
  }
}
