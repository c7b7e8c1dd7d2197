/** Numbers and times as people read them. No DOM. */

const UNITS = ["byte", "kilobyte", "megabyte", "gigabyte", "terabyte", "petabyte"];
const SIGNS = ["", "KB", "MB", "GB", "TB", "PB"];

/** As Django's filesizeformat: steps of 1,024, one decimal; word and order are the language's ("40 bytes", "baiti 40").
 * @param {number} count bytes, 0 or more
 * @param {string} [language]
 * @returns {string}
 */
export function bytes(count, language) {
  let unit = 0;
  let value = count;
  while (value >= 1024 && unit < UNITS.length - 1) {
    value /= 1024;
    unit += 1;
  }
  const digits = unit === 0 ? 0 : 1;
  const say = new Intl.NumberFormat(language, {
    style: "unit",
    unit: UNITS[unit],
    unitDisplay: unit === 0 ? "long" : "short",
    minimumFractionDigits: digits,
    maximumFractionDigits: digits,
  });
  // Some languages write kB. Write KB, as the pages do.
  return say.formatToParts(value).map((part) => (part.type === "unit" && SIGNS[unit]) || part.value).join("");
}

/** @param {number} perSecond bytes a second
 * @param {string} [language]
 */
export function speed(perSecond, language) {
  return `${bytes(Math.round(perSecond), language)}/s`;
}

/** A duration in its largest sensible unit, rounded up: never "0 sec".
 * @param {number} seconds
 * @param {string} [language]
 * @returns {string} "" when it is not known
 */
export function timeLeft(seconds, language) {
  if (!Number.isFinite(seconds) || seconds < 0) return "";
  const say = (value, unit) => new Intl.NumberFormat(language, { style: "unit", unit, unitDisplay: "short" }).format(value);
  if (seconds < 60) return say(Math.max(1, Math.ceil(seconds)), "second");
  if (seconds < 3600) return say(Math.ceil(seconds / 60), "minute");
  return say(Math.ceil(seconds / 3600), "hour");
}

/** @param {number} done
 * @param {number} all
 * @returns {number} whole percent; 100 only when all is done, also for an empty file
 */
export function percent(done, all) {
  if (all <= 0) return 100;
  return Math.min(100, Math.floor((done / all) * 100));
}

const STEPS = [["minute", 60], ["hour", 3600], ["day", 86_400]];

/** @param {Date} date
 * @param {Date} now
 * @param {string} [language]
 * @returns {string|null} null for a week or more: then a date is clearer
 */
export function relativeTime(date, now, language) {
  const seconds = (date.getTime() - now.getTime()) / 1000;
  const distance = Math.abs(seconds);
  if (distance >= 7 * 86_400) return null;
  const say = new Intl.RelativeTimeFormat(language, { numeric: "auto" });
  if (distance < 45) return say.format(0, "second");
  const [unit, length] = STEPS.findLast(([, size]) => distance >= size) ?? STEPS[0];
  return say.format(Math.trunc(seconds / length) || Math.sign(seconds), unit);
}

/** The speed over the last seconds, so that a pause or a fast start does not change it for long. */
export class SpeedMeter {
  /** @param {number} windowMs how far back it looks */
  constructor(windowMs = 5000) {
    this.windowMs = windowMs;
    this.samples = [];
  }

  /** @param {number} total bytes so far
   * @param {number} now milliseconds
   */
  add(total, now) {
    const last = this.samples.at(-1);
    if (last && total < last.total) this.samples = []; // a part is being sent again
    this.samples.push({ total, now });
    while (this.samples.length > 2 && now - this.samples[0].now > this.windowMs) this.samples.shift();
  }

  reset() {
    this.samples = [];
  }

  /** @returns {number} bytes a second; 0 when unknown */
  get perSecond() {
    const first = this.samples[0];
    const last = this.samples.at(-1);
    if (!first || last.now - first.now < 250) return 0;
    return ((last.total - first.total) * 1000) / (last.now - first.now);
  }
}
