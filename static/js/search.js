/** Results while one types: the page's own answer, its list put in place of the one shown. Without this the form is sent. */
import { fill } from "./lib/words.js";

const PAUSE = 200; // milliseconds without a key

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
      last = null; // the next try asks again
      shown().classList.remove("is-waiting");
      return;
    }
    if (wanted !== last) return; // somebody typed on, and that answer is under way
    if (!fresh) {
      form.submit(); // signed out, or refused: the whole page says so
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
}
