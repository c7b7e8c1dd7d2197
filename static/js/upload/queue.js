/** Decides which jobs may run now. Pure: knows nothing of files or the network. */

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
