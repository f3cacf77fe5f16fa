"""Tests of `deepfer fetch-detector`. Nothing is fetched."""

from pathlib import Path
from typing import NoReturn

import pytest
from click.testing import CliRunner

from deepfer_ros.cli import deepfer
from deepfer_ros.recognition import yunet_file
from deepfer_ros.recognition.errors import DetectorError


def test_says_where_the_file_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yunet_file, "fetch_yunet_file", lambda: Path("/cache/yunet.onnx"))
    result = CliRunner().invoke(deepfer, ["fetch-detector"])
    assert result.exit_code == 0
    assert result.output == "YuNet is at /cache/yunet.onnx\n"


def test_failure_is_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> NoReturn:
        raise DetectorError("Could not fetch YuNet: no network.")

    monkeypatch.setattr(yunet_file, "fetch_yunet_file", fail)
    result = CliRunner().invoke(deepfer, ["fetch-detector"])
    assert result.exit_code == 1
    assert result.output == "Error: Could not fetch YuNet: no network.\n"
