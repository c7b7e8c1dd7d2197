/** A form that opens the browser's passkey dialog and sends the result. Without passkeys it stays hidden. */
import { request } from "./lib/http.js";

/** @param {string} text base64url
 * @returns {Uint8Array<ArrayBuffer>}
 */
function bytes(text) {
  const plain = atob(text.replace(/-/g, "+").replace(/_/g, "/"));
  return Uint8Array.from(plain, (letter) => letter.charCodeAt(0));
}

/** @param {ArrayBuffer|null} buffer
 * @returns {string|null} base64url without padding
 */
function text(buffer) {
  if (!buffer) return null;
  const letters = Array.from(new Uint8Array(buffer), (byte) => String.fromCharCode(byte)).join("");
  return btoa(letters).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
}

const readable = (list) => (list ?? []).map((item) => ({ ...item, id: bytes(item.id) }));

/** @param {any} options from the portal, binary parts in base64url */
function forCreate(options) {
  return {
    ...options,
    challenge: bytes(options.challenge),
    user: { ...options.user, id: bytes(options.user.id) },
    excludeCredentials: readable(options.excludeCredentials),
  };
}

/** @param {any} options as above */
function forGet(options) {
  return { ...options, challenge: bytes(options.challenge), allowCredentials: readable(options.allowCredentials) };
}

/** @param {any} credential
 * @returns {string} JSON in the form that the portal reads
 */
function written(credential) {
  const { response } = credential;
  const parts = { clientDataJSON: text(response.clientDataJSON) };
  if (response.attestationObject) {
    parts.attestationObject = text(response.attestationObject);
  } else {
    parts.authenticatorData = text(response.authenticatorData);
    parts.signature = text(response.signature);
    parts.userHandle = text(response.userHandle);
  }
  return JSON.stringify({ id: credential.id, rawId: text(credential.rawId), type: credential.type, response: parts });
}

/** @param {HTMLFormElement} form */
export function mount(form) {
  if (!window.PublicKeyCredential || !navigator.credentials) return;
  const field = form.querySelector("[data-part=credential]");
  const failed = form.querySelector("[data-part=failed]");
  const button = form.querySelector("button[type=submit]");
  form.hidden = false;

  form.addEventListener("submit", async (event) => {
    if (field.value) return; // the result is filled in: send the form
    event.preventDefault();
    failed.hidden = true;
    button.disabled = true;
    try {
      const options = await request(form.dataset.optionsUrl, { method: "POST" });
      const credential =
        form.dataset.kind === "create"
          ? await navigator.credentials.create({ publicKey: forCreate(options) })
          : await navigator.credentials.get({ publicKey: forGet(options) });
      field.value = written(credential);
      button.disabled = false;
      form.requestSubmit(button);
    } catch (error) {
      const known = error.name === "InvalidStateError" && form.dataset.kind === "create";
      failed.textContent = known ? form.dataset.textKnown : (error.status && error.message) || form.dataset.textFailed;
      failed.hidden = false;
    } finally {
      button.disabled = false;
    }
  });

  // When the user comes back from the next page, clear the field: its result is used up.
  window.addEventListener("pageshow", () => {
    field.value = "";
  });
}
