/** Files on their way to the server, a few at a time. */

import { ApiError, postFile } from "./api.js";
import { bytes, counted } from "./formats.js";

/** @import {ImageResult, VideoResult, ServerStatus} from "./types.js" */

const AT_ONCE = 2;
// A busy server says when to come back; it must be able to say so for some time.
const MAX_TRIES = 60;
const BUSY = 503;

const IMAGE_TYPES = ["image/jpeg", "image/png", "image/webp"];
// Not every browser knows the types of all files.
const VIDEO_SUFFIXES = /\.(mp4|m4v|mov|webm|mkv|avi)$/i;
const IMAGE_SUFFIXES = /\.(jpe?g|png|webp)$/i;

/**
 * @typedef {Object} UploadEvents
 * @property {(text: string, share: number | null) => void} onProgress What is going on; the share
 *   is null while nobody can tell.
 * @property {(result: ImageResult | VideoResult) => void} onResult
 * @property {(reason: string) => void} onError
 */

export class UploadQueue {
  #limits;
  /** @type {(() => Promise<void>)[]} */
  #waiting = [];
  #running = 0;

  /** @param {ServerStatus["limits"]} limits */
  constructor(limits) {
    this.#limits = limits;
  }

  /**
   * Send a file when it is its turn.
   * @param {File} file
   * @param {UploadEvents} events
   * @returns {AbortController} Ends it.
   */
  add(file, events) {
    const stop = new AbortController();
    const obstacle = this.#obstacle(file);
    if (obstacle) {
      queueMicrotask(() => events.onError(obstacle));
      return stop;
    }
    events.onProgress("Waiting", 0);
    this.#waiting.push(() => send(file, stop.signal, events));
    void this.#work();
    return stop;
  }

  /**
   * Return why a file need not even be sent, or an empty text.
   * @param {File} file
   */
  #obstacle(file) {
    if (!isImage(file) && !isVideo(file)) {
      return "This is not a JPEG, PNG or WebP picture, nor a video.";
    }
    if (file.size === 0) {
      return "The file is empty.";
    }
    const limit = isVideo(file) ? this.#limits.video_bytes : this.#limits.image_bytes;
    if (file.size > limit) {
      return `The file has ${bytes(file.size)}; at most ${bytes(limit)} are allowed.`;
    }
    return "";
  }

  async #work() {
    if (this.#running >= AT_ONCE) {
      return;
    }
    this.#running += 1;
    for (let next = this.#waiting.shift(); next; next = this.#waiting.shift()) {
      await next();
    }
    this.#running -= 1;
  }
}

/**
 * Say what the server takes.
 * @param {ServerStatus["limits"]} limits
 */
export function describeLimits(limits) {
  return (
    `JPEG, PNG or WebP pictures up to ${bytes(limits.image_bytes)}, or a video up to ` +
    `${bytes(limits.video_bytes)} and ${counted(limits.video_seconds, "second")}. ` +
    "They are worked on in memory; nothing is kept."
  );
}

/** @param {File} file */
function isVideo(file) {
  return file.type.startsWith("video/") || VIDEO_SUFFIXES.test(file.name);
}

/** @param {File} file */
function isImage(file) {
  return IMAGE_TYPES.includes(file.type) || IMAGE_SUFFIXES.test(file.name);
}

/**
 * @param {File} file
 * @param {AbortSignal} signal
 * @param {UploadEvents} events
 */
async function send(file, signal, events) {
  const kind = isVideo(file) ? "classify-video" : "classify";
  const path = `/api/${kind}?annotate=true&name=${encodeURIComponent(file.name)}`;
  for (let attempt = 1; !signal.aborted; attempt += 1) {
    try {
      const answer = await postFile(path, file, signal, (share) => {
        events.onProgress(share < 1 ? "Sending" : "Looking for faces", share < 1 ? share : null);
      });
      events.onResult(/** @type {ImageResult | VideoResult} */ (answer));
      return;
    } catch (error) {
      if (!(error instanceof ApiError)) {
        throw error;
      }
      if (error.status !== BUSY || attempt === MAX_TRIES) {
        events.onError(error.message);
        return;
      }
      events.onProgress("The server is busy; waiting", null);
      await wait(error.retryAfterS * 1000);
    }
  }
}

/** @param {number} durationMs */
function wait(durationMs) {
  return new Promise((resolve) => setTimeout(resolve, durationMs));
}
