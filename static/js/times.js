/** Writes times in relative form ("3 hours ago"). The full date stays in the title. */
import { relativeTime } from "./lib/format.js";

/** @param {ParentNode} root */
export function mount(root) {
  const language = document.documentElement.lang || undefined;
  const full = new Intl.DateTimeFormat(language, { dateStyle: "full", timeStyle: "short" });

  const write = () => {
    for (const element of root.querySelectorAll("time[datetime]")) {
      const date = new Date(element.dateTime);
      if (Number.isNaN(date.getTime())) continue;
      element.title = full.format(date);
      const said = "plain" in element.dataset ? null : relativeTime(date, new Date(), language);
      element.dataset.written ??= element.textContent;
      element.textContent = said ?? element.dataset.written;
    }
  };

  write();
  document.addEventListener("portal:refreshed", write);
  setInterval(write, 60_000);
}
