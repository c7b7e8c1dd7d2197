/**
 * Keeps the user's place over an action that loads the page again: how far it was scrolled, and the row with the focus.
 *
 * The place is kept when a form of a page with such an element is sent, and taken up when the same page comes back,
 * also by way of another page that asks for more.
 */

const KEY = "portal.place";
const KEPT = 10 * 60_000; // milliseconds
/** Where the focus goes after an action on no single row: its button is switched off, as nothing is ticked any more. */
const ELSE = ["select-all", "main"];
let mounted = false;

/** @param {{path: string, at: number}|null} kept
 * @param {string} path of the page that is shown
 * @param {number} now milliseconds
 * @returns {boolean} whether the kept place is one on this page, and not too old
 */
export function isHere(kept, path, now) {
  return kept !== null && kept.path === path && now - kept.at < KEPT;
}

const here = () => location.pathname + location.search;

function keep(button) {
  const row = button?.closest("tr[id]");
  const next = row?.nextElementSibling ?? row?.previousElementSibling;
  const place = { path: here(), top: scrollY, row: next?.id ?? "", at: Date.now() };
  sessionStorage.setItem(KEY, JSON.stringify(place));
}

function takeUp() {
  const kept = JSON.parse(sessionStorage.getItem(KEY) ?? "null");
  if (!isHere(kept, here(), Date.now())) return;
  sessionStorage.removeItem(KEY);
  scrollTo({ top: kept.top, behavior: "instant" });
  const row = document.getElementById(kept.row)?.querySelector("a");
  const target = [row, ...ELSE.map((id) => document.getElementById(id))].find(Boolean);
  target.focus({ preventScroll: true });
}

export function mount() {
  if (mounted) return;
  mounted = true;
  // On the window: by then a question (confirm.js) has stopped the event if it has to be answered first.
  addEventListener("submit", (event) => {
    if (!event.defaultPrevented && event.target.method === "post") keep(event.submitter);
  });
  takeUp();
}
