/** Copies the text beside the button. */

/** @param {HTMLElement} frame */
export function mount(frame) {
  const text = frame.querySelector("[data-part=text]");
  const button = frame.querySelector("[data-part=button]");
  const status = frame.querySelector("[data-part=status]");
  if (!navigator.clipboard) return; // without https: the user selects and copies by hand
  button.hidden = false;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(text.textContent.trim());
    status.textContent = frame.dataset.textCopied;
    const use = button.querySelector("use");
    const drawn = use.getAttribute("href");
    use.setAttribute("href", drawn.replace(/#.*/, "#check"));
    setTimeout(() => {
      use.setAttribute("href", drawn);
      status.textContent = "";
    }, 2000);
  });
}
