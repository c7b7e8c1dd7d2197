/** Counts uploads by state. Pure. */

/** @param {{state: string, isLive: boolean, sent: number, file: {size: number}}[]} jobs
 * @returns {{total: number, done: number, failed: number, live: number, finished: number, sent: number, size: number}}
 *   `total`, `sent` and `size` leave out cancelled uploads; `finished` counts those that are done or cancelled
 */
export function tally(jobs) {
  const counted = { total: 0, done: 0, failed: 0, live: 0, finished: 0, sent: 0, size: 0 };
  for (const job of jobs) {
    if (job.state === "cancelled" || job.state === "done") counted.finished += 1;
    if (job.state === "cancelled") continue;
    counted.total += 1;
    counted.done += job.state === "done";
    counted.failed += job.state === "failed";
    counted.live += job.isLive;
    counted.sent += job.sent;
    counted.size += job.file.size;
  }
  return counted;
}
