/** How long to wait before asking for the state of a payment again. No DOM. */

/** @param {number} waited milliseconds since the page was opened
 * @returns {number} milliseconds: short while the user probably types the PIN on the phone, longer later
 */
export function pause(waited) {
  if (waited < 60_000) return 1500;
  if (waited < 5 * 60_000) return 5000;
  return 30_000;
}
