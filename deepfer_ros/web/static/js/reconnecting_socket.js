/** A WebSocket that comes back by itself. */

const FIRST_DELAY_MS = 500;
const MAX_DELAY_MS = 5000;
// The server says something every second. A connection that is silent for longer is dead, even if
// nobody has noticed: a network that went away closes nothing.
const SILENCE_MS = 6000;

/**
 * @typedef {Object} SocketEvents
 * @property {() => void} onOpen
 * @property {(data: string | ArrayBuffer) => void} onMessage
 * @property {(delayMs: number, reason: string) => void} onLost It will be tried again after the
 *   delay; the reason is the server's own, or empty.
 */

export class ReconnectingSocket {
  #path;
  #events;
  /** @type {WebSocket | null} */
  #socket = null;
  #delayMs = FIRST_DELAY_MS;
  #retryTimer = 0;
  #silenceTimer = 0;
  #onOnline = () => this.retryNow();

  /**
   * @param {string} path
   * @param {SocketEvents} events
   */
  constructor(path, events) {
    this.#path = path;
    this.#events = events;
  }

  /** Connect, and keep connecting until `close`. */
  open() {
    window.addEventListener("online", this.#onOnline);
    this.#connect();
  }

  /** End for good. */
  close() {
    window.removeEventListener("online", this.#onOnline);
    clearTimeout(this.#retryTimer);
    this.#drop();
  }

  /** Do not wait any longer before the next try. */
  retryNow() {
    if (!this.#socket) {
      clearTimeout(this.#retryTimer);
      this.#connect();
    }
  }

  /** @param {object | Blob} message Bytes, or an object that is sent as JSON; lost if there is no connection. */
  send(message) {
    if (this.#socket?.readyState === WebSocket.OPEN) {
      this.#socket.send(message instanceof Blob ? message : JSON.stringify(message));
    }
  }

  #connect() {
    const socket = new WebSocket(socketAddress(this.#path));
    socket.binaryType = "arraybuffer";
    this.#socket = socket;
    this.#expectMessage();
    socket.addEventListener("open", () => {
      if (socket === this.#socket) {
        this.#events.onOpen();
      }
    });
    socket.addEventListener("message", (event) => {
      if (socket === this.#socket) {
        this.#delayMs = FIRST_DELAY_MS;
        this.#expectMessage();
        this.#events.onMessage(event.data);
      }
    });
    socket.addEventListener("close", (event) => {
      if (socket === this.#socket) {
        this.#lose(event.reason);
      }
    });
  }

  /** @param {string} reason */
  #lose(reason) {
    this.#drop();
    const delayMs = this.#delayMs;
    this.#delayMs = Math.min(MAX_DELAY_MS, 2 * delayMs);
    this.#retryTimer = setTimeout(() => this.#connect(), delayMs);
    this.#events.onLost(delayMs, reason);
  }

  #drop() {
    clearTimeout(this.#silenceTimer);
    const socket = this.#socket;
    this.#socket = null;
    socket?.close();
  }

  #expectMessage() {
    clearTimeout(this.#silenceTimer);
    this.#silenceTimer = setTimeout(() => this.#lose(""), SILENCE_MS);
  }
}

/**
 * Return the address of a WebSocket on the server of this page.
 * @param {string} path
 * @returns {string}
 */
export function socketAddress(path) {
  const address = new URL(path, location.href);
  address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
  address.hash = "";
  return address.href;
}
