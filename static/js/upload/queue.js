/** Who may go now. Pure: knows nothing of files or the network. */

/** @template T
 * @param {T[]} list
 * @param {number} size 1 or more
 * @returns {T[][]}
 */
export function batches(list, size) {
  return Array.from({ length: Math.ceil(list.length / size) }, (_, index) => list.slice(index * size, (index + 1) * size));
}

/** Runs jobs in the order they were added, `limit` at a time. A job that fails stops no other. */
export class Queue {
  /** @param {number} limit */
  constructor(limit) {
    this.limit = limit;
    this.running = 0;
    this.waiting = [];
  }

  /** @template T
   * @param {() => Promise<T>} job
   * @returns {Promise<T>} settles as the job does
   */
  add(job) {
    return new Promise((resolve, reject) => {
      this.waiting.push({ job, resolve, reject });
      this.#next();
    });
  }

  #next() {
    while (this.running < this.limit && this.waiting.length > 0) {
      const { job, resolve, reject } = this.waiting.shift();
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
