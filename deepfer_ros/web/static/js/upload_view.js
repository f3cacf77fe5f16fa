/** The upload view: takes files, shows a card for each, and gives all results as one file. */

import { download } from "./downloads.js";
import { byId, setText, typedById } from "./elements.js";
import { counted, fileTime } from "./formats.js";
import { asCsv, asJson } from "./result_files.js";
import { UploadCard } from "./upload_card.js";
import { UploadQueue, describeLimits } from "./upload_queue.js";

/** @import {Result} from "./result_files.js" */
/** @import {ServerStatus} from "./types.js" */

/** @typedef {{card: UploadCard, result: Result | null, stop: AbortController}} Upload */

export class UploadView {
  #labels;
  #queue;
  /** @type {Set<Upload>} */
  #uploads = new Set();

  /** @param {ServerStatus} status */
  constructor({ labels, limits }) {
    this.#labels = labels;
    this.#queue = new UploadQueue(limits);
    setText(byId("limits"), describeLimits(limits));
    const input = typedById("files", HTMLInputElement);
    input.addEventListener("change", () => {
      this.#addAll(input.files);
      // So that the same file can be chosen again.
      input.value = "";
    });
    this.#takeDrops();
    byId("save-json").addEventListener("click", () => this.#save("json", asJson(this.#results)));
    byId("save-csv").addEventListener("click", () => {
      this.#save("csv", asCsv(this.#results, this.#labels));
    });
    byId("clear").addEventListener("click", () => {
      this.#uploads.forEach((upload) => this.#remove(upload));
      input.focus();
    });
  }

  get #results() {
    return [...this.#uploads].flatMap(({ result }) => (result ? [result] : []));
  }

  #takeDrops() {
    const zone = byId("drop-zone");
    const view = byId("upload");
    // A file that misses the zone must not make the browser leave the page.
    document.addEventListener("dragover", (event) => event.preventDefault());
    document.addEventListener("drop", (event) => event.preventDefault());
    view.addEventListener("dragover", () => zone.toggleAttribute("data-over", true));
    for (const type of ["dragleave", "drop"]) {
      view.addEventListener(type, () => zone.toggleAttribute("data-over", false));
    }
    view.addEventListener("drop", (event) => this.#addAll(event.dataTransfer?.files ?? null));
  }

  /** @param {FileList | null} files */
  #addAll(files) {
    for (const file of files ?? []) {
      this.#add(file);
    }
  }

  /** @param {File} file */
  #add(file) {
    const card = new UploadCard(file.name, this.#labels, () => {
      this.#remove(upload);
      typedById("files", HTMLInputElement).focus();
    });
    byId("uploads").prepend(card.element);
    /** @param {Result} result */
    const finish = (result) => {
      upload.result = result;
      this.#showSummary();
    };
    const stop = this.#queue.add(file, {
      onProgress: (text, share) => card.showProgress(text, share),
      onResult: (result) => {
        void card.showResult(result);
        finish(result);
      },
      onError: (reason) => {
        card.showError(reason);
        finish({ path: file.name, error: reason });
      },
    });
    /** @type {Upload} */
    const upload = { card, result: null, stop };
    this.#uploads.add(upload);
    this.#showSummary();
  }

  /** @param {Upload} upload */
  #remove(upload) {
    this.#uploads.delete(upload);
    upload.stop.abort();
    upload.card.remove();
    this.#showSummary();
  }

  #showSummary() {
    const results = this.#results;
    const waiting = this.#uploads.size - results.length;
    const failed = results.filter((result) => "error" in result).length;
    const parts = [
      counted(this.#uploads.size, "file"),
      waiting ? `${waiting} in work` : "",
      failed ? `${failed} with an error` : "",
    ];
    byId("upload-summary").hidden = this.#uploads.size === 0;
    setText(byId("upload-count"), parts.filter(Boolean).join(", "));
    for (const id of ["save-json", "save-csv"]) {
      typedById(id, HTMLButtonElement).disabled = results.length === failed;
    }
  }

  /**
   * @param {string} suffix
   * @param {Blob} blob
   */
  #save(suffix, blob) {
    download(blob, `deepfer_${fileTime(new Date())}.${suffix}`);
  }
}
