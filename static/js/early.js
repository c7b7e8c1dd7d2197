/* Runs before the first paint. A theme chosen earlier switches the dark style sheet on or off. And pages show at once
   what their script will make of them, so that nothing moves when it has come; if it does not come, they go back. */
(function () {
  var root = document.documentElement;
  var goBack = function () {
    root.classList.remove("scripts-come");
  };
  root.classList.add("scripts-come");
  addEventListener("error", function (event) {
    if (event.target instanceof HTMLScriptElement) goBack();
  }, true);
  setTimeout(goBack, 15000);

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
