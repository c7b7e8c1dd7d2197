/** Keeps a payment's page up to date until the payment is settled: polls the state, and loads the page on a change. */
import { request } from "./lib/http.js";
import { sleep } from "./lib/retry.js";
import { pause } from "./payment-pause.js";

/** @param {HTMLElement} frame with data-url, data-settled and the part #payment-state */
export async function mount(frame) {
  const begun = Date.now();
  const shown = () => frame.querySelector("#payment-state");
  let settled = frame.dataset.settled === "1";
  while (!settled && frame.isConnected) {
    await sleep(pause(Date.now() - begun));
    if (document.hidden) continue; // do not ask while the user does not see the page
    try {
      const told = await request(frame.dataset.url);
      if (told.state !== shown().dataset.state && !(await refresh(frame, shown()))) return;
      settled = told.settled;
    } catch (error) {
      if (error.status === 401 || error.status === 403 || error.status === 404) return;
    }
  }
}

/** @returns {Promise<boolean>} false when the whole page is loaded again instead */
async function refresh(frame, old) {
  const response = await fetch(location.href, { headers: { Accept: "text/html" }, credentials: "same-origin" });
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  const fresh = response.ok ? page.getElementById("payment-state") : null;
  if (!fresh) {
    location.reload();
    return false;
  }
  // Replace only the content of the live region. A screen reader would not read out a new region.
  old.replaceChildren(...document.adoptNode(fresh).childNodes);
  old.dataset.state = fresh.dataset.state;
  document.title = page.title;
  document.dispatchEvent(new CustomEvent("portal:refreshed"));
  return true;
}
