/** Recovery codes that can be copied, saved as a text file and printed. */

/** @param {HTMLElement} card */
export function mount(card) {
  const part = (name) => card.querySelector(`[data-part=${name}]`);
  const text = `${[...card.querySelectorAll("code")].map((code) => code.textContent).join("\n")}\n`;

  const save = part("save");
  save.href = URL.createObjectURL(new Blob([text], { type: "text/plain" }));
  save.download = card.dataset.filename;
  save.hidden = false;

  part("print").addEventListener("click", () => window.print());
  part("print").hidden = false;

  if (!navigator.clipboard) return;
  const copy = part("copy");
  copy.addEventListener("click", async () => {
    await navigator.clipboard.writeText(text);
    part("copy-label").textContent = copy.dataset.textDone;
    part("status").textContent = copy.dataset.textDone;
  });
  copy.hidden = false;
}
