/** The upload panel: drop zone, list of uploads, and what is said aloud. */
import { retrying } from "../lib/retry.js";
import * as api from "./api.js";
import { droppedFiles } from "./drop.js";
import { Job } from "./job.js";
import { batches, Queue } from "./queue.js";
import { refreshSoon } from "./refresh.js";
import { Row } from "./row.js";

const FILES_AT_ONCE = 3;
const BATCH = 100; // what one initiate takes

/** @param {HTMLElement} panel with data-folder-id, data-subfolder-id and the data-text-… sentences */
export function mount(panel) {
  const part = (name) => panel.querySelector(`[data-part=${name}]`);
  const [drop, input, choose, list, rows, summary, clear, live, template] =
    ["drop", "input", "choose", "list", "rows", "summary", "clear", "live", "row"].map(part);
  const place = { folderId: panel.dataset.folderId, subfolderId: panel.dataset.subfolderId };
  const texts = panel.dataset;
  const queue = new Queue(FILES_AT_ONCE);
  const shown = new Map(); // job → row

  const say = (text, words) => {
    live.textContent = Object.entries(words).reduce((said, [name, word]) => said.replace(`{${name}}`, () => word), text);
  };

  const summarise = () => {
    const jobs = [...shown.keys()];
    const done = jobs.filter((job) => job.state === "done").length;
    const total = jobs.filter((job) => job.state !== "cancelled").length;
    list.hidden = jobs.length === 0;
    clear.hidden = jobs.every((job) => job.state !== "done" && job.state !== "cancelled");
    summary.textContent = texts.textSummary.replace("{done}", done).replace("{total}", total);
  };

  /** Ask for tickets where there are none, then line up. */
  const start = async (jobs) => {
    const enqueue = (job) => {
      if (job.ticket) queue.add(() => job.run());
    };
    await Promise.all(jobs.map((job) => job.recover().catch((error) => job.fail(error))));
    jobs.filter((job) => job.state === "waiting").forEach(enqueue);
    const fresh = jobs.filter((job) => job.state === "waiting" && !job.ticket);
    for (const some of batches(fresh, BATCH)) {
      try {
        const answers = await retrying(() => api.initiate(place, some.map((job) => job.file)));
        some.forEach((job, index) => job.accept(answers[index]));
        some.forEach(enqueue);
      } catch (error) {
        some.forEach((job) => job.fail(error));
      }
    }
  };

  const again = (job) => {
    job.wait();
    start([job]);
  };

  const add = (files) => {
    if (files.length === 0) return;
    const jobs = files.map((file) => {
      const job = new Job(file, place, localStorage);
      const acts = { pause: () => job.pause(), resume: () => again(job), retry: () => again(job), cancel: () => job.cancel() };
      const row = new Row(job, template, texts, (act) => acts[act]());
      shown.set(job, row);
      let before = job.state;
      job.addEventListener("change", () => {
        if (job.state === before) return;
        before = job.state;
        summarise();
        if (job.state === "done") {
          say(texts.textSaidDone, { name: file.name });
          refreshSoon();
        }
        if (job.state === "failed") say(texts.textSaidFailed, { name: file.name, reason: row.reason });
      });
      return job;
    });
    rows.append(...jobs.map((job) => shown.get(job).element));
    summarise();
    say(texts.textSaidAdded, { total: files.length });
    start(jobs);
  };

  clear.addEventListener("click", () => {
    for (const [job, row] of shown) {
      if (job.state !== "done" && job.state !== "cancelled") continue;
      row.element.remove();
      shown.delete(job);
    }
    summarise();
    choose.focus();
  });

  choose.addEventListener("click", () => input.click());
  input.addEventListener("change", () => {
    add([...input.files]);
    input.value = ""; // the same file may be chosen again
  });
  drop.addEventListener("submit", (event) => event.preventDefault());
  drop.addEventListener("dragover", (event) => {
    event.preventDefault();
    drop.classList.add("is-over");
  });
  drop.addEventListener("dragleave", (event) => {
    if (!drop.contains(event.relatedTarget)) drop.classList.remove("is-over");
  });
  drop.addEventListener("drop", async (event) => {
    event.preventDefault();
    drop.classList.remove("is-over");
    add(await droppedFiles(event.dataTransfer));
  });
  addEventListener("beforeunload", (event) => {
    if ([...shown.keys()].some((job) => job.isLive)) event.preventDefault();
  });

  input.multiple = true;
  input.required = false;
  input.tabIndex = -1; // the button beside it does the same by keyboard
  panel.classList.add("is-live");
}
