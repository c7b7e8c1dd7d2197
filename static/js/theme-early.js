/* Runs before the first paint: a theme chosen earlier switches the dark style sheet on or off. */
(function () {
  var chosen = null;
  try {
    chosen = localStorage.getItem("theme");
  } catch (error) {
    return; // storage is blocked: use the theme of the system
  }
  if (chosen === "dark" || chosen === "light") {
    document.getElementById("dark-theme").media = chosen === "dark" ? "all" : "not all";
  }
})();
