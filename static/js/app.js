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
  place: () => import("./place.js"),
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

/** @param {ParentNode} root its elements are mounted, except those mounted before
 * @returns {Promise<void>[]} one for each of them
 */
function mountAll(root) {
  const begun = [];
  for (const element of root.querySelectorAll("[data-module]")) {
    const load = loaders[element.dataset.module];
    if (load && !mounted.has(element)) {
      mounted.add(element);
      begun.push(load().then((module) => module.mount(element)));
    }
  }
  return begun;
}

document.addEventListener("portal:refreshed", () => mountAll(document));
const begun = mountAll(document);
let left = begun.length;
// early.js shows a page as if its scripts were there. When they are, each mounted part has a class of its own.
const settled = () => {
  left -= 1;
  if (left <= 0) document.documentElement.classList.remove("scripts-come");
};
for (const each of begun) each.finally(settled);
if (!left) settled();
