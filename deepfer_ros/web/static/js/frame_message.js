/** The binary message of the live stream: length, JSON, JPEG. */

/** @import {FrameInfo} from "./types.js" */

const LENGTH_BYTES = 4;

/**
 * Take a message apart.
 * @param {ArrayBuffer} message
 * @returns {{info: FrameInfo, jpeg: Blob}}
 * @throws {RangeError | SyntaxError} It is not such a message.
 */
export function parseFrame(message) {
  const length = new DataView(message).getUint32(0);
  const text = new Uint8Array(message, LENGTH_BYTES, length);
  const info = JSON.parse(new TextDecoder().decode(text));
  const jpeg = new Blob([new Uint8Array(message, LENGTH_BYTES + length)], { type: "image/jpeg" });
  return { info, jpeg };
}
