/** Hand a file to the visitor. */

import { make } from "./elements.js";

// The browser needs the address a little longer than the click.
const ADDRESS_LIFE_MS = 10_000;

/**
 * Offer bytes as a file.
 * @param {Blob} blob
 * @param {string} name
 */
export function download(blob, name) {
  const address = URL.createObjectURL(blob);
  make("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), ADDRESS_LIFE_MS);
}
