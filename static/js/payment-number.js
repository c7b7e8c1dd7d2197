/** Writes a phone number in readable groups when the user leaves the field. */
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
    // The server starts no second payment request. The greyed button tells the user so at once.
    for (const button of form.querySelectorAll("button[type=submit]")) button.setAttribute("aria-disabled", "true");
  });
}
