"""Somebody who looks at the web page in a browser."""

import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from playwright.sync_api import Locator, Page, expect

# Generous, for busy machines; nothing waits longer than it has to.
TIMEOUT_MS = 60_000
expect.set_options(timeout=TIMEOUT_MS)

_PICTURE = """canvas => {
    const { width, height } = canvas;
    const { data } = canvas.getContext("2d").getImageData(0, 0, width, height);
    let sum = 0;
    for (let i = 0; i < data.length; i += 1) sum = (31 * sum + data[i]) >>> 0;
    return `${width}x${height} ${sum}`;
}"""
_HAS_COLOUR = """(canvas, [r, g, b]) => {
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    for (let i = 0; i < data.length; i += 4)
        if (data[i] === r && data[i + 1] === g && data[i + 2] === b) return true;
    return false;
}"""
_HIDE = """isHidden => {
    Object.defineProperty(document, "hidden", { get: () => isHidden, configurable: true });
    document.dispatchEvent(new Event("visibilitychange"));
}"""


class PageVisitor:
    """The page, by what people find on it.

    Args:
        page: The page of the web server, just opened.
    """

    def __init__(self, page: Page) -> None:
        self.page = page
        self.state = page.locator("#connection")
        self.stage = page.locator("#stage")
        self.picture = page.locator("#picture")
        self.notice = page.locator("#notice")
        self.cameras = page.get_by_label("Camera", exact=True)
        self.faces = page.locator("#face-list > li:not([data-gone])")
        self.uploads = page.locator("#uploads > li")
        self.dialog = page.get_by_role("dialog")
        self.sending = page.get_by_role("complementary", name="This device's camera")

    def wait_until_live(self) -> None:
        """Wait until there are pictures."""
        expect(self.state).to_have_text("Live")

    def fingerprint(self) -> str:
        """Return size and checksum of the picture that is shown."""
        return str(self.picture.evaluate(_PICTURE))

    def wait_for_another_picture(self, fingerprint: str) -> str:
        """Wait until the picture is another one; return its fingerprint."""
        self.page.wait_for_function(
            f"old => ({_PICTURE})(document.getElementById('picture')) !== old", arg=fingerprint
        )
        return self.fingerprint()

    def wait_for_colour(self, canvas: Locator, colour_rgb: tuple[int, int, int]) -> None:
        """Wait until something on a canvas has a colour."""
        self.page.wait_for_function(
            f"([canvas, colour]) => ({_HAS_COLOUR})(canvas, colour)",
            arg=[canvas.element_handle(), list(colour_rgb)],
        )

    def hide(self, *, is_hidden: bool = True) -> None:
        """Look at another tab, or come back."""
        self.page.evaluate(_HIDE, is_hidden)

    def go_to_upload(self) -> None:
        """Open the view for uploads."""
        self.page.get_by_role("link", name="Upload").click()

    def upload(self, *paths: Path) -> None:
        """Choose files."""
        self.page.locator("#files").set_input_files(list(paths))

    def upload_of(self, name: str) -> Locator:
        """Return what the page says about an uploaded file."""
        heading = self.page.get_by_role("heading", name=name, exact=True)
        return self.uploads.filter(has=heading)


def write_camera_file(path: Path, image_bgr: NDArray[np.uint8]) -> Path:
    """Write what Chromium's fake camera shall see: JPEG pictures one after another."""
    with open(path, "wb") as file:
        for step in range(10):
            canvas = image_bgr.copy()
            # Something moves, as before a real camera.
            canvas[-16:, 16 * step : 16 * step + 16] = 255
            encoded, jpeg = cv2.imencode(".jpg", canvas)
            assert encoded
            file.write(jpeg.tobytes())
    return path


def wait_until(is_met: Callable[[], object], what: str) -> None:
    """Wait for a condition outside the page."""
    end_s = time.monotonic() + TIMEOUT_MS / 1000
    while not is_met():
        assert time.monotonic() < end_s, f"Waited in vain for {what}."
        time.sleep(0.05)
