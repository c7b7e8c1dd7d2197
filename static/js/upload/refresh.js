/** Loads the page again and replaces its live parts ([data-refresh], by id). Scroll position, focus and ticks stay. */

let timer = 0;

/** Refresh soon; several calls in a row cause one request. */
export function refreshSoon() {
  clearTimeout(timer);
  timer = setTimeout(refresh, 400);
}

async function refresh() {
  let fresh;
  try {
    const response = await fetch(location.href, { headers: { Accept: "text/html" }, credentials: "same-origin" });
    if (!response.ok || response.redirected) return;
    fresh = new DOMParser().parseFromString(await response.text(), "text/html");
  } catch {
    return; // keep the old list
  }
  const focused = document.activeElement;
  const row = focused?.closest("tr[id]")?.id;
  const control = focused?.matches("input") ? "input" : "a";
  const chosen = new Set([...document.querySelectorAll("[data-refresh] input:checked")].map((input) => input.value));
  const top = scrollY;
  for (const old of document.querySelectorAll("[data-refresh]")) {
    const replacement = fresh.getElementById(old.id);
    if (replacement) old.replaceWith(document.adoptNode(replacement));
  }
  for (const input of document.querySelectorAll("[data-refresh] input[type=checkbox]")) input.checked = chosen.has(input.value);
  if (row && !focused.isConnected) document.getElementById(row)?.querySelector(control)?.focus({ preventScroll: true });
  scrollTo({ top, behavior: "instant" });
  document.dispatchEvent(new CustomEvent("portal:refreshed"));
}
