/** The parts of a multipart upload. Pure. */

/** How a file is cut into parts, without those that the server has.
 * @param {number} size bytes in the file
 * @param {number} partSize bytes in every part but the last
 * @param {Set<number>} received numbers of the parts the server has
 * @returns {{number: number, start: number, end: number}[]} parts to send; end is exclusive
 */
export function missingParts(size, partSize, received) {
  const count = Math.max(1, Math.ceil(size / partSize));
  return Array.from({ length: count }, (_, index) => ({
    number: index + 1,
    start: index * partSize,
    end: Math.min(size, (index + 1) * partSize),
  })).filter((part) => !received.has(part.number));
}

/** @param {Map<number, string>} etags part number → ETag as the store gave it
 * @returns {{part_number: number, etag: string}[]} in order, as `complete` needs them
 */
export function completedParts(etags) {
  return [...etags].sort(([a], [b]) => a - b).map(([part_number, etag]) => ({ part_number, etag }));
}

/** @param {number} size
 * @param {number} partSize
 * @param {Iterable<number>} received part numbers the server has
 * @param {Iterable<number>} underway bytes sent so far, of each part that is being sent
 * @returns {number} bytes that are sent, of complete parts and of those being sent
 */
export function bytesSent(size, partSize, received, underway = []) {
  const last = Math.max(1, Math.ceil(size / partSize));
  let total = 0;
  for (const number of received) total += number === last ? size - (last - 1) * partSize : partSize;
  for (const sent of underway) total += sent;
  return Math.min(size, total);
}

/** @param {{part_number: number, etag: string, size_bytes: number}[]} received as the server lists them
 * @param {number} size
 * @param {number} partSize
 * @returns {Map<number, string>} part number → ETag, only of parts with the right length; others are sent again
 */
export function wholeParts(received, size, partSize) {
  const whole = new Map(missingParts(size, partSize, new Set()).map((part) => [part.number, part.end - part.start]));
  return new Map(
    received.filter((part) => whole.get(part.part_number) === part.size_bytes).map((part) => [part.part_number, part.etag]),
  );
}
