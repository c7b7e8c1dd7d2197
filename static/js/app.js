/**
 * Starts the scripts of a page: passes each element with data-module="name" to mount(element) of that module.
 * Modules load on demand, so a page loads only the scripts that it needs.
 */

const loaders = {
  codes: () => import("./codes.js"),
  passkeys: () => import("./passkeys.js"),
  confirm: () => import("./confirm.js"),
  copy: () => import("./copy.js"),
  deadline: () => import("./deadline.js"),
  menu: () => import("./menu.js"),
  notices: () => import("./notices.js"),
  payment: () => import("./payment.js"),
  "payment-number": () => import("./payment-number.js"),
  print: () => import("./print.js"),
  reveal: () => import("./reveal.js"),
  search: () => import("./search.js"),
  select: () => import("./select.js"),
  tags: () => import("./tags.js"),
  theme: () => import("./theme.js"),
  times: () => import("./times.js"),
  upload: () => import("./upload/panel.js"),
};

const mounted = new WeakSet();

/** @param {ParentNode} root its elements are mounted, except those mounted before */
function mountAll(root) {
  for (const element of root.querySelectorAll("[data-module]")) {
    const load = loaders[element.dataset.module];
    if (load && !mounted.has(element)) {
      mounted.add(element);
      load().then((module) => module.mount(element));
    }
  }
}

document.addEventListener("portal:refreshed", () => mountAll(document));
mountAll(document);
