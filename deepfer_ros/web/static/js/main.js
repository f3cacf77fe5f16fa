/** Put the page together once the server has told about itself. */

import { ApiError, fetchStatus } from "./api.js";
import { BrowserCameraView } from "./browser_camera_view.js";
import { byId, setText } from "./elements.js";
import { LiveView } from "./live_view.js";
import { setUpTheme } from "./theme.js";
import { UploadView } from "./upload_view.js";
import { setUpViews } from "./views.js";

const RETRY_MS = 2000;

/** @returns {Promise<import("./types.js").ServerStatus>} */
async function waitForServer() {
  for (;;) {
    try {
      return await fetchStatus();
    } catch (error) {
      if (!(error instanceof ApiError)) {
        throw error;
      }
      byId("connection").dataset.state = "lost";
      setText(byId("connection"), "Connection lost");
      byId("notice").hidden = false;
      setText(byId("notice-title"), "The server does not answer yet");
      setText(byId("notice-text"), error.message);
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    }
  }
}

setUpTheme();
const status = await waitForServer();
setText(byId("version"), `deepfer ${status.version}`);
new UploadView(status);
const live = new LiveView(status.labels);
new BrowserCameraView((camera) => {
  if (byId("live").hidden) {
    location.hash = "live";
  }
  live.showCamera(camera);
});
setUpViews((name) => {
  byId("connection").hidden = name !== "live";
  live.setShown(name === "live");
});
