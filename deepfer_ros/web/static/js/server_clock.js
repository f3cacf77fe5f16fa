/**
 * The server's clock, seen from here. The clocks of two machines differ, so the difference is
 * measured by asking: the answer with the shortest way is the most exact.
 */

// An old measurement loses its worth, because clocks drift.
const LIFE_MS = 60_000;

export class ServerClock {
  #offsetMs = 0;
  #roundTripMs = Infinity;
  #measuredMs = 0;

  /** True when the clock was compared at least once. */
  get isKnown() {
    return this.#roundTripMs !== Infinity;
  }

  /**
   * Take an answer into account.
   * @param {number} askedMs `performance.now()` when the question was sent.
   * @param {number} answeredMs `performance.now()` when the answer came.
   * @param {number} serverMs The server's time in the answer.
   */
  compare(askedMs, answeredMs, serverMs) {
    const roundTripMs = answeredMs - askedMs;
    if (roundTripMs <= this.#roundTripMs || answeredMs - this.#measuredMs > LIFE_MS) {
      this.#roundTripMs = roundTripMs;
      this.#offsetMs = serverMs - (askedMs + roundTripMs / 2);
      this.#measuredMs = answeredMs;
    }
  }

  /**
   * Return the server's time, in milliseconds.
   * @param {number} pageMs `performance.now()` at the moment in question.
   * @returns {number}
   */
  at(pageMs) {
    return pageMs + this.#offsetMs;
  }
}
