/** A button that prints the page; without scripts the browser's own menu does. */

/** @param {HTMLButtonElement} button */
export function mount(button) {
  button.hidden = false;
  button.addEventListener("click", () => print());
}
