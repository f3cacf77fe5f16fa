"""What docs/web.md says is what the server does."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from web_server import TestServer, fake_face, running_server

from deepfer_ros.web.limits import WebLimits

PAGE = (Path(__file__).resolve().parents[2] / "docs/web.md").read_text(encoding="utf-8")
ADDRESS = "127.0.0.1:8080"


def block(name: str) -> str:
    """Return the code between the comment `name` and the next `end`."""
    match = re.search(rf"<!-- {name} -->\n```\w+\n(.*?)```\n<!-- end -->", PAGE, re.DOTALL)
    assert match is not None, name
    return match[1]


COMMANDS = [line for line in block("examples").splitlines() if line.startswith("curl")]


@pytest.fixture(scope="module")
def server() -> Iterator[TestServer]:
    with running_server() as running:
        running.play("main", np.zeros((240, 320, 3), np.uint8), [fake_face()])
        yield running


@pytest.fixture(scope="module")
def folder(
    tmp_path_factory: pytest.TempPathFactory,
    astronaut_path: Path,
    astronaut_bgr: NDArray[np.uint8],
) -> Path:
    """Return a folder with the files of the examples."""
    folder = tmp_path_factory.mktemp("examples")
    shutil.copy(astronaut_path, folder / "astronaut.png")
    writer = cv2.VideoWriter(
        str(folder / "clip.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 10, (512, 512)
    )
    for _ in range(5):
        writer.write(astronaut_bgr)
    writer.release()
    return folder


@pytest.mark.parametrize("command", COMMANDS)
def test_the_examples_with_curl_work(server: TestServer, folder: Path, command: str) -> None:
    assert ADDRESS in command
    here = command.replace(ADDRESS, f"127.0.0.1:{server.port}")
    done = subprocess.run(here, shell=True, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    output = re.search(r"--output (\S+)", command)
    if output is not None:
        assert cv2.imread(str(folder / output[1])) is not None
    elif "classify" in command:
        assert "happy" in done.stdout
    else:
        assert "main" in done.stdout or "deepfer48" in done.stdout


def test_there_are_examples_for_every_path() -> None:
    text = " ".join(COMMANDS)
    for path in ("/api/classify?", "/api/classify-video?", "/api/status", "/api/cameras"):
        assert path in text


def test_the_example_in_python_works(server: TestServer) -> None:
    code = block("python example").replace(ADDRESS, f"127.0.0.1:{server.port}")
    # The example goes on for ever; one line is enough.
    code += "        break\n"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert re.fullmatch(r"\d+\.\d+ \['happy'\]\n", done.stdout)


def test_the_limits_are_those_of_the_code() -> None:
    limits = WebLimits()
    mebi = 1024 * 1024
    for text in (
        f"{limits.image_bytes // mebi} MiB, {limits.image_pixels // 1_000_000} million pixels, "
        f"{limits.image_s:g} s",
        f"{limits.video_bytes // mebi} MiB, 3840x2160, its first {limits.video_seconds:g} s, "
        f"{limits.video_rate_hz:g} pictures a second, {limits.video_s:g} s to classify",
        f"1 is classified, {limits.uploads - 1} wait",
        f"{limits.camera_rate_hz:g} pictures a second, {limits.camera_bytes // mebi} MiB and "
        "1920x1080",
        f"{limits.viewers}; one that takes no picture for {limits.send_s:g} s",
        f"| cameras | {limits.cameras}; ",
        f"{limits.connections}; one without a request for {limits.request_head_s:g} s",
    ):
        assert text in PAGE
    assert limits.video_pixels == 3840 * 2160
    assert limits.camera_pixels == 1920 * 1080
