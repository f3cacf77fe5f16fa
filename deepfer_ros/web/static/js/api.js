/** Questions to the server over HTTP. */

/** @import {ServerStatus, Camera} from "./types.js" */

/** The server said no, or could not be reached. The message is a sentence for people. */
export class ApiError extends Error {
  /**
   * @param {string} message
   * @param {number} status HTTP status; 0 if there was no answer.
   * @param {number} retryAfterS When the server invites to try again.
   */
  constructor(message, status, retryAfterS = 1) {
    super(message);
    this.name = "ApiError";
    this.status = status;
    this.retryAfterS = retryAfterS;
  }
}

const UNREACHABLE = "The server cannot be reached. Is it still running?";

/** @returns {Promise<ServerStatus>} */
export async function fetchStatus() {
  return /** @type {Promise<ServerStatus>} */ (fetchJson("/api/status"));
}

/** @returns {Promise<Camera[]>} */
export async function fetchCameras() {
  const answer = /** @type {{cameras: Camera[]}} */ (await fetchJson("/api/cameras"));
  return answer.cameras;
}

/**
 * Send a file and return the server's answer. `fetch` cannot tell how far an upload is, so this
 * uses its predecessor.
 * @param {string} path
 * @param {Blob} body
 * @param {AbortSignal} signal
 * @param {(share: number) => void} onProgress Told how much was sent, 0 to 1.
 * @returns {Promise<object>}
 */
export function postFile(path, body, signal, onProgress) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", path);
    request.responseType = "text";
    request.setRequestHeader("Content-Type", body.type || "application/octet-stream");
    request.upload.addEventListener("progress", (event) => {
      if (event.lengthComputable) {
        onProgress(event.loaded / event.total);
      }
    });
    request.addEventListener("load", () => {
      const answer = parseObject(request.responseText);
      if (request.status === 200 && answer) {
        resolve(answer);
      } else {
        const retryAfterS = Number(request.getResponseHeader("Retry-After")) || 1;
        reject(new ApiError(explain(request.status, answer), request.status, retryAfterS));
      }
    });
    request.addEventListener("error", () => reject(new ApiError(UNREACHABLE, 0)));
    request.addEventListener("abort", () => reject(new ApiError("Stopped.", 0)));
    signal.addEventListener("abort", () => request.abort(), { once: true });
    request.send(body);
  });
}

/**
 * @param {string} path
 * @returns {Promise<object>}
 */
async function fetchJson(path) {
  let response;
  let text;
  try {
    response = await fetch(path, { cache: "no-store" });
    text = await response.text();
  } catch {
    throw new ApiError(UNREACHABLE, 0);
  }
  const answer = parseObject(text);
  if (!response.ok || !answer) {
    throw new ApiError(explain(response.status, answer), response.status);
  }
  return answer;
}

/**
 * @param {string} text
 * @returns {object | null} Null if it is no JSON object.
 */
function parseObject(text) {
  try {
    const value = JSON.parse(text);
    return typeof value === "object" ? value : null;
  } catch {
    return null;
  }
}

/**
 * @param {number} status
 * @param {object | null} problem The body of the answer, best as RFC 9457 describes.
 * @returns {string}
 */
function explain(status, problem) {
  if (problem && "detail" in problem && typeof problem.detail === "string") {
    return problem.detail;
  }
  return `The server answered with HTTP status ${status}.`;
}
