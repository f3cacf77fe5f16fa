"""Tests of the comparison with other programs, as far as it goes without installing them."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from deepfer_ros.bench.frames import make_frames

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"


@pytest.fixture(scope="module")
def frames_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("frames") / "frames.npy"
    np.save(path, np.stack(make_frames((320, 240), 1).images_bgr))
    return path


def run_peer(name: str, frames_path: Path, asked: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, SCRIPTS / "bench_peer.py", name, frames_path],
        input=asked,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_a_program_answers_with_its_durations(frames_path: Path) -> None:
    result = run_peer("deepfer", frames_path, "3\n2\n")
    assert result.returncode == 0, result.stderr
    ready, *answers = result.stdout.splitlines()
    assert ready == "ready"
    assert [len(json.loads(answer)["durations_ms"]) for answer in answers] == [3, 2]
    assert all(min(json.loads(answer)["durations_ms"]) > 0 for answer in answers)
    assert [json.loads(answer)["faces"] for answer in answers] == [1, 1]


def test_a_program_that_is_not_installed(frames_path: Path) -> None:
    result = run_peer("fer", frames_path, "1\n")
    assert result.returncode != 0
    assert result.stdout == ""


@pytest.mark.parametrize("argument", ["--slow", "surplus"])
def test_wrong_arguments_install_nothing(argument: str) -> None:
    result = subprocess.run(
        [sys.executable, SCRIPTS / "bench_peers.py", argument], capture_output=True, text=True
    )
    assert result.returncode == 2
    assert "Error:" in result.stderr
