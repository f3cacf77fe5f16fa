/** The choice of cameras. */

import { make } from "./elements.js";
import { recall, remember } from "./preferences.js";

/** @import {Camera} from "./types.js" */

const STATES = { live: "", silent: " (no picture)", absent: " (away)" };
// The camera of a robot that has only one.
const DEFAULT_NAME = "main";

export class CameraList {
  #select;
  #onChoice;
  // Until somebody chooses or there is a picture, a camera that has one is better.
  #isUndecided = true;

  /**
   * @param {HTMLSelectElement} select
   * @param {(name: string) => void} onChoice
   */
  constructor(select, onChoice) {
    this.#select = select;
    this.#onChoice = onChoice;
    select.addEventListener("change", () => this.#choose(select.value));
  }

  /** The camera that was chosen; empty before there is a choice. */
  get chosen() {
    return this.#select.value;
  }

  /**
   * Offer the cameras of the server. What was chosen stays chosen, even if it is away.
   * @param {Camera[]} cameras
   */
  offer(cameras) {
    const chosen = this.#isUndecided ? preferred(cameras) : this.chosen;
    const offered = cameras.map(({ name, state }) => ({ name, text: name + STATES[state] }));
    if (!offered.some(({ name }) => name === chosen)) {
      offered.push({ name: chosen, text: chosen + STATES.absent });
    }
    // An open list must not be pulled away from under the visitor for nothing.
    const texts = Array.from(this.#select.options, (option) => option.text).join("\n");
    if (texts !== offered.map(({ text }) => text).join("\n")) {
      this.#select.replaceChildren(
        ...offered.map(({ name, text }) => make("option", { value: name }, text)),
      );
    }
    this.#select.value = chosen;
    if (chosen !== this.#select.dataset.shown) {
      this.#show(chosen);
    }
  }

  /** Stay with the camera that was chosen: it has a picture. */
  keep() {
    this.#isUndecided = false;
  }

  /**
   * Choose a camera, whether the server has told of it already or not.
   * @param {string} name
   */
  choose(name) {
    if (!Array.from(this.#select.options).some((option) => option.value === name)) {
      this.#select.append(make("option", { value: name }, name));
    }
    this.#select.value = name;
    this.#choose(name);
  }

  /** @param {string} name */
  #choose(name) {
    this.#isUndecided = false;
    remember("camera", name);
    this.#show(name);
  }

  /** @param {string} name */
  #show(name) {
    this.#select.dataset.shown = name;
    this.#onChoice(name);
  }
}

/**
 * Return the camera to begin with: the one of the last visit, else one with a picture.
 * @param {Camera[]} cameras
 * @returns {string}
 */
function preferred(cameras) {
  const last = recall("camera");
  if (last && cameras.some(({ name, state }) => name === last && state !== "absent")) {
    return last;
  }
  for (const wanted of ["live", "silent"]) {
    const names = cameras.filter(({ state }) => state === wanted).map(({ name }) => name);
    if (names.length) {
      return names.includes(DEFAULT_NAME) ? DEFAULT_NAME : names[0];
    }
  }
  return DEFAULT_NAME;
}
