/**
 * What the server sends; docs/web.md describes it.
 *
 * @typedef {Object} Face
 * @property {string | null} face_id Stable while the face is tracked; null in still pictures.
 * @property {[number, number, number, number]} box_xywh Pixels of the picture.
 * @property {number} detection_confidence 0 to 1.
 * @property {string} emotion A label, or "unknown".
 * @property {number} confidence 0 to 1.
 * @property {Record<string, number>} probabilities By label; they sum to 1.
 *
 * @typedef {Object} FrameInfo
 * @property {string} camera
 * @property {number} sequence
 * @property {number} server_time_ms
 * @property {number | null} age_ms Age of the picture when it reached the server.
 * @property {Face[]} faces
 *
 * @typedef {Object} Camera
 * @property {string} name
 * @property {"live" | "silent" | "absent"} state
 * @property {number | null} rate_hz
 * @property {number | null} last_frame_age_s
 *
 * @typedef {Object} StreamStatus
 * @property {Camera} camera
 * @property {number | null} picture_rate_hz
 * @property {number} skipped
 *
 * @typedef {Object} ServerStatus
 * @property {string} version
 * @property {string[]} labels
 * @property {{enabled: boolean, active: boolean, camera: string, max_rate_hz: number,
 *             max_bytes: number, max_pixels: number}} browser_camera
 * @property {{image_bytes: number, image_pixels: number, video_bytes: number,
 *             video_seconds: number, video_frames: number}} limits
 *
 * @typedef {Object} ImageResult
 * @property {string} path
 * @property {number} width
 * @property {number} height
 * @property {Face[]} faces
 * @property {string} [annotated_jpeg_base64]
 *
 * @typedef {Object} VideoResult
 * @property {string} path
 * @property {number} width
 * @property {number} height
 * @property {number | null} duration_s
 * @property {number} sampled_rate_hz
 * @property {string | null} truncated
 * @property {{time_s: number, faces: Face[]}[]} frames
 * @property {number | null} annotated_time_s
 * @property {string} [annotated_jpeg_base64]
 */

export {};
