"""Tests of `deepfer bench` as a command: options, output, and what it says to mistakes."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

Run = Callable[..., "CompletedProcess[str]"]


def test_json(run: Run) -> None:
    result = run("bench", "--quick", "--only", "import", "--only", "recognize", "--json")
    assert result.returncode == 0, result.stderr
    results = json.loads(result.stdout)
    assert {"version", "machine", "detector", "model", "import", "recognize"} <= set(results)
    assert results["left_out"] == {}
    assert "node" not in results


def test_tables(run: Run) -> None:
    wide = os.environ | {"COLUMNS": "140"}
    result = run("bench", "--quick", "--only", "stages", "--only", "import", env=wide)
    assert result.returncode == 0, result.stderr
    assert "import deepfer_ros:" in result.stdout
    for word in ("classify", "640x480", "floor ms", "arithmetic of the network"):
        assert word in result.stdout


def test_flood_and_soak(run: Run) -> None:
    sections = ("--only", "flood", "--only", "soak", "--soak-s", "5")
    result = run("bench", "--quick", *sections, "--json")
    assert result.returncode == 0, result.stderr
    results = json.loads(result.stdout)
    (flood,) = results["flood"]
    assert flood["load"]["rate_hz"] == 400
    assert flood["received"] > 0
    assert {window["load"]["rate_hz"] for window in results["soak"]["windows"]} == {120}
    assert len(results["soak"]["windows"]) == 10
    frames = sum(window["received"] for window in results["soak"]["windows"])
    assert results["soak"]["frames_processed"] == frames


def test_a_chart_that_cannot_be_written_loses_no_results(run: Run) -> None:
    result = run("bench", "--quick", "--only", "recognize", "--json", "--chart", "/dev/full")
    assert result.returncode == 1
    assert "The chart /dev/full cannot be written: No space left on device." in result.stderr
    assert "Traceback" not in result.stderr
    assert json.loads(result.stdout)["recognize"]


@pytest.mark.parametrize(
    ("arguments", "answer"),
    [
        pytest.param(["--only", "nothing"], "'nothing' is not one of", id="section"),
        pytest.param(["--soak-s", "1"], "not in the range", id="soak"),
        pytest.param(["--only", "recognize", "--model", "gone"], "neither a bundle", id="model"),
        pytest.param(["--only", "import", "--detector", "x"], "Unknown detector", id="detector"),
        pytest.param(["--chart", "x.svg", "--only", "import"], "--chart needs one", id="chart"),
        pytest.param(["--chart", "gone/x.svg"], "gone for the chart does not exist", id="folder"),
        pytest.param(["--chart", "/proc/x.svg"], "/proc/x.svg cannot be written", id="place"),
        pytest.param(["surplus"], "unexpected extra argument", id="argument"),
    ],
)
def test_wrong_arguments(run: Run, arguments: list[str], answer: str, tmp_path: Path) -> None:
    result = run("bench", *arguments, cwd=tmp_path)
    assert result.returncode != 0
    assert answer in " ".join(result.stderr.split())
    assert "Traceback" not in result.stderr
    assert result.stdout == ""
