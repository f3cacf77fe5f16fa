/**
 * The colours of the emotions: those of the annotated pictures, Okabe and Ito's palette, which
 * people with every kind of colour blindness can tell apart.
 */

/** In the order of the model's labels. */
export const PALETTE = Object.freeze([
  "#d55e00", // vermillion
  "#009e73", // bluish green
  "#cc79a7", // reddish purple
  "#f0e442", // yellow
  "#0072b2", // blue
  "#e69f00", // orange
  "#56b4e9", // sky blue
]);

const UNKNOWN = "#bebebe";

/**
 * Return the colour of the label with an index; -1 is an emotion that is not known.
 * @param {number} index
 * @returns {string}
 */
export function colourOf(index) {
  return index < 0 ? UNKNOWN : PALETTE[index % PALETTE.length];
}
