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
  let last = null; // where a range begins: with Shift, all rows from there take the state of the one that is clicked
  for (const [index, box] of boxes.entries()) {
    box.addEventListener("click", (event) => {
      if (event.shiftKey && last !== null) {
        for (const between of boxes.slice(Math.min(last, index), Math.max(last, index) + 1)) between.checked = box.checked;
      }
      last = index;
      tell();
    });
  }
  addEventListener("pageshow", show); // when the user comes back to the page, the browser has kept the ticks
  bar.classList.add("is-live");
  if (all.checked) for (const box of boxes) box.checked = true; // ticked before this script came
  show();
}
