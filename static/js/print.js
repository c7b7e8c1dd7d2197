/** A button that prints the page. Without scripts it is hidden, and the user prints from the browser's menu. */

/** @param {HTMLButtonElement} button */
export function mount(button) {
  button.hidden = false;
  button.addEventListener("click", () => print());
}
