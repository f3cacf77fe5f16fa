/** What to say in place of a picture. */

/** @import {Camera} from "./types.js" */

/**
 * @typedef {Object} Situation
 * @property {"connecting" | "open" | "lost"} connection
 * @property {number} retryS Seconds until the next try, while the connection is lost.
 * @property {string} reason Why the server closed the connection, or empty.
 * @property {string} name The camera that was chosen.
 * @property {Camera | null} camera What the server says about it.
 * @property {number} pictureAgeS Seconds since the last picture, or since there could be one.
 *
 * @typedef {Object} Notice
 * @property {"waiting" | "lost"} state
 * @property {string} short For the header of the page.
 * @property {string} title
 * @property {string} text
 * @property {boolean} canRetry
 */

// Pictures start when somebody looks, which takes a moment.
const PATIENCE_S = 3;

/**
 * Return what to say, or null when there is a picture or one will come at once.
 * @param {Situation} situation
 * @returns {Notice | null}
 */
export function noticeFor({ connection, retryS, reason, name, camera, pictureAgeS }) {
  if (connection === "lost") {
    return {
      state: "lost",
      short: "Connection lost",
      title: "The connection to the server is lost",
      text: `${reason ? `It said: ${reason} ` : ""}${nextTry(retryS)}`,
      canRetry: true,
    };
  }
  if (connection === "connecting" || !camera) {
    return waiting("Connecting", "Connecting …", "");
  }
  if (camera.state === "absent") {
    return waiting(
      "No camera",
      `There is no camera “${name}” at the moment`,
      "Nobody publishes its results. The picture appears by itself as soon as somebody does.",
    );
  }
  if (camera.state === "silent") {
    const since = camera.last_frame_age_s === null ? "" : ` for ${age(camera.last_frame_age_s)}`;
    return waiting(
      "No picture",
      `No picture from “${name}”${since}`,
      "The camera may be unplugged or paused. The picture comes back by itself.",
    );
  }
  if (pictureAgeS > PATIENCE_S) {
    return waiting(
      "No picture",
      `“${name}” gives results, but no picture`,
      "The annotated pictures do not arrive at the server. They appear here as soon as they do.",
    );
  }
  return null;
}

/**
 * @param {string} short
 * @param {string} title
 * @param {string} text
 * @returns {Notice}
 */
function waiting(short, title, text) {
  return { state: "waiting", short, title, text, canRetry: false };
}

/** @param {number} retryS */
function nextTry(retryS) {
  return retryS > 0 ? `Trying again in ${Math.ceil(retryS)} s.` : "Trying again …";
}

/** @param {number} seconds */
function age(seconds) {
  return seconds < 90 ? `${Math.round(seconds)} s` : `${Math.round(seconds / 60)} minutes`;
}
