/** The dialog for all questions. A button asks before its form is sent if it or the form has data-confirm.
 * "{name}" in the question is the button's data-confirm-name. Scripts call ask(). */

let show = null; // opens the mounted dialog

/** @param {string} question
 * @param {string} [yes] the label of the button that agrees
 * @returns {Promise<boolean>} true at once where there is no dialog
 */
export async function ask(question, yes) {
  return show === null || show(question, yes);
}

/** @param {HTMLDialogElement} dialog */
export function mount(dialog) {
  if (!dialog.showModal) return;
  const text = dialog.querySelector("[data-part=text]");
  const yes = dialog.querySelector("[data-part=yes]");
  const usual = yes.textContent;
  let agreed = null;
  let answer = null;

  show = (question, word) => {
    text.textContent = question;
    yes.textContent = word ?? usual;
    dialog.returnValue = "";
    dialog.showModal();
    return new Promise((resolve) => {
      answer = resolve;
    });
  };

  document.addEventListener("submit", async (event) => {
    const button = event.submitter;
    const question = button?.dataset.confirm ?? button?.form?.dataset.confirm;
    if (!question || button === agreed) return;
    event.preventDefault();
    const name = button.dataset.confirmName ?? "";
    const word = button.dataset.confirmYes ?? button.form.dataset.confirmYes;
    if (!(await ask(question.replace("{name}", () => name), word)) || !button.isConnected) return;
    agreed = button;
    button.form.requestSubmit(button);
    agreed = null;
  });

  dialog.addEventListener("close", () => answer?.(dialog.returnValue === "yes"));
}
