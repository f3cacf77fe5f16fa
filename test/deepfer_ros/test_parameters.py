import dataclasses
from typing import Any

import pytest

from deepfer_ros.parameter_table import find_fault
from deepfer_ros.parameters import EmotionParameters

DEFAULTS = dataclasses.asdict(EmotionParameters())


def test_defaults_are_all_right() -> None:
    assert find_fault(EmotionParameters, DEFAULTS, configured=False) is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("min_confidence", 1),
        ("min_confidence", 0.5),
        ("max_rate_hz", 15),
        ("detector", "haar"),
        ("image_root", "/data"),
        ("model", "/models/mine"),
        ("use_sim_time", "whatever: not our parameter"),
    ],
)
def test_accepts(name: str, value: Any) -> None:  # noqa: ANN401
    assert find_fault(EmotionParameters, {name: value}, configured=False) is None


@pytest.mark.parametrize(
    ("name", "value", "fault"),
    [
        ("min_confidence", 1.5, "min_confidence must be from 0.0 to 1.0, got 1.5."),
        ("min_confidence", -1, "min_confidence must be from 0.0 to 1.0, got -1."),
        ("min_confidence", float("nan"), "min_confidence must be from 0.0 to 1.0, got nan."),
        ("max_rate_hz", float("inf"), "max_rate_hz must be from 0.0 to 1000.0, got inf."),
        ("min_confidence", "high", "min_confidence must be a number, got 'high'."),
        ("min_confidence", True, "min_confidence must be a number, got True."),
        ("min_confidence", None, "min_confidence must be a number, got None."),
        ("jpeg_quality", 101, "jpeg_quality must be from 1 to 100, got 101."),
        ("jpeg_quality", 90.0, "jpeg_quality must be a whole number, got 90.0."),
        ("image_transport", "theora", "image_transport must be one of raw, compressed, got"),
        ("detector", "mtcnn", "detector must be one of auto, yunet, "),
        ("deterministic_ids", 1, "deterministic_ids must be true or false, got 1."),
        ("model", 48, "model must be a text, got 48."),
    ],
)
def test_refuses(name: str, value: Any, fault: str) -> None:  # noqa: ANN401
    found = find_fault(EmotionParameters, {name: value}, configured=False)
    assert found is not None
    assert found.startswith(fault)


def test_one_fault_refuses_all_changes() -> None:
    assert (
        find_fault(EmotionParameters, {"smoothing_s": 1.0, "jpeg_quality": 0}, configured=False)
        is not None
    )


@pytest.mark.parametrize(
    "name",
    [
        "model",
        "detector",
        "yunet_file",
        "detection_max_side_px",
        "detection_min_confidence",
        "inference_threads",
        "deterministic_ids",
        "image_transport",
    ],
)
def test_locked_while_configured(name: str) -> None:
    assert find_fault(EmotionParameters, {name: DEFAULTS[name]}, configured=False) is None
    fault = find_fault(EmotionParameters, {name: DEFAULTS[name]}, configured=True)
    assert fault is not None
    assert "clean up the node first" in fault


@pytest.mark.parametrize(
    "name",
    [
        "min_confidence",
        "smoothing_s",
        "max_rate_hz",
        "jpeg_quality",
        "max_pixels",
        "image_root",
        "image_timeout_s",
    ],
)
def test_changeable_at_any_time(name: str) -> None:
    assert find_fault(EmotionParameters, {name: DEFAULTS[name]}, configured=True) is None
