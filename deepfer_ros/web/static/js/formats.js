/** How numbers are written for people. */

/**
 * @param {number} share 0 to 1.
 * @returns {string} For example "82 %".
 */
export function percent(share) {
  return `${Math.round(share * 100)}\u202f%`;
}

/**
 * @param {number | null | undefined} rateHz
 * @returns {string} For example "24.8 /s"; a dash if there is none.
 */
export function rate(rateHz) {
  return rateHz === null || rateHz === undefined ? "–" : `${rateHz.toFixed(1)}\u202f/s`;
}

/**
 * @param {number | null} durationMs
 * @returns {string} For example "38 ms" or "1.2 s".
 */
export function duration(durationMs) {
  if (durationMs === null) {
    return "–";
  }
  return durationMs < 1000
    ? `${Math.round(durationMs)}\u202fms`
    : `${(durationMs / 1000).toFixed(1)}\u202fs`;
}

/**
 * @param {number} count
 * @returns {string} For example "32 MiB".
 */
export function bytes(count) {
  const mebibytes = count / 2 ** 20;
  return mebibytes >= 1
    ? `${Number(mebibytes.toFixed(1))}\u202fMiB`
    : `${Math.ceil(count / 1024)}\u202fKiB`;
}

/**
 * @param {number} count
 * @param {string} noun In the singular.
 * @returns {string} For example "1 face", "3 faces".
 */
export function counted(count, noun) {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}

/**
 * @param {Date} date
 * @returns {string} For file names: "2026-01-31T12-00-00".
 */
export function fileTime(date) {
  const local = new Date(date.getTime() - date.getTimezoneOffset() * 60_000);
  return local.toISOString().slice(0, 19).replaceAll(":", "-");
}
