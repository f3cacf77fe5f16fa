"""Tests of the comparison with other programs, as far as it goes without installing them."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from deepfer_ros.bench.frames import make_frames
from deepfer_ros.recognition.model_bundle import load_bundle

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
@pytest.mark.parametrize("script", ["bench_peers.py", "bench_networks.py"])
def test_wrong_arguments_install_nothing(script: str, argument: str) -> None:
    result = subprocess.run(
        [sys.executable, SCRIPTS / script, argument], capture_output=True, text=True
    )
    assert result.returncode == 2
    assert "Error:" in result.stderr


def compare_networks(reference: Path) -> "subprocess.CompletedProcess[str]":
    script = SCRIPTS / "bench_networks.py"
    return subprocess.run(
        [sys.executable, script, "--reference", reference, "--rounds", "3", "--json"],
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_networks_are_compared_with_the_first_one(tmp_path: Path) -> None:
    path = tmp_path / "other.tflite"
    path.write_bytes(load_bundle("deepfer48-fer2013").model_path.read_bytes())
    result = compare_networks(path)
    assert result.returncode == 0, result.stderr
    rows = {row["network"]: row for row in json.loads(result.stdout)["rows"]}
    reference, *others = rows
    assert reference == f"{tmp_path.name}/other.tflite"
    assert {"deepfer48/model_int8.tflite", "deepfer48/model.tflite"} < set(others)
    for row in rows.values():
        expected = row["median_ms"] / rows[reference]["median_ms"]
        assert row["times_reference"] == pytest.approx(expected, abs=0.02)
    # 2.0 million parameters of a byte each, and the names of the tensors.
    assert 1.9 < rows["deepfer48/model_int8.tflite"]["megabytes"] < 2.3


def test_a_reference_that_is_no_network_is_named(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.tflite"
    wrong.write_bytes(b"no network")
    result = compare_networks(wrong)
    assert result.returncode == 1
    assert "wrong.tflite is not a usable LiteRT model" in result.stderr
    assert "Traceback" not in result.stderr
