/** The bar above a table of files: how many are ticked, their total size, and what can be done with them. */
import { bytes } from "./lib/format.js";
import { fill } from "./lib/words.js";

/** @param {HTMLFormElement} bar its check boxes are in the table's rows (form="…") */
export function mount(bar) {
  const part = (name) => bar.querySelector(`[data-part=${name}]`);
  const [all, words, live] = ["all", "words", "live"].map(part);
  const acts = bar.querySelectorAll("[data-part=act]");
  const boxes = [...bar.elements].filter((element) => element.name === "file_ids");
  const texts = bar.dataset;

  const show = () => {
    const ticked = boxes.filter((box) => box.checked);
    const size = bytes(ticked.reduce((sum, box) => sum + Number(box.dataset.size), 0), document.documentElement.lang || undefined);
    const facts = { count: ticked.length, size };
    const none = ticked.length === 0;
    words.textContent = none ? "" : fill(texts.textSome, facts);
    for (const act of acts) {
      act.disabled = none;
      act.dataset.confirmName = String(ticked.length);
    }
    all.checked = ticked.length === boxes.length;
    all.indeterminate = !none && !all.checked;
    for (const box of boxes) box.closest("tr").classList.toggle("is-picked", box.checked);
    return fill(none ? texts.textSaidNone : texts.textSaid, facts);
  };
  const tell = () => {
    live.textContent = show();
  };

  all.addEventListener("change", () => {
    for (const box of boxes) box.checked = all.checked;
    tell();
  });
  for (const box of boxes) box.addEventListener("change", tell);
  addEventListener("pageshow", show); // when the user comes back to the page, the browser has kept the ticks
  bar.classList.add("is-live");
  if (all.checked) for (const box of boxes) box.checked = true; // ticked before this script came
  show();
}
