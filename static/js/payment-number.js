/** Writes a phone number in groups as people read it, once it has been typed. */
import { grouped } from "./payment-digits.js";

/** @param {HTMLFormElement} form */
export function mount(form) {
  const input = form.querySelector("[name=phone_number]");
  const tidy = () => {
    input.value = grouped(input.value);
  };
  input.addEventListener("blur", tidy);
  form.addEventListener("submit", () => {
    tidy();
    // The server answers a second push with the first; a greyed button says so sooner.
    for (const button of form.querySelectorAll("button[type=submit]")) button.setAttribute("aria-disabled", "true");
  });
}
