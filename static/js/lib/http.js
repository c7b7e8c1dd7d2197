/** JSON over fetch with Django's CSRF token, and one kind of error. */

/** An answer that is not 2xx, or none at all (status 0). `message` is the server's sentence, or "". */
export class HttpError extends Error {
  /** @param {{status: number, detail?: string, code?: string, errors?: object|null, retryAfter?: number|null}} facts */
  constructor({ status, detail = "", code = "", errors = null, retryAfter = null }) {
    super(detail);
    this.name = "HttpError";
    this.status = status;
    this.code = code;
    this.errors = errors;
    this.retryAfter = retryAfter;
  }
}

/** @param {string|null} header Retry-After: seconds or an HTTP date
 * @param {number} now milliseconds
 * @returns {number|null} seconds, 0 or more
 */
export function retryAfterSeconds(header, now = Date.now()) {
  if (!header) return null;
  if (/^\d+$/.test(header.trim())) return Number(header);
  const date = Date.parse(header);
  return Number.isNaN(date) ? null : Math.max(0, Math.ceil((date - now) / 1000));
}

/** @param {string} text body of a refused answer
 * @param {number} status
 * @param {string|null} retryAfter
 * @returns {HttpError} with the body's detail and code when it is our JSON, with its code alone when it is S3's XML
 */
export function errorFrom(text, status, retryAfter) {
  let facts = {};
  try {
    facts = JSON.parse(text) ?? {};
  } catch {
    facts.code = /<Code>(\w+)<\/Code>/.exec(text)?.[1]; // S3 answers XML; of a proxy's page only the status is used
  }
  const firstFieldError = Object.values(facts.errors ?? {}).flat()[0];
  return new HttpError({
    status,
    detail: firstFieldError ?? facts.detail,
    code: facts.code,
    errors: facts.errors,
    retryAfter: retryAfterSeconds(retryAfter),
  });
}

/** @param {string} path on the portal, such as "/api/files"
 * @returns {string} the same below the path that the portal has on its host (SITE_URL)
 */
export const onPortal = (path) => (globalThis.document?.documentElement?.dataset?.root ?? "") + path;

/** @returns {string} from the cookie, or from a form when the cookie is kept from scripts */
function csrfToken() {
  const cookie = document.cookie.split("; ").find((pair) => pair.startsWith("csrftoken="));
  return cookie?.slice("csrftoken=".length) ?? document.querySelector("[name=csrfmiddlewaretoken]")?.value ?? "";
}

/** @param {string} url same origin
 * @param {{method?: string, body?: unknown, signal?: AbortSignal}} [options] body is sent as JSON
 * @returns {Promise<any>} the parsed answer; null for an empty one
 * @throws {HttpError} and AbortError when the signal fires
 */
export async function request(url, { method = "GET", body, signal } = {}) {
  const headers = { Accept: "application/json" };
  if (method !== "GET") headers["X-CSRFToken"] = csrfToken();
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let response;
  let text;
  try {
    response = await fetch(url, { method, headers, signal, credentials: "same-origin", body: body === undefined ? undefined : JSON.stringify(body) });
    text = await response.text();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new HttpError({ status: 0 });
  }
  if (!response.ok) throw errorFrom(text, response.status, response.headers.get("Retry-After"));
  return text ? JSON.parse(text) : null;
}
