/** One PUT to the object store, with progress. It uses XMLHttpRequest: fetch does not tell how much it has sent. */
import { HttpError, errorFrom } from "../lib/http.js";

const STALL_MS = 120_000; // without progress for so long, the connection is dead, even if the browser waits

/** @param {{url: string, headers?: Object<string, string>, body: Blob, onProgress: (sent: number) => void, signal: AbortSignal}} order
 * @returns {Promise<string>} the ETag, quotes included; "" when the store hides it
 * @throws {HttpError} and the signal's reason when it fires
 */
export function put({ url, headers = {}, body, onProgress, signal }) {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason);
    const xhr = new XMLHttpRequest();
    const stop = () => xhr.abort();
    signal.addEventListener("abort", stop, { once: true });
    let watch = setTimeout(stop, STALL_MS);
    xhr.addEventListener("loadend", () => {
      clearTimeout(watch);
      signal.removeEventListener("abort", stop);
    });
    xhr.upload.addEventListener("progress", (event) => {
      clearTimeout(watch);
      watch = setTimeout(stop, STALL_MS);
      onProgress(event.loaded);
    });
    xhr.addEventListener("load", () => {
      if (xhr.status >= 200 && xhr.status < 300) resolve(header(xhr, "etag") ?? "");
      else reject(errorFrom(xhr.responseText, xhr.status, header(xhr, "retry-after")));
    });
    xhr.addEventListener("error", () => reject(new HttpError({ status: 0 })));
    xhr.addEventListener("abort", () => reject(signal.aborted ? signal.reason : new HttpError({ status: 0 })));
    xhr.open("PUT", url);
    for (const [name, value] of Object.entries(headers)) {
      // The browser sets these two itself.
      if (!["content-length", "host"].includes(name.toLowerCase())) xhr.setRequestHeader(name, value);
    }
    xhr.send(body);
  });
}

/** Search the list of headers: of another origin some are hidden, and asking for a hidden one by name logs an error. */
function header(xhr, name) {
  const line = xhr.getAllResponseHeaders().split("\r\n").find((text) => text.toLowerCase().startsWith(`${name}:`));
  return line?.slice(name.length + 1).trim();
}
