import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from fake_recognition import LABELS
from numpy.typing import NDArray

pytest.importorskip("playwright", reason="playwright is not installed: scripts/setup.sh --test")

from page_visitor import TIMEOUT_MS, PageVisitor, write_camera_file
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright
from web_server import TestServer, running_server

from deepfer_ros.camera_sources import SampleSource
from deepfer_ros.recognition.classifier import load_classifier
from deepfer_ros.recognition.detection import load_detector
from deepfer_ros.recognition.images import encode_image
from deepfer_ros.recognition.model_bundle import load_bundle
from deepfer_ros.recognition.recognizer import EmotionRecognizer

# A name that leads to this machine, and that browsers do not take for it.
OTHER_NAME = "robot.test"


@pytest.fixture(scope="session")
def other_name() -> str:
    """Return a name of this machine that browsers take for another one."""
    return OTHER_NAME


@pytest.fixture(scope="session")
def sample_bgr() -> NDArray[np.uint8]:
    """Return a picture of the built-in sample: one face, happy."""
    return SampleSource().render(0)


@pytest.fixture(scope="session")
def recognizer() -> EmotionRecognizer:
    """Return what recognizes single pictures, with the model that deepfer comes with."""
    bundle = load_bundle("deepfer48")
    assert tuple(bundle.labels) == LABELS
    return EmotionRecognizer(load_detector("auto"), load_classifier(bundle, threads=1))


# Not for the session: Playwright's event loop would run on in this thread, and no later test could
# run one of its own.
@pytest.fixture(scope="module")
def browser(
    tmp_path_factory: pytest.TempPathFactory, sample_bgr: NDArray[np.uint8]
) -> Iterator[Browser]:
    """Start Chromium with a camera that sees the sample's face."""
    program = find_browser()
    camera = write_camera_file(tmp_path_factory.mktemp("camera") / "face.mjpeg", sample_bgr)
    arguments = [
        "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-video-capture={camera}",
        f"--host-resolver-rules=MAP {OTHER_NAME} 127.0.0.1",
    ]
    if os.geteuid() == 0:
        # Chromium refuses to protect itself from a superuser.
        arguments.append("--no-sandbox")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=arguments)
        yield browser
        browser.close()


@pytest.fixture
def server() -> Iterator[TestServer]:
    """Return a web server with two cameras that are silent until told otherwise."""
    with running_server(cameras=("front", "main"), host_names=(OTHER_NAME,)) as server:
        yield server


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Callable[..., Page]]:
    """Return a function that opens a page as a new visitor does.

    At the end it makes sure that no page had an error that nobody caught, and that none broke the
    policy about what a page may load.
    """
    contexts: list[BrowserContext] = []
    faults: list[str] = []

    def open_page(url: str, **options: object) -> Page:
        context = browser.new_context(**options)  # type: ignore[arg-type]
        contexts.append(context)
        context.set_default_timeout(TIMEOUT_MS)
        page = context.new_page()
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", lambda message: faults.extend(_violations(message.text)))
        page.goto(url)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert faults == []


@pytest.fixture
def visitor(open_page: Callable[..., Page], server: TestServer) -> PageVisitor:
    """Return somebody who has opened the page of the server."""
    return PageVisitor(open_page(server.url))


@pytest.fixture
def sample_file(tmp_path: Path, sample_bgr: NDArray[np.uint8]) -> Path:
    """Return a picture file with the face of the sample."""
    path = tmp_path / "portrait.jpg"
    path.write_bytes(encode_image(sample_bgr, ".jpg"))
    return path


def find_browser() -> str:
    """Return the path of a browser, or skip the test."""
    names = ("chromium", "chromium-browser", "google-chrome")
    for program in filter(None, map(shutil.which, names)):
        # A program of this name may do no more than tell where to get the browser.
        version = subprocess.run([program, "--version"], capture_output=True, timeout=60)
        if version.returncode == 0:
            return program
    pytest.skip(f"no browser: install Chromium (looked for {', '.join(names)})")


def _violations(text: str) -> list[str]:
    return [text] if "Content Security Policy" in text else []
