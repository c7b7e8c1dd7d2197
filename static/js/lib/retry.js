/** Trying again, politely. No DOM. */

/** @param {{status?: number}} error
 * @returns {boolean} whether the same request may do better later
 */
export function isTransient(error) {
  return [0, 408, 429, 500, 502, 503, 504].includes(error?.status);
}

/** @param {number} attempt 0 for the first repeat
 * @param {number|null} retryAfter seconds the server asked for; obeyed when given
 * @param {() => number} random 0..1, so that many clients do not come back at once
 * @returns {number} milliseconds to wait: 1 s doubling to 30 s, halved at most by chance
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

/** @template T
 * @param {() => Promise<T>} action
 * @param {{attempts?: number, signal?: AbortSignal, again?: (error: any) => boolean, wait?: typeof sleep}} [options]
 *   `again` decides which errors are worth a repeat
 * @returns {Promise<T>} throws the last error
 */
export async function retrying(action, { attempts = 6, signal, again = isTransient, wait = sleep } = {}) {
  for (let attempt = 0; ; attempt += 1) {
    try {
      return await action();
    } catch (error) {
      if (signal?.aborted || attempt + 1 >= attempts || !again(error)) throw error;
      await wait(retryDelay(attempt, error.retryAfter), signal);
    }
  }
}
