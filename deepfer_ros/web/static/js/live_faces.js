/** The faces in view, a card for each. */

import { EmotionChart } from "./emotion_chart.js";
import { EmotionHistory, HISTORY_SPAN_S } from "./emotion_history.js";
import { make } from "./elements.js";
import { FaceCard } from "./face_card.js";

/** @import {Face} from "./types.js" */

// Numbers that change with every picture cannot be read.
const TEXT_PERIOD_MS = 200;
// A card stays for a while after its face has gone, so that a face that is missed in a picture or
// two does not make the list jump. Without pictures for as long, everybody has gone.
const FADE_MS = 700;
const STAY_MS = 4000;

/**
 * @typedef {Object} LiveFace
 * @property {FaceCard} card
 * @property {EmotionHistory} history
 * @property {EmotionChart} chart
 * @property {number} firstMs
 * @property {number} lastMs
 * @property {number} writtenMs
 */

export class LiveFaces {
  #list;
  #labels;
  /** @type {Map<string, LiveFace>} */
  #faces = new Map();
  #pictureMs = 0;

  /**
   * @param {HTMLElement} list
   * @param {string[]} labels
   */
  constructor(list, labels) {
    this.#list = list;
    this.#labels = labels;
  }

  /** Faces with a card, those among them that have just gone too. */
  get size() {
    return this.#faces.size;
  }

  /**
   * Show the faces of a picture.
   * @param {Face[]} faces
   * @param {CanvasImageSource} picture
   */
  show(faces, picture) {
    const nowMs = performance.now();
    this.#pictureMs = nowMs;
    faces.forEach((face, index) => {
      const entry = this.#entry(face.face_id ?? `${index}`, nowMs);
      entry.lastMs = nowMs;
      entry.card.element.toggleAttribute("data-gone", false);
      entry.card.showCrop(picture, face.box_xywh);
      entry.history.add(nowMs / 1000, this.#labels.map((label) => face.probabilities[label] ?? 0));
      if (nowMs - entry.writtenMs >= TEXT_PERIOD_MS) {
        entry.writtenMs = nowMs;
        entry.card.showEmotion(face);
      }
    });
  }

  /** Move the charts on, and let go of faces that have gone. To be called a few times a second. */
  refresh() {
    const nowMs = performance.now();
    const seenMs = nowMs - this.#pictureMs > STAY_MS ? nowMs : this.#pictureMs;
    for (const [id, entry] of this.#faces) {
      const goneMs = seenMs - entry.lastMs;
      if (goneMs > STAY_MS) {
        this.#remove(id, entry);
        continue;
      }
      const isGone = goneMs > FADE_MS;
      entry.card.element.toggleAttribute("data-gone", isGone);
      const seenS = Math.round((entry.lastMs - entry.firstMs) / 1000);
      entry.card.showAbout(`Face ${id}`, isGone ? "just left" : `for ${seenS} s`);
      entry.chart.show(entry.history.series(nowMs / 1000));
    }
  }

  clear() {
    for (const [id, entry] of this.#faces) {
      this.#remove(id, entry);
    }
  }

  /**
   * @param {string} id
   * @param {number} nowMs
   * @returns {LiveFace}
   */
  #entry(id, nowMs) {
    const known = this.#faces.get(id);
    if (known) {
      return known;
    }
    const entry = {
      card: new FaceCard(this.#labels),
      history: new EmotionHistory(this.#labels.length),
      chart: new EmotionChart(this.#labels, [-HISTORY_SPAN_S, 0]),
      firstMs: nowMs,
      lastMs: nowMs,
      writtenMs: 0,
    };
    this.#faces.set(id, entry);
    entry.card.element.classList.add("card");
    entry.card.showAbout(`Face ${id}`);
    const caption = make("figcaption", { class: "visually-hidden" }, "Chart of the last minute");
    entry.card.element.append(make("figure", {}, caption, entry.chart.element));
    this.#list.append(entry.card.element);
    return entry;
  }

  /**
   * @param {string} id
   * @param {LiveFace} entry
   */
  #remove(id, entry) {
    entry.chart.close();
    entry.card.element.remove();
    this.#faces.delete(id);
  }
}
