/** How long to wait before asking after a payment again. No DOM. */

/** @param {number} waited milliseconds since the page was opened
 * @returns {number} milliseconds: often while somebody holds the phone, seldom later
 */
export function pause(waited) {
  if (waited < 60_000) return 1500;
  if (waited < 5 * 60_000) return 5000;
  return 30_000;
}
