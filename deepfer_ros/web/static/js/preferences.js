/** What this browser remembers of the visitor's choices: no more than that. */

const PREFIX = "deepfer.";

/**
 * @param {"theme" | "camera"} name
 * @returns {string | null}
 */
export function recall(name) {
  return withStorage((storage) => storage.getItem(PREFIX + name));
}

/**
 * @param {"theme" | "camera"} name
 * @param {string} value
 */
export function remember(name, value) {
  withStorage((storage) => storage.setItem(PREFIX + name, value));
}

/**
 * @template T
 * @param {(storage: Storage) => T} use
 * @returns {T | null} Null where the browser's settings forbid to remember anything.
 */
function withStorage(use) {
  try {
    return use(localStorage);
  } catch (error) {
    if (error instanceof DOMException) {
      return null;
    }
    throw error;
  }
}
