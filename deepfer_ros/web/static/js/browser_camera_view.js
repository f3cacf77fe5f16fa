/** Consent to use this device's camera, and the bar that is seen while it sends. */

import { ApiError, fetchStatus } from "./api.js";
import {
  BrowserCamera,
  CameraUnavailableError,
  cameraObstacle,
  sendingPlan,
} from "./browser_camera.js";
import { byId, setText, typedById } from "./elements.js";
import { rate } from "./formats.js";
import { RateMeter } from "./rate_meter.js";

/** @import {SendingState} from "./browser_camera.js" */

/** @type {Record<SendingState, string>} */
const TITLES = {
  starting: "Starting this device's camera",
  sending: "Sending this device's camera",
  reconnecting: "Connection lost, trying again",
};
const DETAIL_PERIOD_MS = 1000;

export class BrowserCameraView {
  #dialog = typedById("consent", HTMLDialogElement);
  #bar = byId("sending");
  #video = typedById("sending-preview", HTMLVideoElement);
  #button = typedById("own-camera", HTMLButtonElement);
  #onCamera;
  #rate = new RateMeter();
  #detailMs = 0;
  /** @type {BrowserCamera | null} */
  #camera = null;
  /** @type {ReturnType<typeof sendingPlan> | null} */
  #plan = null;

  /** @param {(camera: string) => void} onCamera Told which camera to watch once it sends. */
  constructor(onCamera) {
    this.#onCamera = onCamera;
    this.#button.addEventListener("click", () => void this.#ask());
    byId("consent-yes").addEventListener("click", () => void this.#agree());
    for (const id of ["consent-no", "consent-close"]) {
      byId(id).addEventListener("click", () => this.#dialog.close());
    }
    byId("sending-stop").addEventListener("click", () => this.#camera?.stop());
    // It was of no use before anybody listened to it.
    this.#button.disabled = false;
  }

  /** Ask for consent, if the camera can be used at all. */
  async #ask() {
    const obstacle = cameraObstacle();
    if (obstacle) {
      this.#showProblem(obstacle);
      return;
    }
    try {
      const { browser_camera: limits } = await fetchStatus();
      if (!limits.enabled) {
        this.#showProblem("This server does not take pictures from browsers.");
      } else if (limits.active) {
        this.#showProblem("Another visitor is sending at the moment. Try again later.");
      } else {
        this.#showQuestion(sendingPlan(limits));
      }
    } catch (error) {
      if (!(error instanceof ApiError)) {
        throw error;
      }
      this.#showProblem(error.message);
    }
  }

  /** @param {ReturnType<typeof sendingPlan>} plan */
  #showQuestion(plan) {
    this.#plan = plan;
    setText(byId("consent-rate"), `about ${Math.round(plan.rateHz)} a second`);
    setText(byId("consent-size"), `${plan.width} × ${plan.height} pixels`);
    setText(byId("consent-host"), location.host);
    this.#openDialog("consent-question");
    byId("consent-no").focus();
  }

  /** @param {string} text */
  #showProblem(text) {
    setText(byId("consent-problem-text"), text);
    this.#openDialog("consent-problem");
  }

  /** @param {"consent-question" | "consent-problem"} part */
  #openDialog(part) {
    byId("consent-question").hidden = part !== "consent-question";
    byId("consent-problem").hidden = part !== "consent-problem";
    const title = part === "consent-question" ? "consent-title" : "consent-problem-title";
    this.#dialog.setAttribute("aria-labelledby", title);
    if (!this.#dialog.open) {
      this.#dialog.showModal();
    }
  }

  async #agree() {
    if (!this.#plan) {
      return;
    }
    this.#dialog.close();
    this.#button.disabled = true;
    this.#rate.reset();
    const camera = new BrowserCamera(this.#plan, this.#video, {
      onState: (state, detail) => this.#showState(state, detail),
      onCamera: (camera) => this.#onCamera(camera),
      onSent: () => this.#showRate(),
      onEnd: (reason) => this.#end(reason),
    });
    this.#camera = camera;
    try {
      await camera.start();
    } catch (error) {
      if (!(error instanceof CameraUnavailableError)) {
        throw error;
      }
      camera.stop(error.message);
    }
  }

  /**
   * @param {SendingState} state
   * @param {string} detail
   */
  #showState(state, detail) {
    this.#bar.hidden = false;
    setText(byId("sending-title"), TITLES[state]);
    if (detail || state !== "sending") {
      setText(byId("sending-detail"), detail);
    }
  }

  #showRate() {
    const nowMs = performance.now();
    this.#rate.count(nowMs);
    if (nowMs - this.#detailMs >= DETAIL_PERIOD_MS) {
      this.#detailMs = nowMs;
      const size = `${this.#video.videoWidth} × ${this.#video.videoHeight}`;
      setText(byId("sending-detail"), `${rate(this.#rate.rateHz(nowMs))} · ${size}`);
    }
  }

  /** @param {string} reason */
  #end(reason) {
    this.#camera = null;
    this.#bar.hidden = true;
    this.#button.disabled = false;
    if (reason) {
      this.#showProblem(reason);
    } else {
      this.#button.focus();
    }
  }
}
