/** A chart of the seven probabilities over time. */

import uPlot from "../vendor/uplot/uPlot.esm.js";

import { make } from "./elements.js";
import { colourOf } from "./palette.js";

// On the dark panel that carries the chart in both themes.
const AXIS_COLOUR = "#b3bdc7";
// A line at 0 or 100 % is seen in its full width.
/** @type {[number, number]} */
const Y_RANGE = [-0.02, 1.02];
const GRID_COLOUR = "#343b43";
// Until the chart knows its place.
const FIRST_SIZE = { width: 320, height: 120 };
const FONT = "11px system-ui, sans-serif";

export class EmotionChart {
  #holder = make("div");
  #plot;
  #watcher;

  /**
   * @param {string[]} labels
   * @param {[number, number]} rangeS Seconds that the chart shows.
   */
  constructor(labels, rangeS) {
    /** The element to put into the page; its content is for the eyes only. */
    this.element = make("div", { class: "chart", "aria-hidden": "true" }, this.#holder);
    this.#plot = new uPlot(options(labels, rangeS), emptySeries(labels), this.#holder);
    this.#watcher = new ResizeObserver(() => this.#fit());
    this.#watcher.observe(this.#holder);
  }

  /** @param {(number | null)[][]} series Times in seconds, then one row for each class. */
  show(series) {
    this.#plot.setData(/** @type {uPlot.AlignedData} */ (series), false);
    // The range is fixed, so the scales need not be computed anew.
    this.#plot.redraw(true, false);
  }

  close() {
    this.#watcher.disconnect();
    this.#plot.destroy();
  }

  #fit() {
    const { clientWidth: width, clientHeight: height } = this.#holder;
    if (width && height) {
      this.#plot.setSize({ width, height });
    }
  }
}

/**
 * @param {string[]} labels
 * @param {[number, number]} rangeS
 * @returns {uPlot.Options}
 */
function options(labels, rangeS) {
  return {
    width: FIRST_SIZE.width,
    height: FIRST_SIZE.height,
    padding: [8, 10, 0, 0],
    legend: { show: false },
    cursor: { show: false },
    scales: { x: { time: false, range: rangeS }, y: { range: Y_RANGE } },
    axes: [
      { ...AXIS, size: 22, space: 50, values: (_, values) => values.map((s) => `${s} s`) },
      {
        ...AXIS,
        size: 45,
        splits: () => [0, 0.5, 1],
        values: (_, values) => values.map((p) => `${p * 100} %`),
      },
    ],
    series: [
      {},
      ...labels.map((label, index) => ({
        label,
        stroke: colourOf(index),
        width: 2,
        points: { show: false },
      })),
    ],
  };
}

const AXIS = {
  stroke: AXIS_COLOUR,
  font: FONT,
  gap: 4,
  grid: { stroke: GRID_COLOUR, width: 1 },
  ticks: { show: false },
};

/**
 * @param {string[]} labels
 * @returns {uPlot.AlignedData}
 */
function emptySeries(labels) {
  return [[], ...labels.map(() => [])];
}
