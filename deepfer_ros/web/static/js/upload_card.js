/** One uploaded file: its progress, then its result or what is wrong with it. */

import { download } from "./downloads.js";
import { make, setText } from "./elements.js";
import { EmotionChart } from "./emotion_chart.js";
import { FaceCard } from "./face_card.js";
import { counted, percent } from "./formats.js";
import { videoFaces } from "./video_faces.js";

/** @import {Face, ImageResult, VideoResult} from "./types.js" */

export class UploadCard {
  #labels;
  #name;
  #state = make("p", { class: "quiet" });
  #progress = make("progress", { max: "1" });
  #actions = make("div", { class: "row" });
  #remove = make("button", { type: "button", class: "plain" }, "Remove");
  /** @type {(() => void)[]} What to do when the card goes. */
  #undo = [];

  /**
   * @param {string} name Of the file.
   * @param {string[]} labels In the model's order.
   * @param {() => void} onRemove
   */
  constructor(name, labels, onRemove) {
    this.#labels = labels;
    this.#name = name;
    this.#progress.setAttribute("aria-label", `Progress of ${name}`);
    this.#remove.setAttribute("aria-label", `Remove ${name}`);
    this.#remove.addEventListener("click", onRemove);
    this.#actions.append(this.#remove);
    const head = make(
      "div",
      { class: "upload-head" },
      make("h2", {}, name),
      this.#state,
      this.#actions,
    );
    /** The element to put into a list. */
    this.element = make("li", { class: "upload card" }, head, this.#progress);
  }

  /** Free what the card holds, and take it away. */
  remove() {
    this.#undo.forEach((undo) => undo());
    this.element.remove();
  }

  /**
   * @param {string} text
   * @param {number | null} share 0 to 1, or null if nobody can tell.
   */
  showProgress(text, share) {
    setText(this.#state, text);
    if (share === null) {
      this.#progress.removeAttribute("value");
    } else {
      this.#progress.value = share;
    }
  }

  /** @param {string} reason */
  showError(reason) {
    this.#progress.remove();
    this.#state.className = "error-text";
    setText(this.#state, reason);
  }

  /** @param {ImageResult | VideoResult} result */
  async showResult(result) {
    this.#progress.remove();
    const faces = make("ul", { class: "upload-faces" });
    const body = make("div", { class: "upload-result" });
    const picture = result.annotated_jpeg_base64
      ? await this.#showPicture(body, result.annotated_jpeg_base64, describe(result))
      : null;
    if ("frames" in result) {
      this.#showVideo(faces, picture, result);
    } else {
      setText(this.#state, result.faces.length ? counted(result.faces.length, "face") : "No face");
      this.#showFaces(faces, picture, result.faces);
    }
    body.append(faces);
    this.element.append(body);
  }

  /**
   * @param {HTMLElement} body
   * @param {string} base64
   * @param {string} description
   * @returns {Promise<HTMLImageElement>}
   */
  async #showPicture(body, base64, description) {
    const jpeg = new Blob([decodeBase64(base64)], { type: "image/jpeg" });
    const address = URL.createObjectURL(jpeg);
    this.#undo.push(() => URL.revokeObjectURL(address));
    const picture = make("img", { class: "upload-picture", src: address, alt: description });
    await picture.decode();
    body.append(picture);
    const save = make("button", { type: "button" }, "Annotated picture");
    save.addEventListener("click", () => {
      download(jpeg, `${this.#name.replace(/\.\w+$/, "")}_annotated.jpg`);
    });
    this.#remove.before(save);
    return picture;
  }

  /**
   * @param {HTMLElement} list
   * @param {HTMLImageElement | null} picture
   * @param {Face[]} faces
   */
  #showFaces(list, picture, faces) {
    faces.forEach((face, index) => {
      const card = new FaceCard(this.#labels);
      card.showEmotion(face);
      card.showAbout(`Face ${index + 1}`, `found: ${percent(face.detection_confidence)}`);
      if (picture) {
        card.showCrop(picture, face.box_xywh);
      }
      list.append(card.element);
    });
  }

  /**
   * @param {HTMLElement} list
   * @param {HTMLImageElement | null} picture Shows one moment of the video.
   * @param {VideoResult} video
   */
  #showVideo(list, picture, video) {
    const faces = videoFaces(video, this.#labels);
    const lastS = video.frames.at(-1)?.time_s ?? 0;
    const shown = new Map(
      video.frames
        .find(({ time_s }) => time_s === video.annotated_time_s)
        ?.faces.map((face) => [face.face_id, face.box_xywh]),
    );
    const about = [
      faces.length ? counted(faces.length, "face") : "No face",
      `${counted(video.frames.length, "picture")} in ${lastS.toFixed(1)} s`,
      video.truncated,
    ];
    setText(this.#state, about.filter(Boolean).join(" · "));
    for (const face of faces) {
      const card = new FaceCard(this.#labels);
      card.showEmotion(face.mean);
      card.showAbout(`Face ${face.id}`, `${face.firstS.toFixed(1)} to ${face.lastS.toFixed(1)} s`);
      const box = shown.get(face.id);
      if (picture && box) {
        card.showCrop(picture, box);
      }
      const chart = new EmotionChart(this.#labels, [0, Math.max(1, lastS)]);
      chart.show(face.series);
      this.#undo.push(() => chart.close());
      const caption = make("figcaption", {}, "Over the video; the bars are the mean");
      card.element.append(make("figure", {}, caption, chart.element));
      list.append(card.element);
    }
  }
}

/** @param {ImageResult | VideoResult} result */
function describe(result) {
  if ("frames" in result) {
    return `A picture of ${result.path} with its faces marked`;
  }
  const emotions = result.faces.map(({ emotion }) => emotion).join(", ") || "none";
  return `${result.path} with its faces marked: ${emotions}`;
}

/** @param {string} base64 */
function decodeBase64(base64) {
  return Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
}
