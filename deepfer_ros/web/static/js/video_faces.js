/** The faces of a video: one summary for each, over all pictures in which it was seen. */

/** @import {Face, VideoResult} from "./types.js" */

/**
 * @typedef {Object} VideoFace
 * @property {string} id
 * @property {number} firstS
 * @property {number} lastS
 * @property {Face} best The moment at which the emotion was most certain.
 * @property {number} bestS
 * @property {Pick<Face, "emotion" | "confidence" | "probabilities">} mean
 * @property {(number | null)[][]} series Times, then the probabilities of each class.
 */

/**
 * Return the faces of a video, the one that was seen longest first.
 * @param {VideoResult} video
 * @param {string[]} labels In the model's order.
 * @returns {VideoFace[]}
 */
export function videoFaces(video, labels) {
  /** @type {Map<string, {time_s: number, face: Face}[]>} */
  const seen = new Map();
  for (const { time_s, faces } of video.frames) {
    faces.forEach((face, index) => {
      const id = face.face_id ?? `${index + 1}`;
      seen.set(id, [...(seen.get(id) ?? []), { time_s, face }]);
    });
  }
  const times = video.frames.map(({ time_s }) => time_s);
  return Array.from(seen, ([id, moments]) => summary(id, moments, times, labels)).sort(
    (one, other) => other.lastS - other.firstS - (one.lastS - one.firstS),
  );
}

/**
 * @param {string} id
 * @param {{time_s: number, face: Face}[]} moments
 * @param {number[]} times Of all pictures.
 * @param {string[]} labels
 * @returns {VideoFace}
 */
function summary(id, moments, times, labels) {
  const best = moments.reduce((a, b) => (b.face.confidence > a.face.confidence ? b : a));
  const at = new Map(moments.map(({ time_s, face }) => [time_s, face]));
  return {
    id,
    firstS: moments[0].time_s,
    lastS: moments[moments.length - 1].time_s,
    best: best.face,
    bestS: best.time_s,
    mean: mean(moments, labels),
    series: [
      times,
      ...labels.map((label) => times.map((time) => at.get(time)?.probabilities[label] ?? null)),
    ],
  };
}

/**
 * @param {{face: Face}[]} moments
 * @param {string[]} labels
 */
function mean(moments, labels) {
  const probabilities = Object.fromEntries(
    labels.map((label) => {
      const sum = moments.reduce((total, { face }) => total + face.probabilities[label], 0);
      return [label, sum / moments.length];
    }),
  );
  const emotion = labels.reduce((a, b) => (probabilities[b] > probabilities[a] ? b : a));
  return { emotion, confidence: probabilities[emotion], probabilities };
}
