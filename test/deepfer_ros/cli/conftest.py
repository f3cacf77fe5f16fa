import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

TIMEOUT_S = 90.0

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def model() -> str:
    """Return the model that the tests of whole commands use."""
    return "deepfer48"


@pytest.fixture(scope="session")
def command() -> list[str]:
    """Return how to start the command line: the installed program if there is one."""
    program = shutil.which("deepfer")
    if program is not None:
        return [program]
    return [sys.executable, "-c", "from deepfer_ros.cli import main; main()"]


@pytest.fixture
def run(command: list[str]) -> Run:
    """Return a function that runs the real command line in a process of its own."""

    def run(*arguments: str | Path, **options: object) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [*command, *map(str, arguments)],
            check=False,
            timeout=TIMEOUT_S,
            **{"capture_output": True, "text": True, **options},
        )

    return run


@pytest.fixture
def pictures(tmp_path: Path, astronaut_bgr: NDArray[np.uint8]) -> Path:
    """Return a folder with one face, no face, two faces, and a file that is no picture."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    cv2.imwrite(str(folder / "a.png"), astronaut_bgr)
    cv2.imwrite(str(folder / "b.jpg"), np.full((120, 160, 3), 90, np.uint8))
    cv2.imwrite(str(folder / "c.png"), np.hstack([astronaut_bgr, cv2.flip(astronaut_bgr, 1)]))
    (folder / "notes.txt").write_text("no picture")
    return folder
