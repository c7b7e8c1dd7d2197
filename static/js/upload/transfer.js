/** One PUT to the object store, with progress. fetch cannot tell how much it has sent; XMLHttpRequest can. */
import { HttpError, errorFrom } from "../lib/http.js";

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
    xhr.addEventListener("loadend", () => signal.removeEventListener("abort", stop));
    xhr.upload.addEventListener("progress", (event) => onProgress(event.loaded));
    xhr.addEventListener("load", () => {
      if (xhr.status >= 200 && xhr.status < 300) resolve(xhr.getResponseHeader("ETag") ?? "");
      else reject(errorFrom(xhr.responseText, xhr.status, xhr.getResponseHeader("Retry-After")));
    });
    xhr.addEventListener("error", () => reject(new HttpError({ status: 0 })));
    xhr.addEventListener("abort", () => reject(signal.reason));
    xhr.open("PUT", url);
    for (const [name, value] of Object.entries(headers)) {
      if (name.toLowerCase() !== "content-length") xhr.setRequestHeader(name, value); // the browser sets that one itself
    }
    xhr.send(body);
  });
}
