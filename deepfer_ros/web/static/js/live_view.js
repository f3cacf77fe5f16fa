/** The live view: picture, controls and faces of one camera. */

import { ApiError, fetchCameras } from "./api.js";
import { CameraList } from "./camera_list.js";
import { download } from "./downloads.js";
import { byId, setText, typedById } from "./elements.js";
import { counted, duration, fileTime, rate } from "./formats.js";
import { LiveFaces } from "./live_faces.js";
import { LiveStream } from "./live_stream.js";
import { noticeFor } from "./stage_notice.js";

/** @import {FrameInfo, StreamStatus} from "./types.js" */

const REFRESH_PERIOD_MS = 250;
const CAMERAS_PERIOD_MS = 4000;
const UNAUTHORIZED = 401;

export class LiveView {
  #stage = byId("stage");
  #canvas = typedById("picture", HTMLCanvasElement);
  #cameras = new CameraList(typedById("camera", HTMLSelectElement), () => this.#restart());
  #faces;
  /** @type {LiveStream | null} */
  #stream = null;
  /** @type {{camera: string, jpeg: Blob, time: Date} | null} */
  #picture = null;
  /** @type {StreamStatus | null} */
  #status = null;
  /** @type {"connecting" | "open" | "lost"} */
  #connection = "connecting";
  #reason = "";
  #retryAtMs = 0;
  #pictureAtMs = 0;
  #facesInPicture = 0;
  #isPaused = false;
  #isShown = false;
  #timers = [0, 0];

  /** @param {string[]} labels In the model's order. */
  constructor(labels) {
    this.#faces = new LiveFaces(byId("face-list"), labels);
    byId("pause").addEventListener("click", () => this.#togglePause());
    byId("snapshot").addEventListener("click", () => this.#saveSnapshot());
    byId("retry").addEventListener("click", () => this.#stream?.retryNow());
    const fullScreen = byId("full-screen");
    fullScreen.hidden = !document.fullscreenEnabled;
    fullScreen.addEventListener("click", () => void toggleFullScreen(this.#stage));
    document.addEventListener("visibilitychange", () => this.#update());
  }

  /**
   * Begin or stop to show: nothing is sent to a view that nobody sees.
   * @param {boolean} isShown
   */
  setShown(isShown) {
    this.#isShown = isShown;
    this.#update();
  }

  /**
   * Show a certain camera.
   * @param {string} name
   */
  showCamera(name) {
    this.#isPaused = false;
    this.#showPause();
    this.#cameras.choose(name);
  }

  get #isWatched() {
    return this.#isShown && !document.hidden;
  }

  /** Make what runs fit what is wanted. */
  #update() {
    this.#timers.forEach((timer) => clearInterval(timer));
    if (this.#isWatched) {
      this.#timers = [
        setInterval(() => this.#refresh(), REFRESH_PERIOD_MS),
        setInterval(() => void this.#offerCameras(), CAMERAS_PERIOD_MS),
      ];
      void this.#offerCameras();
    }
    const isWanted = this.#isWatched && !this.#isPaused && this.#cameras.chosen !== "";
    if (isWanted && !this.#stream) {
      this.#open();
    } else if (!isWanted) {
      this.#stream?.close();
      this.#stream = null;
    }
    this.#refresh();
  }

  async #offerCameras() {
    try {
      this.#cameras.offer(await fetchCameras());
    } catch (error) {
      if (!(error instanceof ApiError)) {
        throw error;
      }
      if (error.status === UNAUTHORIZED) {
        // The server was started anew with another token: it will ask for it.
        location.reload();
      }
      if (!this.#cameras.chosen) {
        // Even the list cannot be had: the stream will say why, and try again.
        this.#cameras.offer([]);
      }
    }
  }

  /** Another camera was chosen. */
  #restart() {
    this.#stream?.close();
    this.#stream = null;
    this.#faces.clear();
    this.#picture = null;
    this.#facesInPicture = 0;
    this.#canvas.getContext("2d")?.clearRect(0, 0, this.#canvas.width, this.#canvas.height);
    this.#update();
  }

  #open() {
    this.#connection = "connecting";
    this.#status = null;
    this.#stream = new LiveStream(this.#cameras.chosen, {
      onFrame: (info, picture, jpeg) => this.#onFrame(info, picture, jpeg),
      onStatus: (status) => this.#onStatus(status),
      onOpen: () => {
        this.#connection = "open";
        this.#status = null;
        this.#pictureAtMs = performance.now();
      },
      onLost: (delayMs, reason) => {
        this.#connection = "lost";
        this.#reason = reason;
        this.#retryAtMs = performance.now() + delayMs;
        this.#refresh();
      },
    });
  }

  /**
   * @param {FrameInfo} info
   * @param {ImageBitmap} picture
   * @param {Blob} jpeg
   */
  #onFrame(info, picture, jpeg) {
    const isFirst = this.#picture === null;
    this.#cameras.keep();
    this.#picture = { camera: info.camera, jpeg, time: new Date() };
    this.#pictureAtMs = performance.now();
    this.#facesInPicture = info.faces.length;
    this.#draw(picture);
    this.#faces.show(info.faces, picture);
    if (isFirst) {
      this.#refresh();
    }
  }

  /** @param {ImageBitmap} picture */
  #draw(picture) {
    const canvas = this.#canvas;
    if (canvas.width !== picture.width || canvas.height !== picture.height) {
      canvas.width = picture.width;
      canvas.height = picture.height;
      this.#stage.style.aspectRatio = `${picture.width} / ${picture.height}`;
    }
    canvas.getContext("2d")?.drawImage(picture, 0, 0);
  }

  /** @param {StreamStatus} status */
  #onStatus(status) {
    if (this.#status?.camera.state !== "live" && status.camera.state === "live") {
      this.#pictureAtMs = performance.now();
    }
    this.#status = status;
    this.#refresh();
  }

  /** Bring everything up to date that changes with time. */
  #refresh() {
    if (!this.#isWatched) {
      return;
    }
    this.#showState();
    this.#showMetrics();
    if (!this.#isPaused) {
      this.#faces.refresh();
    }
    setText(byId("face-count"), `${this.#faces.size}`);
    byId("no-face").hidden = this.#faces.size > 0;
    typedById("snapshot", HTMLButtonElement).disabled = this.#picture === null;
  }

  #showState() {
    const nowMs = performance.now();
    const notice = this.#isPaused
      ? null
      : noticeFor({
          connection: this.#connection,
          retryS: (this.#retryAtMs - nowMs) / 1000,
          reason: this.#reason,
          name: this.#cameras.chosen || "main",
          camera: this.#status?.camera ?? null,
          pictureAgeS: (nowMs - this.#pictureAtMs) / 1000,
        });
    byId("notice").hidden = notice === null;
    if (notice) {
      setText(byId("notice-title"), notice.title);
      setText(byId("notice-text"), notice.text);
      byId("retry").hidden = !notice.canRetry;
    }
    byId("paused-mark").hidden = !this.#isPaused;
    this.#stage.toggleAttribute("data-stale", notice !== null);
    const state = this.#isPaused ? "paused" : (notice?.state ?? "live");
    const connection = byId("connection");
    connection.dataset.state = state;
    setText(connection, this.#isPaused ? "Paused" : (notice?.short ?? "Live"));
    this.#canvas.setAttribute("aria-label", this.#describePicture(state));
  }

  /** @param {string} state */
  #describePicture(state) {
    if (!this.#picture) {
      return "No picture yet";
    }
    const faces = counted(this.#facesInPicture, "face");
    return `${state === "live" ? "Live" : "Last"} picture of camera ${this.#picture.camera}: ${faces}`;
  }

  #showMetrics() {
    const isLive = byId("connection").dataset.state === "live";
    const recognizedHz = isLive ? this.#status?.camera.rate_hz : null;
    setText(byId("metric-latency"), duration(isLive ? (this.#stream?.latencyMs ?? null) : null));
    setText(byId("metric-shown"), rate(isLive ? this.#stream?.shownHz : null));
    setText(byId("metric-recognized"), rate(recognizedHz));
    const { width, height } = this.#canvas;
    setText(byId("metric-size"), this.#picture ? `${width} × ${height}` : "–");
  }

  #togglePause() {
    this.#isPaused = !this.#isPaused;
    this.#showPause();
    this.#update();
  }

  #showPause() {
    byId("pause").toggleAttribute("data-paused", this.#isPaused);
    setText(byId("pause-text"), this.#isPaused ? "Resume" : "Pause");
  }

  #saveSnapshot() {
    if (this.#picture) {
      const { camera, jpeg, time } = this.#picture;
      download(jpeg, `deepfer_${camera}_${fileTime(time)}.jpg`);
    }
  }
}

/** @param {HTMLElement} element */
async function toggleFullScreen(element) {
  if (document.fullscreenElement) {
    await document.exitFullscreen();
  } else {
    await element.requestFullscreen();
  }
}
