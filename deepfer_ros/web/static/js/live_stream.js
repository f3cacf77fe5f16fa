/** The annotated pictures of one camera, as they come. */

import { parseFrame } from "./frame_message.js";
import { RateMeter } from "./rate_meter.js";
import { ReconnectingSocket } from "./reconnecting_socket.js";
import { ServerClock } from "./server_clock.js";

/** @import {FrameInfo, StreamStatus} from "./types.js" */

const PING_PERIOD_MS = 5000;

/**
 * @typedef {Object} StreamEvents
 * @property {(info: FrameInfo, picture: ImageBitmap, jpeg: Blob) => void} onFrame The picture may
 *   be used until the call returns.
 * @property {(status: StreamStatus) => void} onStatus Once a second.
 * @property {() => void} onOpen
 * @property {(delayMs: number, reason: string) => void} onLost See `ReconnectingSocket`.
 */

export class LiveStream {
  #events;
  #socket;
  #clock = new ServerClock();
  #shown = new RateMeter();
  #pingTimer = 0;
  #isOpen = true;
  #isBusy = false;
  /** @type {{info: FrameInfo, jpeg: Blob} | null} */
  #waiting = null;
  /** @type {number | null} */
  #latencyMs = null;

  /**
   * @param {string} camera
   * @param {StreamEvents} events
   */
  constructor(camera, events) {
    this.#events = events;
    this.#socket = new ReconnectingSocket(`/api/live?camera=${encodeURIComponent(camera)}`, {
      onOpen: () => this.#onOpen(),
      onMessage: (data) => this.#onMessage(data),
      onLost: (delayMs, reason) => this.#onLost(delayMs, reason),
    });
    this.#socket.open();
  }

  /** Time from taking the newest picture to showing it, or null if it is not known. */
  get latencyMs() {
    return this.#latencyMs;
  }

  /** Pictures a second that were shown, or null if there were too few to tell. */
  get shownHz() {
    return this.#shown.rateHz(performance.now());
  }

  retryNow() {
    this.#socket.retryNow();
  }

  /** End the stream for good. */
  close() {
    this.#isOpen = false;
    clearInterval(this.#pingTimer);
    this.#socket.close();
  }

  #onOpen() {
    this.#ping();
    clearInterval(this.#pingTimer);
    this.#pingTimer = setInterval(() => this.#ping(), PING_PERIOD_MS);
    this.#events.onOpen();
  }

  /**
   * @param {number} delayMs
   * @param {string} reason
   */
  #onLost(delayMs, reason) {
    clearInterval(this.#pingTimer);
    this.#shown.reset();
    this.#latencyMs = null;
    this.#events.onLost(delayMs, reason);
  }

  /** @param {string | ArrayBuffer} data */
  #onMessage(data) {
    if (data instanceof ArrayBuffer) {
      this.#take(parseFrame(data));
      return;
    }
    const message = JSON.parse(data);
    if (message.type === "status") {
      this.#events.onStatus(message);
    } else if (message.type === "pong") {
      this.#clock.compare(message.time_ms, performance.now(), message.server_time_ms);
    }
  }

  /** @param {{info: FrameInfo, jpeg: Blob}} frame */
  #take(frame) {
    if (this.#waiting) {
      // A newer picture is here before the older one could be shown.
      this.#acknowledge(this.#waiting.info);
    }
    this.#waiting = frame;
    if (!this.#isBusy) {
      void this.#showWaiting();
    }
  }

  async #showWaiting() {
    this.#isBusy = true;
    while (this.#waiting) {
      const { info, jpeg } = this.#waiting;
      this.#waiting = null;
      const picture = await decode(jpeg);
      if (picture) {
        await nextRefresh();
        if (this.#isOpen) {
          this.#show(info, picture, jpeg);
        }
        picture.close();
      }
      this.#acknowledge(info);
    }
    this.#isBusy = false;
  }

  /**
   * @param {FrameInfo} info
   * @param {ImageBitmap} picture
   * @param {Blob} jpeg
   */
  #show(info, picture, jpeg) {
    const nowMs = performance.now();
    this.#shown.count(nowMs);
    this.#latencyMs =
      info.age_ms !== null && this.#clock.isKnown
        ? Math.max(0, info.age_ms + this.#clock.at(nowMs) - info.server_time_ms)
        : null;
    this.#events.onFrame(info, picture, jpeg);
  }

  /** @param {FrameInfo} info */
  #acknowledge(info) {
    this.#socket.send({ type: "ack", sequence: info.sequence });
  }

  #ping() {
    this.#socket.send({ type: "ping", time_ms: performance.now() });
  }
}

/**
 * @param {Blob} jpeg
 * @returns {Promise<ImageBitmap | null>} Null if it is no picture: then the next one will do.
 */
async function decode(jpeg) {
  try {
    return await createImageBitmap(jpeg);
  } catch (error) {
    if (error instanceof DOMException) {
      return null;
    }
    throw error;
  }
}

/** @returns {Promise<number>} */
function nextRefresh() {
  return new Promise((resolve) => requestAnimationFrame(resolve));
}
