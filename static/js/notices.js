/**
 * Keeps the number of unread notifications up to date while a page is open.
 *
 * Only one of a user's visible tabs asks the server, every half minute, and tells the other tabs. It is the tab that
 * holds the lock; a hidden tab releases the lock. The answer is the number and a mark that changes with the newest
 * notification. A page that shows the list loads it again only when one of the two has changed.
 */
import { fill } from "./lib/words.js";

const EVERY = 30_000; // milliseconds
const SLOWEST = 10 * 60_000;
const LIST = "notices";

/** @param {HTMLElement} bell the link to the notifications, with the number in it */
export function mount(bell) {
  const { liveUrl, liveToken } = bell.dataset;
  // The first part of the token is its user. So tabs of another user, who logged in meanwhile, use another channel.
  const name = `notices:${liveToken.split(":")[0]}`;
  const others = "BroadcastChannel" in window ? new BroadcastChannel(name) : null;
  const title = document.title;
  let unread = Number(bell.dataset.unread);
  let newest = document.getElementById(LIST)?.dataset.newest || null;
  let etag = "";
  let failures = 0;
  let stopped = false;
  let asked = performance.now(); // the page was sent with the present number
  let stale = false;
  let leave = null; // its abort() stops the present loop of requests

  const write = () => {
    const count = bell.querySelector("[data-part=count]");
    count.hidden = unread === 0;
    count.textContent = unread > 99 ? "99+" : String(unread);
    const words = unread ? fill(bell.dataset.textUnread, { count: count.textContent }) : bell.dataset.textNone;
    const said = bell.querySelector("[data-part=said]");
    if (said.textContent !== words) said.textContent = words;
    document.title = unread ? `(${count.textContent}) ${title}` : title;
  };

  const refreshList = async () => {
    const shown = document.getElementById(LIST);
    if (!shown) return;
    if (document.hidden) {
      stale = true;
      return;
    }
    stale = false;
    const response = await fetch(location.href, { headers: { Accept: "text/html" }, credentials: "same-origin" });
    const text = await response.text();
    const fresh = response.ok ? new DOMParser().parseFromString(text, "text/html").getElementById(LIST) : null;
    if (!fresh) return; // logged out meanwhile: the next click shows the log-in
    const focused = shown.contains(document.activeElement) ? document.activeElement.id : "";
    shown.replaceWith(document.adoptNode(fresh));
    if (focused) (document.getElementById(focused) ?? document.getElementById("main")).focus({ preventScroll: true });
    document.dispatchEvent(new CustomEvent("portal:refreshed"));
  };

  const take = (answer) => {
    const changed = answer.unread !== unread || (newest !== null && answer.newest !== newest);
    unread = answer.unread;
    newest = answer.newest;
    write();
    if (changed) refreshList().catch(() => (stale = true));
  };

  /** @returns {Promise<boolean>} false when the token is no longer valid, so that asking must stop */
  const ask = async () => {
    asked = performance.now();
    const headers = { "X-Notices-Token": liveToken };
    if (etag) headers["If-None-Match"] = etag;
    const response = await fetch(liveUrl, { headers, credentials: "omit", cache: "no-store" });
    if (response.status === 401) return false;
    if (response.status === 304) return true;
    if (!response.ok) throw new Error(String(response.status));
    const answer = await response.json();
    etag = response.headers.get("ETag") ?? "";
    take(answer);
    others?.postMessage(answer);
    return true;
  };

  const pause = (milliseconds, signal) =>
    new Promise((resolve) => {
      const timer = setTimeout(resolve, milliseconds);
      signal.addEventListener("abort", () => {
        clearTimeout(timer);
        resolve();
      });
    });

  /** Asks until `signal` fires. The waits are random, so that pages opened at the same time do not ask together. */
  const keepAsking = async (signal) => {
    while (!signal.aborted && !stopped) {
      const wait = Math.min(SLOWEST, EVERY * 2 ** failures) * (0.8 + Math.random() * 0.4);
      await pause(Math.max(0, asked + wait - performance.now()), signal);
      if (signal.aborted) return;
      try {
        stopped = !(await ask());
        failures = 0;
      } catch {
        failures += 1;
      }
    }
  };

  const begin = () => {
    if (stopped || leave) return;
    leave = new AbortController();
    const { signal } = leave;
    if (!navigator.locks) keepAsking(signal);
    else navigator.locks.request(name, { signal }, () => keepAsking(signal)).catch(() => {}); // aborted as it waited
  };

  const end = () => {
    leave?.abort();
    leave = null;
  };

  document.addEventListener("visibilitychange", () => {
    if (document.hidden) return end();
    if (stale) refreshList().catch(() => (stale = true));
    return begin();
  });
  // Release the lock: the browser may keep a left page alive for the back button, and it would still hold the lock.
  addEventListener("pagehide", end);
  addEventListener("pageshow", () => !document.hidden && begin());
  others?.addEventListener("message", (event) => {
    asked = performance.now();
    take(event.data);
  });
  write();
  if (!document.hidden) begin();
}
