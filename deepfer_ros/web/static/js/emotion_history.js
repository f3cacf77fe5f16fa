/** The probabilities of one face over the last minute. */

const SPAN_S = 60;
const PERIOD_S = 0.2;
// Without results for this long, the line of the chart is broken.
const GAP_S = 2;

/** Seconds that a history reaches back. */
export const HISTORY_SPAN_S = SPAN_S;

export class EmotionHistory {
  /** @type {number[]} */
  #timesS = [];
  /** @type {(number | null)[][]} One row for each class. */
  #rows;

  /** @param {number} classes */
  constructor(classes) {
    this.#rows = Array.from({ length: classes }, () => []);
  }

  /**
   * Remember probabilities, at most five times a second.
   * @param {number} timeS
   * @param {number[]} probabilities
   */
  add(timeS, probabilities) {
    const last = this.#timesS.at(-1) ?? -Infinity;
    if (timeS - last < PERIOD_S) {
      return;
    }
    if (timeS - last > GAP_S && this.#timesS.length) {
      this.#append(last + PERIOD_S, null);
    }
    this.#append(timeS, probabilities);
    while (this.#timesS[0] < timeS - SPAN_S) {
      this.#timesS.shift();
      this.#rows.forEach((row) => row.shift());
    }
  }

  /**
   * Return times relative to now and one row for each class, as the chart takes them.
   * @param {number} nowS
   * @returns {(number | null)[][]}
   */
  series(nowS) {
    return [this.#timesS.map((timeS) => timeS - nowS), ...this.#rows];
  }

  /**
   * @param {number} timeS
   * @param {number[] | null} probabilities
   */
  #append(timeS, probabilities) {
    this.#timesS.push(timeS);
    this.#rows.forEach((row, index) => row.push(probabilities ? probabilities[index] : null));
  }
}
