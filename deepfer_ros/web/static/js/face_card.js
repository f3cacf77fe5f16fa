/** What is known about one face: picture, emotion, the probability of every class. */

import { make, setText } from "./elements.js";
import { percent } from "./formats.js";
import { colourOf } from "./palette.js";

/** @import {Face} from "./types.js" */

const CROP = { width: 176, height: 220 };
// The line that is drawn around the face stays outside.
const INSET = 0.05;

export class FaceCard {
  #labels;
  #crop = make("canvas", {
    class: "crop",
    width: `${CROP.width}`,
    height: `${CROP.height}`,
    "aria-hidden": "true",
  });
  #swatch = make("span", { class: "swatch", "aria-hidden": "true" });
  #emotion = make("span");
  #confidence = make("span", { class: "number" });
  #about = make("p", { class: "face-about number" });
  /** @type {{label: HTMLElement, bar: HTMLElement, amount: HTMLElement}[]} */
  #bars;

  /** @param {string[]} labels In the model's order. */
  constructor(labels) {
    this.#labels = labels;
    const bars = make("dl", { class: "bars" });
    this.#bars = labels.map((label, index) => makeBar(bars, label, colourOf(index)));
    /** The element to put into a list. */
    this.element = make(
      "li",
      { class: "face" },
      make("div", { class: "face-side" }, this.#crop, this.#about),
      make(
        "div",
        { class: "face-main" },
        make("h3", { class: "face-emotion" }, this.#swatch, this.#emotion, this.#confidence),
        bars,
      ),
    );
  }

  /**
   * @param {Pick<Face, "emotion" | "confidence" | "probabilities">} face
   */
  showEmotion(face) {
    const top = this.#labels.indexOf(face.emotion);
    this.#swatch.style.background = colourOf(top);
    setText(this.#emotion, face.emotion);
    setText(this.#confidence, percent(face.confidence));
    this.#labels.forEach((label, index) => {
      const probability = face.probabilities[label] ?? 0;
      const { label: name, bar, amount } = this.#bars[index];
      name.toggleAttribute("data-top", index === top);
      bar.style.width = `${100 * probability}%`;
      setText(amount, percent(probability));
    });
  }

  /**
   * Say more about the face, a line for each text.
   * @param {...string} lines
   */
  showAbout(...lines) {
    setText(this.#about, lines.join("\n"));
  }

  /**
   * Cut the face out of a picture.
   * @param {CanvasImageSource} picture
   * @param {Face["box_xywh"]} box In pixels of the picture.
   */
  showCrop(picture, [x, y, width, height]) {
    const scale = Math.min(width / CROP.width, height / CROP.height) * (1 - INSET);
    const cutWidth = CROP.width * scale;
    const cutHeight = CROP.height * scale;
    const left = x + (width - cutWidth) / 2;
    const top = y + (height - cutHeight) / 2;
    this.#crop
      .getContext("2d")
      ?.drawImage(picture, left, top, cutWidth, cutHeight, 0, 0, CROP.width, CROP.height);
  }
}

/**
 * @param {HTMLElement} list
 * @param {string} label
 * @param {string} colour
 */
function makeBar(list, label, colour) {
  const name = make("dt", {}, label);
  const bar = make("span");
  const amount = make("dd", { class: "amount number" });
  bar.style.background = colour;
  const track = make("dd", { class: "bar", "aria-hidden": "true" }, bar);
  list.append(make("div", {}, name, track, amount));
  return { label: name, bar, amount };
}
