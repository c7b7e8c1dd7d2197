/** Kenyan numbers in groups. No DOM. */

/** @param {string} text as the user typed it
 * @returns {string} 0712 345 678 or +254 712 345 678; other text does not change
 */
export function grouped(text) {
  const digits = text.replace(/[\s().-]/g, "");
  const local = /^(0)([17]\d{2})(\d{3})(\d{3})$/.exec(digits);
  if (local) return `0${local[2]} ${local[3]} ${local[4]}`;
  const abroad = /^\+?254([17]\d{2})(\d{3})(\d{3})$/.exec(digits);
  return abroad ? `+254 ${abroad[1]} ${abroad[2]} ${abroad[3]}` : text;
}
