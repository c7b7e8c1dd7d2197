/** One dialog for all questions: a button whose data-confirm, or whose form's, asks before the form is sent.
 * "{name}" in the question is the button's data-confirm-name. Scripts ask by ask(). */

let show = null; // of the mounted dialog

/** @param {string} question
 * @param {string} [yes] what the button says that agrees
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
