/** Shows a day and time in the user's time zone. The form sends it in UTC, as it does without scripts. */

const pad = (number) => String(number).padStart(2, "0");
const spelled = (date) =>
  `${date.getFullYear()}-${pad(date.getMonth() + 1)}-${pad(date.getDate())}T${pad(date.getHours())}:${pad(date.getMinutes())}`;

/** @param {HTMLElement} frame around the field. data-text-local replaces the help in [data-part=help] */
export function mount(frame) {
  const input = frame.querySelector("input");
  const given = new Date(`${input.value}Z`);
  if (!Number.isNaN(given.getTime())) input.value = spelled(given);
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone ?? "";
  const help = frame.querySelector("[data-part=help]");
  if (help) help.textContent = frame.dataset.textLocal.replace("{zone}", zone);
  input.form.addEventListener("formdata", (event) => {
    const chosen = new Date(input.value);
    if (!Number.isNaN(chosen.getTime())) event.formData.set(input.name, chosen.toISOString().slice(0, 16));
  });
}
