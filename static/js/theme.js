/** The button that switches between light and dark. The browser remembers the choice. */

/** @param {HTMLButtonElement} button */
export function mount(button) {
  const sheet = document.getElementById("dark-theme");
  const system = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => matchMedia(sheet.media).matches;
  const show = () => button.setAttribute("aria-pressed", String(isDark()));

  button.addEventListener("click", () => {
    const dark = !isDark();
    sheet.media = dark ? "all" : "not all";
    try {
      localStorage.setItem("theme", dark ? "dark" : "light");
    } catch {
      // storage is blocked, as in a private window: the choice lasts for this page only
    }
    show();
  });
  system.addEventListener("change", show);
  button.hidden = false;
  show();
}
