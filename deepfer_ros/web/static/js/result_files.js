/** Results as files: JSON and CSV, of the same shape as the server's own. */

/** @import {Face, ImageResult, VideoResult} from "./types.js" */

/** @typedef {ImageResult | VideoResult | {path: string, error: string}} Result */

/**
 * @param {Result[]} results
 * @returns {Blob}
 */
export function asJson(results) {
  const plain = results.map((result) => ({ ...result, annotated_jpeg_base64: undefined }));
  return new Blob([JSON.stringify(plain, null, 2), "\n"], { type: "application/json" });
}

/**
 * Return one row for each face.
 * @param {Result[]} results
 * @param {string[]} labels In the model's order.
 * @returns {Blob}
 */
export function asCsv(results, labels) {
  const head = [
    ...["path", "time_s", "face", "face_id", "x", "y", "width", "height"],
    ...["detection_confidence", "emotion", "confidence", ...labels],
  ];
  const rows = results.flatMap((result) =>
    moments(result).flatMap(({ time_s, faces }) =>
      faces.map((face, index) => row(result.path, time_s, index, face, labels)),
    ),
  );
  const lines = [head, ...rows].map((cells) => cells.map(cell).join(","));
  return new Blob([lines.join("\r\n"), "\r\n"], { type: "text/csv" });
}

/**
 * @param {Result} result
 * @returns {{time_s: number | null, faces: Face[]}[]}
 */
function moments(result) {
  if ("frames" in result) {
    return result.frames;
  }
  return "faces" in result ? [{ time_s: null, faces: result.faces }] : [];
}

/**
 * @param {string} path
 * @param {number | null} timeS
 * @param {number} number Of the face in its picture, from 0.
 * @param {Face} face
 * @param {string[]} labels
 */
function row(path, timeS, number, face, labels) {
  return [
    ...[asText(path), timeS, number, face.face_id, ...face.box_xywh],
    ...[face.detection_confidence, face.emotion, face.confidence],
    ...labels.map((label) => face.probabilities[label]),
  ];
}

/**
 * Return a text that no spreadsheet takes for a formula.
 * @param {string} text
 */
function asText(text) {
  return /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
}

/** @param {string | number | null | undefined} value */
function cell(value) {
  const text = `${value ?? ""}`;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
