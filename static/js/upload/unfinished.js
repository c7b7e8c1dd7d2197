/** The list of the user's unfinished uploads to this folder, from this browser or another. */
import { ask } from "../confirm.js";
import { bytes, relativeTime } from "../lib/format.js";
import { fill } from "../lib/words.js";
import * as api from "./api.js";
import { forget, remembered } from "./resume.js";

export class Unfinished {
  /** @param {HTMLElement} box hidden while there is nothing to show
   * @param {HTMLTemplateElement} template of one row
   * @param {import("./api.js").Place} place
   * @param {DOMStringMap} texts
   * @param {Storage} storage
   */
  constructor(box, template, place, texts, storage) {
    Object.assign(this, { box, template, place, texts, storage });
    this.rows = new Map(); // upload id → row
    this.going = new Set(); // ids of uploads that this page is sending
  }

  /** Show the unfinished uploads. When the portal does not answer, show none. */
  async load() {
    const uploads = await api.unfinished().catch(() => []);
    const known = remembered(this.storage);
    for (const upload of uploads) {
      const here = upload.folder.id === this.place.folderId && (upload.subfolder?.id ?? "") === this.place.subfolderId;
      if (here && !this.going.has(upload.file_id) && !this.rows.has(upload.file_id)) this.#show(upload, known.has(upload.file_id));
    }
    this.#toggle();
  }

  #show(upload, isOurs) {
    const row = this.template.content.firstElementChild.cloneNode(true);
    const part = (name) => row.querySelector(`[data-part=${name}]`);
    const language = document.documentElement.lang || undefined;
    const begun = new Date(upload.created_at);
    const when = relativeTime(begun, new Date(), language) ?? begun.toLocaleDateString(language);
    part("name").textContent = upload.filename;
    part("size").textContent = bytes(upload.size_bytes, language);
    part("begun").textContent = fill(this.texts.textBegun, { time: when });
    part("advice").textContent = isOurs ? this.texts.textAgain : this.texts.textElsewhere;
    const button = row.querySelector("button");
    button.setAttribute("aria-label", `${button.textContent.trim()}: ${upload.filename}`);
    button.addEventListener("click", () => this.#discard(upload, button));
    this.rows.set(upload.file_id, row);
    this.box.querySelector("[data-part=unfinished-rows]").append(row);
  }

  async #discard(upload, button) {
    if (!(await ask(fill(this.texts.textDiscard, { name: upload.filename }), button.textContent.trim()))) return;
    button.disabled = true;
    try {
      await api.abort(upload.file_id);
    } catch (error) {
      if (error.status !== 404) {
        button.disabled = false; // let the user try again; a 404 is fine, because the upload is gone as wanted
        return;
      }
    }
    const key = remembered(this.storage).get(upload.file_id);
    if (key) forget(this.storage, key);
    this.leave(upload.file_id);
  }

  /** Remove an upload from the list: it goes on, or it is over.
   * @param {string} fileId
   */
  leave(fileId) {
    this.going.add(fileId);
    const row = this.rows.get(fileId);
    if (!row) return;
    row.remove();
    this.rows.delete(fileId);
    this.#toggle();
  }

  #toggle() {
    this.box.hidden = this.rows.size === 0;
  }
}
