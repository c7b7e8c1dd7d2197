/** Shows what is typed into a password field. */

/** @param {HTMLElement} frame holds the input and its button */
export function mount(frame) {
  const input = frame.querySelector("input");
  const button = frame.querySelector("button");
  const set = (shown) => {
    input.type = shown ? "text" : "password";
    button.setAttribute("aria-pressed", String(shown));
  };
  button.addEventListener("click", () => set(input.type === "password"));
  input.form?.addEventListener("submit", () => set(false)); // password managers save only password fields
  button.hidden = false;
}
