/** One upload as a row on the page. */
import { bytes, percent, speed, SpeedMeter, timeLeft } from "../lib/format.js";
import { fill } from "../lib/words.js";
import { FileUnreadable } from "./job.js";

const BUTTONS = {
  waiting: ["pause", "cancel"],
  uploading: ["pause", "cancel"],
  finishing: [],
  paused: ["resume", "cancel"],
  failed: ["retry", "cancel"],
  done: [],
  cancelled: [],
};

export class Row {
  /** @param {import("./job.js").Job} job
   * @param {HTMLTemplateElement} template
   * @param {DOMStringMap} texts the panel's data-text-… sentences
   * @param {(act: string) => void} onAct pause, resume, retry or cancel
   */
  constructor(job, template, texts, onAct) {
    this.job = job;
    this.texts = texts;
    this.language = document.documentElement.lang || undefined;
    this.meter = new SpeedMeter();
    this.element = template.content.firstElementChild.cloneNode(true);
    this.parts = Object.fromEntries([...this.element.querySelectorAll("[data-part]")].map((part) => [part.dataset.part, part]));
    this.buttons = [...this.element.querySelectorAll("[data-act]")];
    this.parts.name.textContent = job.file.name;
    this.parts.bar.setAttribute("aria-label", job.file.name);
    for (const button of this.buttons) {
      button.setAttribute("aria-label", `${button.title}: ${job.file.name}`);
      button.addEventListener("click", () => onAct(button.dataset.act));
    }
    job.addEventListener("change", () => this.#later());
    this.#draw();
  }

  /** @returns {string} why it failed, in the server's words if it sent any */
  get reason() {
    const { error } = this.job;
    if (error instanceof FileUnreadable) return this.texts.textUnreadable;
    if (error?.status === 0) return this.texts.textOffline;
    return (error?.name === "HttpError" && error.message) || this.texts.textFailed;
  }

  /** Draw again after a second without progress: the speed must fall. */
  tick() {
    if (this.job.isLive) this.#draw();
  }

  /** Progress events come several times a frame, but the row is drawn once a frame. A new state is drawn at once. */
  #later() {
    if (this.job.state !== this.element.dataset.state) return this.#draw();
    if (this.drawing) return;
    this.drawing = true;
    requestAnimationFrame(() => {
      this.drawing = false;
      this.#draw();
    });
  }

  #draw() {
    const { job, parts, texts } = this;
    const { state, sent } = job;
    const uploading = state === "uploading" && !job.stalled;
    const changed = this.element.dataset.state !== state;
    if (uploading) this.meter.add(sent, performance.now());
    else this.meter.reset();
    const rate = this.meter.perSecond;
    this.element.dataset.state = state;
    parts.bar.value = percent(sent, job.file.size);
    parts.percent.textContent = state === "failed" || state === "cancelled" || state === "done" ? "" : `${percent(sent, job.file.size)}%`;
    parts.size.textContent = bytes(job.file.size, this.language);
    parts.speed.textContent = uploading && rate > 0 ? speed(rate, this.language) : "";
    parts.left.textContent = uploading && rate > 0 ? texts.textLeft.replace("{time}", timeLeft((job.file.size - sent) / rate, this.language)) : "";
    parts.status.textContent = this.#status;
    if (changed) this.#showButtons();
  }

  get #status() {
    const { state, stalled } = this.job;
    if (state === "failed") return this.reason;
    if (state === "done" && this.job.note) return this.job.note;
    if (stalled && this.job.isLive) return this.texts.textStalled;
    if (state === "uploading" && this.job.continuesAt > 0) {
      return fill(this.texts.textContinues, { percent: `${percent(this.job.continuesAt, this.job.file.size)}%` });
    }
    return this.texts[`text${state[0].toUpperCase()}${state.slice(1)}`];
  }

  #showButtons() {
    const had = this.buttons.includes(document.activeElement);
    const shown = BUTTONS[this.job.state];
    for (const button of this.buttons) button.hidden = !shown.includes(button.dataset.act);
    if (had && document.activeElement !== document.body && !document.activeElement.hidden) return;
    // The button that the user pressed is hidden now: move the focus, for example from pause to resume.
    if (had) this.buttons.find((button) => !button.hidden)?.focus();
  }
}
