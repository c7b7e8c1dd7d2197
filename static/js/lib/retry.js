/** Repeats requests that failed, with growing waits. No DOM. */

const PASSING_STATUSES = new Set([0, 408, 429, 500, 502, 503, 504]);
// A repeat rarely helps after 400 or 409. These codes mean that the request was cut off or came at a bad moment. The
// portal itself marks a 409 that passes by Retry-After.
const PASSING_CODES = new Set([
  "incomplete_body",
  "IncompleteBody", "InternalError", "OperationAborted", "RequestTimeout", "ServiceUnavailable", "SlowDown",
]);

/** @param {{status?: number, code?: string, retryAfter?: number|null}} error the portal's or an S3 store's
 * @returns {boolean} whether the same request may succeed later
 */
export function isTransient(error) {
  const says = error?.status === 409 && (error.retryAfter ?? null) !== null;
  return says || PASSING_STATUSES.has(error?.status) || PASSING_CODES.has(error?.code);
}

/** @param {number} attempt 0 for the first repeat
 * @param {number|null} retryAfter seconds that the server asked to wait; used when given
 * @param {() => number} random 0..1, so that many clients do not come back at once
 * @returns {number} milliseconds to wait: 1 s doubling to 30 s, at random between half of that and all of it
 */
export function retryDelay(attempt, retryAfter = null, random = Math.random) {
  if (retryAfter !== null && retryAfter !== undefined) return retryAfter * 1000 + random() * 500;
  const ceiling = Math.min(30_000, 1000 * 2 ** attempt);
  return ceiling / 2 + (random() * ceiling) / 2;
}

/** @param {number} ms
 * @param {AbortSignal} [signal] ends the wait with its reason
 */
export function sleep(ms, signal) {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason);
    const stop = () => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", stop);
      resolve();
    }, ms);
    signal?.addEventListener("abort", stop, { once: true });
  });
}

/** Waits as `sleep` does, but takes account of the network. Without network it waits until that is back, and then only
 * a moment longer. A wait that the server asked for is never shortened.
 * @param {{network?: EventTarget, isOnline?: () => boolean, random?: () => number}} [options]
 * @returns {(ms: number, signal?: AbortSignal, error?: {retryAfter?: number|null}) => Promise<void>}
 */
export function patience({ network = globalThis, isOnline = () => globalThis.navigator?.onLine !== false, random = Math.random } = {}) {
  return async (ms, signal, error) => {
    const back = new AbortController();
    const onBack = () => back.abort();
    network.addEventListener("online", onBack, { once: true });
    try {
      const asked = error?.retryAfter ?? null;
      const either = asked === null ? AbortSignal.any([back.signal, ...(signal ? [signal] : [])]) : signal;
      await sleep(ms, either).catch(() => {});
      while (!isOnline() && !back.signal.aborted && !signal?.aborted) {
        await sleep(30_000, AbortSignal.any([back.signal, ...(signal ? [signal] : [])])).catch(() => {});
      }
      signal?.throwIfAborted();
      if (back.signal.aborted && asked === null) await sleep(random() * 1000, signal); // the parts must not all start at once
    } finally {
      network.removeEventListener("online", onBack);
    }
  };
}

/** @template T
 * @param {() => Promise<T>} action
 * @param {{attempts?: number, signal?: AbortSignal, again?: (error: any) => boolean, onWait?: (error: any, ms: number) => void,
 *   moved?: () => boolean, wait?: (ms: number, signal?: AbortSignal, error?: any) => Promise<void>}} [options]
 *   `again` decides after which errors to repeat; `onWait` is called before each wait; `moved` tells after a failure
 *   whether there was progress: then attempts and waits are counted anew
 * @returns {Promise<T>} rejects with the last error
 */
export async function retrying(action, { attempts = 6, signal, again = isTransient, onWait, moved, wait = sleep } = {}) {
  for (let attempt = 0; ; attempt += 1) {
    try {
      return await action();
    } catch (error) {
      if (moved?.()) attempt = 0;
      if (signal?.aborted || attempt + 1 >= attempts || !again(error)) throw error;
      const ms = retryDelay(attempt, error.retryAfter);
      onWait?.(error, ms);
      await wait(ms, signal, error);
    }
  }
}
