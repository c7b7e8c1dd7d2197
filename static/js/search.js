/** Shows results while the user types: loads the search page and replaces the list. Without it the form is sent. */
import { fill } from "./lib/words.js";

const PAUSE = 200; // milliseconds after the last key

/** @param {HTMLFormElement} form */
export function mount(form) {
  const live = form.querySelector("[data-part=live]");
  const shown = () => document.getElementById("file-list");
  const address = () => {
    const asked = [...new FormData(form)].filter(([, value]) => value !== "");
    const query = new URLSearchParams(asked).toString();
    return form.action + (query && `?${query}`);
  };
  let timer = 0;
  let last = address();

  const show = async () => {
    clearTimeout(timer);
    const wanted = address();
    if (wanted === last) return;
    last = wanted;
    shown().classList.add("is-waiting");
    let fresh = null;
    try {
      const response = await fetch(wanted, { headers: { Accept: "text/html" }, credentials: "same-origin" });
      const text = await response.text();
      if (response.ok) fresh = new DOMParser().parseFromString(text, "text/html").getElementById("file-list");
    } catch {
      if (wanted !== last) return;
      last = null; // so that the next try sends a request again
      shown().classList.remove("is-waiting");
      return;
    }
    if (wanted !== last) return; // the user typed on, and a newer request is under way
    if (!fresh) {
      form.submit(); // signed out or refused: load the whole page, which says so
      return;
    }
    shown().replaceWith(document.adoptNode(fresh));
    history.replaceState(null, "", wanted);
    const count = shown().querySelectorAll("tbody tr").length;
    live.textContent = count ? fill(form.dataset.textFound, { count }) : form.dataset.textNone;
    document.dispatchEvent(new CustomEvent("portal:refreshed"));
  };

  form.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(show, PAUSE);
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    show();
  });
  // The user may have typed before this script was here, or the browser has put back what they typed.
  if ([...form.querySelectorAll("input")].some((field) => field.value !== field.defaultValue)) {
    last = null;
    show();
  }
}
