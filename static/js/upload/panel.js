/** The upload panel: drop zone, list of uploads, and the live region for screen readers. */
import { ask } from "../confirm.js";
import { bytes, SpeedMeter, timeLeft } from "../lib/format.js";
import { patience, retrying } from "../lib/retry.js";
import { fill } from "../lib/words.js";
import { wordsOf } from "../tags.js";
import * as api from "./api.js";
import { droppedFiles, notesOn } from "./drop.js";
import { Job } from "./job.js";
import { batches, Queue } from "./queue.js";
import { refreshSoon } from "./refresh.js";
import { Row } from "./row.js";
import { tally } from "./tally.js";
import { Unfinished } from "./unfinished.js";

const FILES_AT_ONCE = 3;
const LOOKUPS_AT_ONCE = 4;
const BATCH = 100; // files that one call of initiate takes
const BATCH_BYTES = 50 * 1024 ** 3; // so that the server signs no more than about a thousand part addresses in one call
const FEW = 3; // up to this many files each is announced to screen readers; with more, only the end

/** @param {HTMLElement} panel with data-folder-id, data-subfolder-id, data-user-id and the data-text-… sentences.
 *   With data-door it sends to a file request, and lists no unfinished uploads. With data-ask it asks that question
 *   before the first upload of the visit; data-ask-yes is the button that agrees */
export function mount(panel) {
  const part = (name) => panel.querySelector(`[data-part=${name}]`);
  const [drop, input, choose, list, rows, summary, failed, overall, retryAll, clear, note, live, template] =
    ["drop", "input", "choose", "list", "rows", "summary", "failed", "overall", "retry-all", "clear", "note", "live", "row"].map(part);
  const { door, folderId, subfolderId, userId } = panel.dataset;
  if (door) api.useDoor(door);
  const place = { folderId, subfolderId, userId };
  const texts = panel.dataset;
  const language = document.documentElement.lang || undefined;
  const queue = new Queue(FILES_AT_ONCE);
  const lookups = new Queue(LOOKUPS_AT_ONCE);
  const wait = patience();
  const meter = new SpeedMeter(10_000);
  const unfinished = door ? null : new Unfinished(part("unfinished"), part("unfinished-row"), place, texts, localStorage);
  const shown = new Map(); // job → row
  let ticking = 0;
  let asked = texts.ask ? null : Promise.resolve(true); // the question that is open or was agreed to

  const say = (text, words, more = "") => {
    live.textContent = `${fill(text, words)} ${more}`.trim();
  };

  const summarise = () => {
    const now = tally([...shown.keys()]);
    list.hidden = shown.size === 0;
    clear.hidden = now.finished === 0;
    failed.hidden = retryAll.hidden = now.failed === 0;
    summary.textContent = fill(texts.textSummary, now);
    failed.textContent = fill(texts.textFailedOf, now);
    if (now.live > 0) ticking ||= setInterval(tick, 1000);
    return now;
  };

  const tick = () => {
    for (const row of shown.values()) row.tick();
    const { total, live, sent, size } = tally([...shown.keys()]);
    if (live === 0) {
      clearInterval(ticking);
      ticking = 0;
      meter.reset();
    } else {
      meter.add(sent, performance.now());
    }
    const left = meter.perSecond > 0 ? timeLeft((size - sent) / meter.perSecond, language) : "";
    const share = fill(texts.textOverall, { sent: bytes(sent, language), size: bytes(size, language) });
    overall.textContent = total < 2 || live === 0 ? "" : [share, left && fill(texts.textLeft, { time: left })].filter(Boolean).join(" · ");
  };

  /** Get tickets for the jobs that have none, then add the jobs to the queue. */
  const start = async (jobs) => {
    const enqueue = (job) => {
      if (!job.ticket) return;
      unfinished?.leave(job.ticket.fileId);
      queue.add(async () => {
        await job.run();
        if (job.state === "waiting") start([job]); // the upload is gone: begin a new one
      });
    };
    const lookup = (job) => lookups.add(() => job.recover()).catch((error) => job.fail(error));
    await Promise.all(jobs.map(lookup));
    jobs.filter((job) => job.state === "waiting").forEach(enqueue);
    const fresh = jobs.filter((job) => job.state === "waiting" && !job.ticket);
    for (const some of batches(fresh, BATCH, (job) => job.file.size, BATCH_BYTES)) {
      try {
        const answers = await retrying(() => api.initiate(place, some), { wait });
        some.forEach((job, index) => job.accept(answers[index]));
        some.forEach(enqueue);
      } catch (error) {
        some.forEach((job) => job.fail(error));
      }
    }
  };

  const again = (jobs) => {
    jobs.forEach((job) => job.wait());
    start(jobs);
  };

  /** Announce a change of state to screen readers: of a few files each one, of many only the end. */
  const tell = (job) => {
    const now = summarise();
    const names = { name: job.file.name, reason: shown.get(job).reason };
    if (shown.size > FEW) {
      if (now.live === 0 && (job.state === "done" || job.state === "failed")) say(now.failed ? texts.textSaidEndFailed : texts.textSaidEnd, now);
    } else if (job.state === "done") say(texts.textSaidDone, names, job.note);
    else if (job.state === "failed") say(texts.textSaidFailed, names);
    if (job.state === "done") refreshSoon();
  };

  const isAgreed = async () => {
    asked ??= ask(texts.ask, texts.askYes);
    const agreed = await asked;
    if (!agreed) asked = null;
    return agreed;
  };

  const add = async (found) => {
    const { files } = found;
    if (files.length > 0 && !(await isAgreed())) return;
    note.textContent = notesOn(found, texts);
    note.hidden = note.textContent === "";
    if (files.length === 0) return;
    const tags = wordsOf(drop.elements.tags?.value ?? ""); // the page of a file request has no field for tags
    const jobs = files.map((file) => {
      const job = new Job(file, place, localStorage, tags);
      const acts = { pause: () => job.pause(), resume: () => again([job]), retry: () => again([job]), cancel: () => job.cancel() };
      shown.set(job, new Row(job, template, texts, (act) => acts[act]()));
      let before = job.state;
      job.addEventListener("change", () => {
        if (job.state === before) return;
        before = job.state;
        tell(job);
      });
      return job;
    });
    rows.append(...jobs.map((job) => shown.get(job).element));
    summarise();
    say(texts.textSaidAdded, { total: files.length }, note.textContent);
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
  retryAll.addEventListener("click", () => {
    again([...shown.keys()].filter((job) => job.state === "failed"));
    choose.focus(); // the pressed button is hidden now
  });
  addEventListener("online", () => again([...shown.keys()].filter((job) => job.mayPass)));

  choose.addEventListener("click", () => input.click());
  input.addEventListener("change", () => {
    add({ files: [...input.files] });
    input.value = ""; // otherwise choosing the same file again would cause no event
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
  if (drop.elements.agreed) drop.elements.agreed.required = false; // the question takes its place
  input.tabIndex = -1; // keyboard users use the button beside it
  panel.classList.add("is-live");
  unfinished?.load();
}
