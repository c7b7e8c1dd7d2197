/** One dialog for all questions: a button whose data-confirm, or whose form's, asks before the form is sent.
 * "{name}" in the question is the button's data-confirm-name. */

/** @param {HTMLDialogElement} dialog */
export function mount(dialog) {
  if (!dialog.showModal) return;
  const text = dialog.querySelector("[data-part=text]");
  const yes = dialog.querySelector("[data-part=yes]");
  const usual = yes.textContent;
  let agreed = null;
  let waiting = null;

  document.addEventListener("submit", (event) => {
    const button = event.submitter;
    const question = button?.dataset.confirm ?? button?.form?.dataset.confirm;
    if (!question || button === agreed) return;
    event.preventDefault();
    waiting = button;
    text.textContent = question.replace("{name}", () => button.dataset.confirmName ?? "");
    yes.textContent = button.dataset.confirmYes ?? button.form.dataset.confirmYes ?? usual;
    dialog.returnValue = "";
    dialog.showModal();
  });

  dialog.addEventListener("close", () => {
    const button = waiting;
    waiting = null;
    if (dialog.returnValue !== "yes" || !button?.isConnected) return;
    agreed = button;
    button.form.requestSubmit(button);
    agreed = null;
  });
}
