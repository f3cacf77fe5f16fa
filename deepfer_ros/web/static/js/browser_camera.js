/** This device's camera, sent to the server picture by picture. */

import { ReconnectingSocket } from "./reconnecting_socket.js";

/** @import {ServerStatus} from "./types.js" */

const RATE_HZ = 12;
const MAX_SIZE = { width: 640, height: 480 };
const JPEG_QUALITY = 0.8;
// After a lost connection the server takes the old one for another visitor until it misses its
// pictures.
const PATIENCE_MS = 45_000;

/** The camera cannot be used. The message is a sentence for people. */
export class CameraUnavailableError extends Error {}

/** @typedef {"starting" | "sending" | "reconnecting"} SendingState */

/**
 * @typedef {Object} SendingEvents
 * @property {(state: SendingState, detail: string) => void} onState
 * @property {(camera: string) => void} onCamera Told under which name the pictures can be watched.
 * @property {() => void} onSent After each picture that the server took.
 * @property {(reason: string) => void} onEnd Sending has ended; the reason is empty if the visitor
 *   wanted it.
 */

/**
 * Return what will be asked of the camera, within what the server takes.
 * @param {ServerStatus["browser_camera"]} limits
 */
export function sendingPlan(limits) {
  const scale = Math.min(1, Math.sqrt(limits.max_pixels / (MAX_SIZE.width * MAX_SIZE.height)));
  return {
    rateHz: Math.min(RATE_HZ, limits.max_rate_hz),
    width: Math.floor(MAX_SIZE.width * scale),
    height: Math.floor(MAX_SIZE.height * scale),
  };
}

/**
 * Return why this page may not even ask for a camera, or an empty text.
 * @returns {string}
 */
export function cameraObstacle() {
  if (!window.isSecureContext) {
    return (
      `Browsers allow the camera on secure pages only, and this one came over plain HTTP from ` +
      `${location.host}. Open it over https://, or on the computer that serves it as ` +
      `http://localhost:${location.port || "80"}.`
    );
  }
  if (!navigator.mediaDevices?.getUserMedia) {
    return "This browser has no access to cameras.";
  }
  return "";
}

export class BrowserCamera {
  #plan;
  #video;
  #events;
  #canvas = document.createElement("canvas");
  /** @type {MediaStream | null} */
  #media = null;
  /** @type {ReconnectingSocket | null} */
  #socket = null;
  #timer = 0;
  #sentMs = 0;
  /** @type {number | null} When the connection was lost, while it is. */
  #lostMs = null;
  #isStopped = false;
  #onHidden = () => document.hidden && this.stop("Sending ended because the page was hidden.");

  /**
   * @param {ReturnType<typeof sendingPlan>} plan
   * @param {HTMLVideoElement} video Shows what the camera sees.
   * @param {SendingEvents} events
   */
  constructor(plan, video, events) {
    this.#plan = plan;
    this.#video = video;
    this.#events = events;
  }

  /**
   * Ask the browser for the camera and begin to send, unless `stop` is called in the meantime. Only
   * to be called after consent, and once.
   * @throws {CameraUnavailableError} There is no camera, or the visitor did not allow it.
   */
  async start() {
    this.#events.onState("starting", "");
    // From here on: the browser's question can stay open for long.
    document.addEventListener("visibilitychange", this.#onHidden);
    try {
      await this.#open();
    } catch (error) {
      // Whoever has stopped it does not ask why it did not start.
      if (this.#isStopped) {
        return;
      }
      throw error;
    }
    this.#onHidden();
    if (!this.#isStopped) {
      this.#connect();
    }
  }

  /**
   * End sending and let go of the camera, also of one that the browser has not given yet.
   * @param {string} [reason]
   */
  stop(reason = "") {
    if (this.#isStopped) {
      return;
    }
    this.#isStopped = true;
    document.removeEventListener("visibilitychange", this.#onHidden);
    clearTimeout(this.#timer);
    this.#socket?.send({ type: "stop" });
    this.#socket?.close();
    this.#socket = null;
    this.#media?.getTracks().forEach((track) => track.stop());
    this.#media = null;
    this.#video.srcObject = null;
    this.#events.onEnd(reason);
  }

  /** Open the camera and show it here. */
  async #open() {
    const media = await openCamera(this.#plan);
    if (this.#isStopped) {
      media.getTracks().forEach((track) => track.stop());
      return;
    }
    this.#media = media;
    media.getVideoTracks()[0].addEventListener("ended", () => {
      this.stop("The camera has stopped, so sending ended.");
    });
    this.#video.srcObject = media;
    await this.#video.play();
  }

  #connect() {
    this.#socket = new ReconnectingSocket("/api/browser-camera", {
      onOpen: () => this.#socket?.send({ type: "start", consent: true }),
      onMessage: (data) => this.#onMessage(JSON.parse(/** @type {string} */ (data))),
      onLost: (_, reason) => {
        clearTimeout(this.#timer);
        this.#lostMs ??= performance.now();
        this.#events.onState("reconnecting", reason);
      },
    });
    this.#socket.open();
  }

  /** @param {{type: string, detail?: string, camera?: string}} message */
  #onMessage({ type, detail, camera }) {
    if (type === "error") {
      if (this.#lostMs === null || performance.now() - this.#lostMs > PATIENCE_MS) {
        this.stop(detail);
      }
    } else if (type === "started") {
      this.#lostMs = null;
      this.#events.onState("sending", "");
      this.#events.onCamera(camera ?? "browser");
      this.#sendSoon();
    } else if (type === "ack") {
      this.#events.onState("sending", "");
      this.#events.onSent();
      this.#sendSoon();
    } else if (type === "rejected") {
      this.#events.onState("sending", detail ?? "");
      this.#sendSoon();
    }
  }

  /** Send the next picture when it is due: the server has answered the last one. */
  #sendSoon() {
    const dueMs = this.#sentMs + 1000 / this.#plan.rateHz;
    this.#timer = setTimeout(() => void this.#send(), Math.max(0, dueMs - performance.now()));
  }

  async #send() {
    const { videoWidth, videoHeight } = this.#video;
    this.#sentMs = performance.now();
    const { width, height } = this.#plan;
    const scale = Math.min(1, width / videoWidth, height / videoHeight);
    this.#canvas.width = Math.round(videoWidth * scale);
    this.#canvas.height = Math.round(videoHeight * scale);
    this.#canvas
      .getContext("2d")
      ?.drawImage(this.#video, 0, 0, this.#canvas.width, this.#canvas.height);
    const jpeg = await new Promise((resolve) => {
      this.#canvas.toBlob(resolve, "image/jpeg", JPEG_QUALITY);
    });
    if (jpeg) {
      this.#socket?.send(jpeg);
    } else if (this.#socket) {
      this.#sendSoon();
    }
  }
}

/**
 * @param {{rateHz: number, width: number, height: number}} plan
 * @returns {Promise<MediaStream>}
 */
async function openCamera({ rateHz, width, height }) {
  try {
    return await navigator.mediaDevices.getUserMedia({
      audio: false,
      video: {
        width: { ideal: width },
        height: { ideal: height },
        frameRate: { ideal: 2 * rateHz },
        facingMode: "user",
      },
    });
  } catch (error) {
    const name = error instanceof DOMException ? error.name : "";
    if (!(name in REASONS)) {
      throw error;
    }
    throw new CameraUnavailableError(REASONS[name], { cause: error });
  }
}

/** @type {Record<string, string>} */
const REASONS = {
  NotAllowedError:
    "The browser did not give permission. Allow the camera for this page (often a symbol in the address bar) and try again.",
  NotFoundError: "This device has no camera, or none is plugged in.",
  NotReadableError: "The camera is in use by another program. End that program and try again.",
  OverconstrainedError: "The camera gives no picture of the size that is needed.",
  AbortError: "The camera could not be started. Unplug it, plug it in again and try once more.",
  SecurityError: "The browser's settings forbid cameras.",
};
