/** How many times a second something happens. */

const SPAN_MS = 2000;

export class RateMeter {
  /** @type {number[]} */
  #timesMs = [];

  /** @param {number} nowMs */
  count(nowMs) {
    this.#timesMs.push(nowMs);
    this.#forget(nowMs);
  }

  /**
   * Return events a second over the last two seconds, or null if there were too few to tell.
   * @param {number} nowMs
   * @returns {number | null}
   */
  rateHz(nowMs) {
    this.#forget(nowMs);
    if (this.#timesMs.length < 2) {
      return null;
    }
    // Until now, not until the last event: a rate falls while nothing comes.
    return ((this.#timesMs.length - 1) * 1000) / (nowMs - this.#timesMs[0]);
  }

  reset() {
    this.#timesMs = [];
  }

  /** @param {number} nowMs */
  #forget(nowMs) {
    while (this.#timesMs.length && this.#timesMs[0] < nowMs - SPAN_MS) {
      this.#timesMs.shift();
    }
  }
}
